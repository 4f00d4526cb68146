/**
 * Sockets of the guest's network for the process outside. A socket belongs to the network namespace that it was made
 * in, whoever uses it later: so the network thread asks this one's kernel who listens, and connects to what listens
 * only at the guest's own loopback, without a way from outside into that loopback for anyone else.
 */
import { AF_INET, AF_INET6, AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, SOCK_STREAM } from '../socket-numbers.ts';
import { close, socket, watch } from './libc.ts';
import { messagePair, receiveDescriptor, sendDescriptor } from './scm-rights.ts';

const NETLINK_SOCK_DIAG = 4;
/** Asked for at once. What one request brings fits the queue of a pair of sockets, so that sending never waits. */
const SOCKETS_PER_REQUEST_MAX = 32;
const PAYLOAD = Uint8Array.of(1);

/** A sock_diag(7) socket that sees this network's sockets; undefined where the kernel has none. */
export function openSocketTable(): number | undefined {
  const table = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  return table === -1 ? undefined : table;
}

/**
 * Answers each request, one byte that says how many, with unconnected TCP sockets, one a message. Returns the end that
 * asks, which the caller closes once it has gone out.
 */
export function serveSockets(): number {
  const [own, asking] = messagePair();
  const unwatch = watch(own, () => {
    for (;;) {
      const request = receiveDescriptor(own);
      if (request === undefined) return;
      if (request.payload.length === 0) {
        unwatch();
        close(own);
        return;
      }
      hand(own, Math.min(request.payload[0]!, SOCKETS_PER_REQUEST_MAX));
    }
  });
  return asking;
}

function hand(own: number, count: number): void {
  for (let i = 0; i < count; i++) {
    // One of IPv6 reaches 127.0.0.0/8 and [::1] alike.
    let made = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made === -1) made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made === -1) return;
    sendDescriptor(own, PAYLOAD, made);
    close(made);
  }
}
