import type { LeaseRecord } from './lease-record.ts';

/**
 * Who has which address. One entry for each address of the pool ever given out, found by address and by client; an
 * address never leaves its client while others are free, so a guest keeps its address across leases and restarts of its own.
 *
 * States of an entry: offered (one minute) → bound (until its lease ends) → free again, yet remembered; declined (ten
 * minutes: the client found someone else there). When no address is left that was never used, the free or declined one not
 * seen for longest goes to the newcomer, then the offered one: a flood of made-up clients takes nothing that is bound.
 *
 * Bound: MAX_POOL entries. Reservations are the configuration's own and come first.
 */

/** Addresses handed out at most: far more guests than attachments, few enough to look through when all are used. */
const MAX_POOL = 4_096;
const OFFER_MS = 60_000;
const DECLINED_MS = 600_000;

/** How a client is recognised: by its identifier (option 61), else by its MAC. */
export interface DhcpClient {
  /** Equal for the same client, as `clientKey` makes it. */
  readonly key: string;
  /** A 48-bit number. */
  readonly mac: number;
}

export type LeaseState = 'offered' | 'bound' | 'free' | 'declined';

export interface Lease {
  readonly address: number;
  readonly client: DhcpClient;
  readonly state: LeaseState;
  /** When the state ends; Infinity for what is free. */
  readonly untilMs: number;
  /** When the client was last heard. */
  readonly seenMs: number;
  /** What the client calls itself; '' when it does not say. */
  readonly hostName: string;
}

type Entry = { -readonly [Field in keyof Lease]: Lease[Field] };

export interface LeasePool {
  /** Network address and its prefix length. */
  readonly network: number;
  readonly prefixLength: number;
  /** Never handed out: gateway, host address, and whatever else is taken. */
  readonly excluded: readonly number[];
  /** True when someone else than `mac` was heard under that address (a guest with a static one). */
  readonly usedByOther?: (address: number, mac: number) => boolean;
}

