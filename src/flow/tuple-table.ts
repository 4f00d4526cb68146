/**
 * A hash table from a flow's four numbers (guest address and port, remote address and port) to its owner.
 *
 * Open addressing with linear probing and backward-shift deletion: no tombstones, no allocation per look-up, no
 * strings. The hash is seeded, so a guest cannot choose ports that collide. It doubles as it fills (at most half full);
 * its owner bounds the number of entries.
 */
export class TupleTable<T> {
  #capacity = 256;
  #size = 0;
  /** Three words an entry: guest address, remote address, guest port << 16 | remote port. */
  #keys: Uint32Array = new Uint32Array(256 * 3);
  #values: (T | undefined)[] = new Array<T | undefined>(256).fill(undefined);
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  get(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): T | undefined {
    const ports = ((guestPort << 16) | remotePort) >>> 0;
    return this.#values[this.#slotOf(guestAddress, remoteAddress, ports)];
  }

  /** Adds or replaces. */
  set(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number, value: T): void {
    if (this.#size * 2 >= this.#capacity) this.#grow();
    const ports = ((guestPort << 16) | remotePort) >>> 0;
    const slot = this.#slotOf(guestAddress, remoteAddress, ports);
    if (this.#values[slot] === undefined) this.#size++;
    this.#put(slot, guestAddress, remoteAddress, ports, value);
  }

  /** Returns whether it was there. */
  delete(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): boolean {
    const ports = ((guestPort << 16) | remotePort) >>> 0;
    let hole = this.#slotOf(guestAddress, remoteAddress, ports);
    if (this.#values[hole] === undefined) return false;
    this.#size--;
    const keys = this.#keys;
    const mask = this.#capacity - 1;
    // Move up whatever would no longer be found across the hole.
    for (let probe = (hole + 1) & mask; this.#values[probe] !== undefined; probe = (probe + 1) & mask) {
      const home = this.#hash(keys[probe * 3]!, keys[probe * 3 + 1]!, keys[probe * 3 + 2]!);
      if (((probe - home) & mask) < ((probe - hole) & mask)) continue;
      this.#put(hole, keys[probe * 3]!, keys[probe * 3 + 1]!, keys[probe * 3 + 2]!, this.#values[probe] as T);
      hole = probe;
    }
    this.#values[hole] = undefined;
    return true;
  }

  /** Every value, in no order; the table must not change meanwhile. */
  *values(): IterableIterator<T> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }

  #put(slot: number, guestAddress: number, remoteAddress: number, ports: number, value: T): void {
    this.#keys[slot * 3] = guestAddress;
    this.#keys[slot * 3 + 1] = remoteAddress;
    this.#keys[slot * 3 + 2] = ports;
    this.#values[slot] = value;
  }

  /** Where the key is, or where it would go. */
  #slotOf(guestAddress: number, remoteAddress: number, ports: number): number {
    const keys = this.#keys;
    const mask = this.#capacity - 1;
    let slot = this.#hash(guestAddress, remoteAddress, ports);
    while (this.#values[slot] !== undefined) {
      const at = slot * 3;
      if (keys[at + 2] === ports && keys[at + 1] === remoteAddress && keys[at] === guestAddress) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Mixes the three words with the multipliers of MurmurHash3's finalizer. */
  #hash(guestAddress: number, remoteAddress: number, ports: number): number {
    let h = this.#seed ^ Math.imul(guestAddress, 0xcc9e2d51);
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b) ^ Math.imul(remoteAddress, 0x1b873593);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) ^ ports;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    return (h ^ (h >>> 15)) & (this.#capacity - 1);
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#capacity *= 2;
    this.#keys = new Uint32Array(this.#capacity * 3);
    this.#values = new Array<T | undefined>(this.#capacity).fill(undefined);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === undefined) continue;
      const slot = this.#slotOf(keys[i * 3]!, keys[i * 3 + 1]!, keys[i * 3 + 2]!);
      this.#put(slot, keys[i * 3]!, keys[i * 3 + 1]!, keys[i * 3 + 2]!, value);
    }
  }
}
