/**
 * Messages with descriptors in them over unix sockets (SCM_RIGHTS, unix(7)), which Node itself cannot receive. One
 * message is one datagram of a SOCK_SEQPACKET pair, so nothing needs framing, and a closed end reads as the empty
 * message.
 */
import { SlipwayError } from '../../facts/errors.ts';
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOCK_SEQPACKET,
} from '../socket-numbers.ts';
import { SCM_RIGHTS } from '../socket-options.ts';
import { addressOf, check, declare, errnoName } from './libc.ts';

/** What one message may hold, in bytes. A message is a few short fields and at most one diagnosis. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024;

/**
 * One buffer holds a call whole, so that nothing it points to can be collected before it: struct msghdr (name, namelen,
 * iov, iovlen, control, controllen, flags), one struct iovec, one struct cmsghdr with a descriptor, the payload.
 */
const IOV_POINTER = 16;
const IOV_LENGTH = 24;
const CONTROL_POINTER = 32;
const CONTROL_BYTES_GIVEN = 40;
const IOVEC = 56;
const CONTROL = 72;
const PAYLOAD = 96;
/** CMSG_SPACE(4) and CMSG_LEN(4) */
const CONTROL_SPACE = 24;
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

function layOut(payloadBytes: number, withControl: boolean): Buffer {
  const call = Buffer.alloc(PAYLOAD + payloadBytes);
  const base = addressOf(call);
  call.writeBigUInt64LE(base + BigInt(IOVEC), IOV_POINTER);
  call.writeBigUInt64LE(1n, IOV_LENGTH);
  call.writeBigUInt64LE(base + BigInt(PAYLOAD), IOVEC);
  call.writeBigUInt64LE(BigInt(payloadBytes), IOVEC + 8);
  if (withControl) {
    call.writeBigUInt64LE(base + BigInt(CONTROL), CONTROL_POINTER);
    call.writeBigUInt64LE(BigInt(CONTROL_SPACE), CONTROL_BYTES_GIVEN);
  }
  return call;
}

/**
 * Sends `payload` (1 to MESSAGE_BYTES_MAX bytes) and, when given, a duplicate of `descriptor`. False when the other end
 * is gone; throws ERR_SYSTEM_CALL for anything else.
 */
export function sendDescriptor(socket: number, payload: Uint8Array, descriptor?: number): boolean {
  const call = layOut(payload.length, descriptor !== undefined);
  call.set(payload, PAYLOAD);
  if (descriptor !== undefined) {
    call.writeBigUInt64LE(BigInt(CONTROL_LENGTH), CONTROL);
    call.writeInt32LE(SCM_RIGHTS.level, CONTROL + 8);
    call.writeInt32LE(SCM_RIGHTS.number, CONTROL + 12);
    call.writeInt32LE(descriptor, CONTROL + 16);
  }
  const sent = sendmsg(socket, call, MSG_NOSIGNAL);
  if (sent >= 0) return true;
  const reason = errnoName();
  if (reason === 'EPIPE' || reason === 'ECONNRESET') return false;
  throw new SlipwayError('ERR_SYSTEM_CALL', `sendmsg failed: ${reason}`);
}

export interface Message {
  /** Empty: the other end is gone. */
  readonly payload: Uint8Array;
  /** A new descriptor of this process, close-on-exec, that the caller now owns; −1 when none came. */
  readonly descriptor: number;
}

/** The next message, or undefined when none waits. Never blocks. A reset of the other end reads as its end. */
export function receiveDescriptor(socket: number): Message | undefined {
  const call = layOut(MESSAGE_BYTES_MAX, true);
  const received = recvmsg(socket, call, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0) {
    const reason = errnoName();
    if (reason === 'EAGAIN' || reason === 'EINTR') return undefined;
    if (reason === 'ECONNRESET') return { payload: new Uint8Array(0), descriptor: -1 };
    throw new SlipwayError('ERR_SYSTEM_CALL', `recvmsg failed: ${reason}`);
  }
  const carried =
    Number(call.readBigUInt64LE(CONTROL_BYTES_GIVEN)) >= CONTROL_LENGTH &&
    call.readInt32LE(CONTROL + 8) === SCM_RIGHTS.level &&
    call.readInt32LE(CONTROL + 12) === SCM_RIGHTS.number;
  return {
    payload: call.subarray(PAYLOAD, PAYLOAD + received),
    descriptor: carried ? call.readInt32LE(CONTROL + 16) : -1,
  };
}