/** The key of a client: an identifier that is only the MAC with its hardware type (RFC 2132 §9.14) counts as the MAC. */
export function clientKey(identifier: Uint8Array | undefined, mac: number): string {
  const plain = mac.toString(16).padStart(12, '0');
  if (identifier === undefined || identifier.length < 2) return plain;
  const hex = Array.from(identifier, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex === `01${plain}` ? plain : `id-${hex}`;
}

/** The lease as it leaves the core. */
export function recordOf(lease: Lease, nowMs: number): LeaseRecord {
  const { address, client, hostName, state } = lease;
  const remainingMs = state === 'bound' ? Math.max(0, lease.untilMs - nowMs) : 0;
  return { address, mac: client.mac, clientKey: client.key, hostName, remainingMs, seenAgoMs: nowMs - lease.seenMs };
}

export class LeaseTable {
  readonly #pool: LeasePool;
  readonly #first: number;
  readonly #last: number;
  readonly #excluded: ReadonlySet<number>;
  readonly #byAddress = new Map<number, Entry>();
  readonly #byClient = new Map<string, Entry>();
  readonly #reservedByMac = new Map<number, number>();
  readonly #reservedAddresses = new Set<number>();
  /** Addresses below were given out before. */
  #fresh: number;

  constructor(pool: LeasePool) {
    const size = 2 ** (32 - pool.prefixLength);
    this.#pool = pool;
    this.#first = pool.network + 1;
    this.#last = pool.network + size - 2;
    this.#excluded = new Set(pool.excluded);
    this.#fresh = this.#first;
  }

  /** `mac` always gets `address`, and no one else does. The address may lie outside what is handed out otherwise. */
  reserve(mac: number, address: number): void {
    const previous = this.#reservedByMac.get(mac);
    if (previous !== undefined) this.#reservedAddresses.delete(previous);
    this.#reservedByMac.set(mac, address);
    this.#reservedAddresses.add(address);
    const holder = this.#byAddress.get(address);
    if (holder !== undefined && holder.client.mac !== mac) this.#forget(holder);
  }

  /** An address for `client`, `wanted` if it can be; undefined when all are bound. */
  offer(client: DhcpClient, wanted: number | undefined, nowMs: number): Lease | undefined {
    const address = this.#choose(client, wanted, nowMs);
    if (address === undefined) return undefined;
    const current = this.#byAddress.get(address);
    if (current?.client.key === client.key && current.state === 'bound' && current.untilMs > nowMs) {
      current.seenMs = nowMs;
      return current;
    }
    return this.#put(address, client, 'offered', nowMs + OFFER_MS, nowMs);
  }

  /** Gives `address` to `client` for `leaseMs`; undefined when it is not theirs to have. */
  bind(client: DhcpClient, address: number, leaseMs: number, hostName: string, nowMs: number): Lease | undefined {
    if (!this.#mayHave(client, address, nowMs)) return undefined;
    const entry = this.#put(address, client, 'bound', nowMs + leaseMs, nowMs);
    entry.hostName = hostName;
    return entry;
  }

  /** `client` gives `address` back; it stays remembered for it. */
  release(client: DhcpClient, address: number): void {
    const entry = this.#byAddress.get(address);
    if (entry?.client.key !== client.key || entry.state === 'declined') return;
    entry.state = 'free';
    entry.untilMs = Number.POSITIVE_INFINITY;
  }

  /** `client` found someone else at `address`, which only counts when we had named it to that client. */
  decline(client: DhcpClient, address: number, nowMs: number): void {
    const entry = this.#byAddress.get(address);
    if (entry?.client.key !== client.key) return;
    this.#byClient.delete(client.key);
    entry.state = 'declined';
    entry.untilMs = nowMs + DECLINED_MS;
  }

  /** What `client` holds or held. */
  find(client: DhcpClient): Lease | undefined {
    return this.#byClient.get(client.key);
  }

  /** The lease of `address`. */
  at(address: number): Lease | undefined {
    return this.#byAddress.get(address);
  }

  /** Takes up a lease of an earlier run; false when it does not fit here. */
  restore(record: LeaseRecord, nowMs: number): boolean {
    const client = { key: record.clientKey, mac: record.mac };
    if (!this.#mayHave(client, record.address, nowMs)) return false;
    const live = record.remainingMs > 0;
    const until = live ? nowMs + record.remainingMs : Number.POSITIVE_INFINITY;
    const entry = this.#put(record.address, client, live ? 'bound' : 'free', until, nowMs - record.seenAgoMs);
    entry.hostName = record.hostName;
    return true;
  }

  /** What is bound or remembered, in order of address. */
  records(nowMs: number): LeaseRecord[] {
    const kept = this.list().filter(({ state }) => state === 'bound' || state === 'free');
    return kept.map((lease) => recordOf(lease, nowMs));
  }

  /** Copies, in order of address. */
  list(): Lease[] {
    return Array.from(this.#byAddress.values(), (entry) => ({ ...entry })).sort((a, b) => a.address - b.address);
  }

  #choose(client: DhcpClient, wanted: number | undefined, nowMs: number): number | undefined {
    const reserved = this.#reservedByMac.get(client.mac);
    if (reserved !== undefined) return reserved;
    const known = this.#byClient.get(client.key)?.address;
    if (known !== undefined && this.#mayHave(client, known, nowMs)) return known;
    if (wanted !== undefined && this.#mayHave(client, wanted, nowMs)) return wanted;
    return this.#nextFresh(client) ?? this.#leastRecentlySeen(client, nowMs);
  }

  /** Whether `client` can have exactly this address now. */
  #mayHave(client: DhcpClient, address: number, nowMs: number): boolean {
    const reserved = this.#reservedByMac.get(client.mac);
    if (reserved !== undefined) return reserved === address;
    if (!this.#inPool(address) || this.#takenOutside(client, address)) return false;
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return this.#byAddress.size < MAX_POOL;
    if (entry.state === 'declined') return entry.untilMs <= nowMs;
    if (entry.client.key === client.key) return true;
    return entry.state === 'free' || entry.untilMs <= nowMs;
  }

  #inPool(address: number): boolean {
    if (address < this.#first || address > this.#last) return false;
    return !this.#excluded.has(address) && !this.#reservedAddresses.has(address);
  }

  #takenOutside(client: DhcpClient, address: number): boolean {
    return this.#pool.usedByOther?.(address, client.mac) ?? false;
  }

  #nextFresh(client: DhcpClient): number | undefined {
    if (this.#byAddress.size >= MAX_POOL) return undefined;
    while (this.#fresh <= this.#last) {
      const address = this.#fresh++;
      if (!this.#inPool(address) || this.#byAddress.has(address)) continue;
      if (!this.#takenOutside(client, address)) return address;
    }
    return undefined;
  }

  #leastRecentlySeen(client: DhcpClient, nowMs: number): number | undefined {
    let free: Entry | undefined;
    let offered: Entry | undefined;
    for (const entry of this.#byAddress.values()) {
      if (!this.#inPool(entry.address) || this.#takenOutside(client, entry.address)) continue;
      if (entry.state === 'free' || entry.untilMs <= nowMs) {
        if (free === undefined || entry.seenMs < free.seenMs) free = entry;
      } else if (entry.state === 'offered' && (offered === undefined || entry.seenMs < offered.seenMs)) {
        offered = entry;
      }
    }
    return (free ?? offered)?.address;
  }

  #put(address: number, client: DhcpClient, state: LeaseState, untilMs: number, nowMs: number): Entry {
    const before = this.#byClient.get(client.key);
    if (before !== undefined && before.address !== address) this.#forget(before);
    const there = this.#byAddress.get(address);
    if (there !== undefined) this.#forget(there);
    const hostName = there?.client.key === client.key ? there.hostName : '';
    const entry: Entry = { address, client, state, untilMs, seenMs: nowMs, hostName };
    this.#byAddress.set(address, entry);
    this.#byClient.set(client.key, entry);
    return entry;
  }

  /** The address becomes one that was never given out. */
  #forget(entry: Entry): void {
    this.#byAddress.delete(entry.address);
    if (this.#byClient.get(entry.client.key) === entry) this.#byClient.delete(entry.client.key);
    if (entry.address < this.#fresh && this.#inPool(entry.address)) this.#fresh = entry.address;
  }
}
