import { check, declare } from './namespace/libc.ts';
import { AF_UNIX, SOCK_FLAGS, SOCK_STREAM } from './socket-numbers.ts';

const socketpair: (domain: number, type: number, protocol: number, pair: Int32Array) => number = declare(
  'int socketpair(int domain, int type, int protocol, void *pair)',
);

/**
 * A pair of connected stream sockets, close-on-exec and non-blocking. The caller closes both. Throws ERR_SYSTEM_CALL.
 */
export function streamPair(): [number, number] {
  const pair = new Int32Array(2);
  // What other systems than Linux have no flag for, Node sets by itself on what it takes over.
  const type = process.platform === 'linux' ? SOCK_STREAM | SOCK_FLAGS : SOCK_STREAM;
  check('socketpair', socketpair(AF_UNIX, type, 0, pair));
  return [pair[0]!, pair[1]!];
}
