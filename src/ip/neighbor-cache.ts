import type { Counters } from '../env/counters.ts';
import type { Port } from '../link/port.ts';
import type { AddressConflicts } from './address-conflicts.ts';
import { isSameGuest, Neighbor } from './neighbor.ts';

/**
 * 4,096: a /20 full of guests. A guest that sends from every address of a larger subnet pushes out the idle ones first.
 */
export const MAX_NEIGHBORS = 4096;
/** The order of use is kept to the second, so a stream of packets does not reorder the table each time. */
const REFRESH_MS = 1000;

/**
 * Guest address → MAC and port, learned from ARP and from IPv4 itself, so the gateway never has to ask. Bounded; who
 * was not heard for the longest time goes first. A neighbor that moved is changed in place, for the flows that keep it.
 * What becomes of an address that two guests claim, `AddressConflicts` says.
 */
export class NeighborCache {
  readonly #neighbors = new Map<number, Neighbor>();
  readonly #counters: Counters;
  readonly #conflicts: AddressConflicts;
  /** Hears of a neighbor that spoke for the first time, or from another place. */
  onHeard: ((neighbor: Neighbor) => void) | undefined;

  constructor(counters: Counters, conflicts: AddressConflicts) {
    this.#counters = counters;
    this.#conflicts = conflicts;
  }

  get size(): number {
    return this.#neighbors.size;
  }

  /** The neighbor at `address`, heard now from `mac` behind `port`; undefined when the address is another guest's. */
  learn(address: number, mac: number, port: Port, nowMs: number): Neighbor | undefined {
    const known = this.#neighbors.get(address);
    if (known === undefined) return this.#insert(address, mac, port, nowMs);
    if (known.mac !== mac || known.port !== port) {
      if (!isSameGuest(known, { mac, port }) && !this.#conflicts.mayTake(known, mac, port, nowMs)) return undefined;
      known.mac = mac;
      known.port = port;
      this.#counters.add('neighbor-moved');
      this.onHeard?.(known);
    }
    known.askedMs = -1;
    if (nowMs - known.seenMs >= REFRESH_MS) {
      this.#neighbors.delete(address);
      this.#neighbors.set(address, known);
      known.seenMs = nowMs;
    }
    return known;
  }

  /** Undefined when nobody spoke from that address, or whose port is gone. */
  find(address: number): Neighbor | undefined {
    const known = this.#neighbors.get(address);
    return known?.port.attached === true ? known : undefined;
  }

  /** All that are known, the longest unheard first; the cache must not change meanwhile. */
  values(): IterableIterator<Neighbor> {
    return this.#neighbors.values();
  }

  #insert(address: number, mac: number, port: Port, nowMs: number): Neighbor {
    if (this.#neighbors.size >= MAX_NEIGHBORS) {
      const [oldest] = this.#neighbors.keys();
      if (oldest !== undefined) this.#neighbors.delete(oldest);
      this.#counters.add('neighbor-evicted');
    }
    const neighbor = new Neighbor(address, mac, port, nowMs);
    this.#neighbors.set(address, neighbor);
    this.onHeard?.(neighbor);
    return neighbor;
  }
}
