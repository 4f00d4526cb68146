import type { LeaseChange, LeaseRecord } from '../../dhcp/lease-record.ts';

/** More than the core hands out (4,096 addresses), so nothing that it remembers is lost here. */
export const MAX_LEASES = 8_192;

interface Entry {
  readonly address: number;
  readonly mac: number;
  readonly clientKey: string;
  readonly hostName: string;
  readonly endsMs: number;
  readonly seenMs: number;
}

/**
 * Every lease that the network told of, in the order they began, kept where a network thread's death does not reach: a
 * new thread, the file on disk and the names of guests are all served from here. One entry for each address and for
 * each client.
 *
 * Bound: 8,192 entries; the first that has ended goes for a new one.
 */
export class LeaseBook {
  readonly #now: () => number;
  readonly #entries = new Map<number, Entry>();
  readonly #byClient = new Map<string, number>();
  readonly #watchers: ((change: LeaseChange) => void)[] = [];

  /** `now` in milliseconds, from any origin, never backwards. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `tell` hears every later change, synchronously. */
  watch(tell: (change: LeaseChange) => void): void {
    this.#watchers.push(tell);
  }

  /** Takes up leases of an earlier process; those in force are told as changes. */
  restore(records: readonly LeaseRecord[]): void {
    for (const lease of records) this.apply({ kind: lease.remainingMs > 0 ? 'bound' : 'ended', lease });
  }

  apply(change: LeaseChange): void {
    const { lease } = change;
    const there = this.#entries.get(lease.address);
    if (change.kind === 'ended' && there !== undefined && there.clientKey !== lease.clientKey) return;
    const remainingMs = change.kind === 'ended' ? Math.min(lease.remainingMs, 0) : lease.remainingMs;
    const now = this.#now();
    if (there?.clientKey !== lease.clientKey) this.#makeRoom(lease);
    // Setting a key again keeps its place: a renewal makes no lease younger.
    this.#entries.set(lease.address, {
      address: lease.address,
      mac: lease.mac,
      clientKey: lease.clientKey,
      hostName: lease.hostName,
      endsMs: now + remainingMs,
      seenMs: now - lease.seenAgoMs,
    });
    this.#byClient.set(lease.clientKey, lease.address);
    for (const tell of this.#watchers) tell(change);
  }

  /** All that is remembered, the oldest first; times are spans from now. */
  records(): LeaseRecord[] {
    const now = this.#now();
    return Array.from(this.#entries.values(), ({ endsMs, seenMs, ...lease }) => ({
      ...lease,
      remainingMs: endsMs - now,
      seenAgoMs: now - seenMs,
    }));
  }

  #makeRoom({ address, clientKey }: LeaseRecord): void {
    this.#forget(address);
    const before = this.#byClient.get(clientKey);
    if (before !== undefined) this.#forget(before);
    if (this.#entries.size < MAX_LEASES) return;
    const now = this.#now();
    const over = [...this.#entries.values()].find(({ endsMs }) => endsMs <= now) ?? this.#entries.values().next().value;
    if (over !== undefined) this.#forget(over.address);
  }

  #forget(address: number): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    this.#entries.delete(address);
    if (this.#byClient.get(entry.clientKey) === address) this.#byClient.delete(entry.clientKey);
  }
}
