/**
 * Messages with descriptors in them over unix sockets (SCM_RIGHTS, unix(7)), which Node itself cannot receive. One
 * message is one datagram of a SOCK_SEQPACKET pair, so nothing needs framing, and a closed end reads as the empty message.
 */
import { AF_UNIX, addressOf, check, declare, errnoName, SOCK_CLOEXEC, SOCK_SEQPACKET } from './libc.ts';

/** What one message may hold, in bytes. A message is a few short fields and at most one diagnosis. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024;

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct msghdr: name, namelen, iov, iovlen, control, controllen, flags. */
const MSGHDR_BYTES = 56;
/** struct cmsghdr (length, level, type) and one descriptor, padded: CMSG_SPACE(4). */
const CONTROL_BYTES = 24;
/** CMSG_LEN(4) */
const CONTROL_LENGTH = 20;

const sendmsg: (fd: number, header: Uint8Array, flags: number) => number = declare(
  'intptr_t sendmsg(int fd, void *header, int flags)',
);
const recvmsg: (fd: number, header: Uint8Array, flags: number) => number = declare(
  'intptr_t recvmsg(int fd, void *header, int flags)',
);
const socketpair: (domain: number, type: number, protocol: number, pair: Int32Array) => number = declare(
  'int socketpair(int domain, int type, int protocol, void *pair)',
);

/** A pair of connected message sockets, both close-on-exec. The caller closes both. */
export function messagePair(): [number, number] {
  const pair = new Int32Array(2);
  check('socketpair', socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
  return [pair[0]!, pair[1]!];
}

function header(payload: Uint8Array, control: Uint8Array | undefined): { bytes: Buffer; iovec: Buffer } {
  const iovec = Buffer.alloc(16);
  iovec.writeBigUInt64LE(addressOf(payload), 0);
  iovec.writeBigUInt64LE(BigInt(payload.length), 8);
  const bytes = Buffer.alloc(MSGHDR_BYTES);
  bytes.writeBigUInt64LE(addressOf(iovec), 16);
  bytes.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    bytes.writeBigUInt64LE(addressOf(control), 32);
    bytes.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return { bytes, iovec };
}

/**
 * Sends `payload` (1 to MESSAGE_BYTES_MAX bytes) and, when given, a duplicate of `descriptor`. False when the other end
 * is gone; throws ERR_SYSTEM_CALL for anything else.
 */
export function sendDescriptor(socket: number, payload: Uint8Array, descriptor?: number): boolean {
  let control: Buffer | undefined;
  if (descriptor !== undefined) {
    control = Buffer.alloc(CONTROL_BYTES);
    control.writeBigUInt64LE(BigInt(CONTROL_LENGTH), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    control.writeInt32LE(descriptor, 16);
  }
  const { bytes, iovec } = header(payload, control);
  const sent = sendmsg(socket, bytes, MSG_NOSIGNAL);
  keepAlive(payload, iovec, control);
  if (sent >= 0) return true;
  const reason = errnoName();
  if (reason === 'EPIPE' || reason === 'ECONNRESET') return false;
  return check('sendmsg', -1) >= 0;
}

export interface Message {
  /** Empty: the other end is gone. */
  readonly payload: Uint8Array;
  /** A new descriptor of this process, close-on-exec, that the caller now owns; −1 when none came. */
  readonly descriptor: number;
}

/** The next message, or undefined when none waits. Never blocks. A reset of the other end reads as its end. */
export function receiveDescriptor(socket: number): Message | undefined {
  const payload = Buffer.alloc(MESSAGE_BYTES_MAX);
  const control = Buffer.alloc(CONTROL_BYTES);
  const { bytes, iovec } = header(payload, control);
  const received = recvmsg(socket, bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  keepAlive(payload, iovec, control);
  if (received < 0) {
    const reason = errnoName();
    if (reason === 'EAGAIN' || reason === 'EINTR') return undefined;
    if (reason === 'ECONNRESET') return { payload: new Uint8Array(0), descriptor: -1 };
    check('recvmsg', -1);
  }
  const carried =
    Number(bytes.readBigUInt64LE(40)) >= CONTROL_LENGTH &&
    control.readInt32LE(8) === SOL_SOCKET &&
    control.readInt32LE(12) === SCM_RIGHTS;
  return { payload: payload.subarray(0, Math.max(received, 0)), descriptor: carried ? control.readInt32LE(16) : -1 };
}

/** The kernel saw these by address only: a use after the call keeps the collector from taking them before it. */
function keepAlive(...buffers: (Uint8Array | undefined)[]): void {
  if (buffers.length === 0) throw new RangeError('nothing to keep');
}
