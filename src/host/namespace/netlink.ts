/**
 * The one setting that the root of a user namespace may not make by ioctl: the kernel asks SIOCSIFTXQLEN for a
 * capability in the first user namespace, but the same change by rtnetlink(7) only for one in the device's own.
 */

import { SlipwayError } from '../../facts/errors.ts';
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from '../socket-numbers.ts';
import { check, close, declare, errnoName, socket } from './libc.ts';

const send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = declare(
  'intptr_t send(int fd, void *bytes, size_t length, int flags)',
);
const recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = declare(
  'intptr_t recv(int fd, void *bytes, size_t length, int flags)',
);

const NETLINK_ROUTE = 0;
const RTM_SETLINK = 19;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
const IFLA_IFNAME = 3;
const IFLA_TXQLEN = 13;

/** struct nlmsghdr, then struct ifinfomsg (all zero: the interface is named by attribute). */
const HEADER_BYTES = 16;
const ATTRIBUTES = HEADER_BYTES + 16;
/** struct nlattr */
const ATTRIBUTE_HEADER_BYTES = 4;
/** In an answer: the negative errno, or 0, after the header. */
const ANSWER_ERROR = HEADER_BYTES;

/** Sets how many packets the device queues before it drops. Errors: ERR_SYSTEM_CALL. */
export function setQueueLength(name: string, packets: number): void {
  const what = `setting the queue length of ${name}`;
  const value = Buffer.alloc(4);
  value.writeUInt32LE(packets);
  const attributes = [attribute(IFLA_IFNAME, Buffer.from(`${name}\0`)), attribute(IFLA_TXQLEN, value)];
  const request = Buffer.concat([Buffer.alloc(ATTRIBUTES), ...attributes]);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(RTM_SETLINK, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6);
  const route = check('socket', socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  try {
    check(what, send(route, request, request.length, 0));
    const answer = Buffer.alloc(1024);
    check(what, recv(route, answer, answer.length, 0));
    const error = answer.readUInt16LE(4) === NLMSG_ERROR ? answer.readInt32LE(ANSWER_ERROR) : 0;
    if (error !== 0) throw new SlipwayError('ERR_SYSTEM_CALL', `${what} failed: ${errnoName(-error)}`);
  } finally {
    close(route);
  }
}

/** Padded to four bytes, which its own length does not count. */
function attribute(type: number, value: Buffer): Buffer {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}
