import type { Neighbor } from '../ip/neighbor.ts';
import type { PublishedSockets, UdpPeer } from '../udp/peers.ts';

/** A UDP forward, as far as what its guest sends is concerned. */
export interface PublishedForward {
  /** Whoever is at `address` and `port`, reached from the published port; undefined where this forward cannot. */
  peerFor(guest: Neighbor, guestPort: number, address: number, port: number): UdpPeer | undefined;
}

/**
 * The UDP forwards by the guests' ports that they publish, so that what a guest sends from there leaves from the
 * published port.
 */
export class PublishedPorts implements PublishedSockets {
  /** Those of one port in the order in which they were opened: the first that can is taken. */
  readonly #byPort = new Map<number, Set<PublishedForward>>();

  add(forward: PublishedForward, firstPort: number, count: number): void {
    for (let port = firstPort; port < firstPort + count; port++) {
      const forwards = this.#byPort.get(port);
      if (forwards === undefined) this.#byPort.set(port, new Set([forward]));
      else forwards.add(forward);
    }
  }

  remove(forward: PublishedForward, firstPort: number, count: number): void {
    for (let port = firstPort; port < firstPort + count; port++) {
      const forwards = this.#byPort.get(port);
      if (forwards?.delete(forward) === true && forwards.size === 0) this.#byPort.delete(port);
    }
  }

  peerFor(guest: Neighbor, guestPort: number, address: number, port: number): UdpPeer | undefined {
    const forwards = this.#byPort.get(guestPort);
    if (forwards === undefined) return undefined;
    for (const forward of forwards) {
      const peer = forward.peerFor(guest, guestPort, address, port);
      if (peer !== undefined) return peer;
    }
    return undefined;
  }
}
