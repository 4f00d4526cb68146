/**
 * TCP sockets that are bound and neither listen nor are connected: a forward that waits for its guest, for one.
 * /proc/net/tcp leaves them out; sock_diag(7) tells since Linux 6.8.
 */
import { AF_INET, AF_INET6, AF_NETLINK, IPPROTO_TCP, SOCK_CLOEXEC, SOCK_RAW } from '../socket-numbers.ts';
import { close, declare, socket } from '../namespace/libc.ts';
import { receiveBytes } from './socket-calls.ts';

/** A socket that stands in the way. */
export interface ListedSocket {
  readonly address: Uint8Array;
  readonly port: number;
  readonly listening: boolean;
  /** Who made it. */
  readonly uid: number;
  /** 0: it belongs to no process (TIME-WAIT, the kernel's own). */
  readonly inode: number;
}

const send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = declare(
  'intptr_t send(int fd, void *bytes, size_t length, int flags)',
);

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
/** The state's bit: TCP_BOUND_INACTIVE is number 13. */
const BOUND_INACTIVE: number = 1 << 13;

/** struct nlmsghdr; then struct inet_diag_req_v2, or in answers struct inet_diag_msg. */
const HEADER_BYTES = 16;
const REQUEST_BYTES = 56;
const ANSWER_BYTES = 72;
const ANSWER_SIZE = 32 * 1024;

/** Those at `port` (0: at any), of both families; empty where the kernel does not tell. */
export function boundSockets(port: number = 0): ListedSocket[] {
  const diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (diag < 0) return [];
  try {
    // The kernel does not sieve this state by port itself.
    return [AF_INET, AF_INET6]
      .flatMap((family) => ask(diag, family, port))
      .filter((one) => port === 0 || one.port === port);
  } finally {
    close(diag);
  }
}

function ask(diag: number, family: number, port: number): ListedSocket[] {
  const request = Buffer.alloc(HEADER_BYTES + REQUEST_BYTES);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request[HEADER_BYTES] = family;
  request[HEADER_BYTES + 1] = IPPROTO_TCP;
  request.writeUInt32LE(BOUND_INACTIVE, HEADER_BYTES + 4);
  request.writeUInt16BE(port, HEADER_BYTES + 8);
  if (send(diag, request, request.length, 0) !== request.length) return [];
  const found: ListedSocket[] = [];
  const answer = Buffer.alloc(ANSWER_SIZE);
  for (;;) {
    const length = receiveBytes(diag, answer, 0);
    if (length <= 0 || !readAnswers(answer.subarray(0, length), family, found)) return found;
  }
}

/** False after the last message of the list, or an error. */
function readAnswers(bytes: Buffer, family: number, found: ListedSocket[]): boolean {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const type = bytes.readUInt16LE(at + 4);
    if (type !== SOCK_DIAG_BY_FAMILY || length < HEADER_BYTES + ANSWER_BYTES || at + length > bytes.length)
      return false;
    const message = at + HEADER_BYTES;
    found.push({
      address: new Uint8Array(bytes.subarray(message + 8, message + (family === AF_INET ? 12 : 24))),
      port: bytes.readUInt16BE(message + 4),
      listening: false,
      uid: bytes.readUInt32LE(message + 64),
      inode: bytes.readUInt32LE(message + 68),
    });
    at += (length + 3) & ~3;
  }
  return true;
}
