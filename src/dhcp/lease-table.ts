import type { AddressPool } from './address-pool.ts';
import { clientKey, type DhcpClient, UNKNOWN_PLACE } from './dhcp-client.ts';
import type { LeaseChange, LeaseRecord } from './lease-record.ts';
import type { Reservations } from './reservations.ts';

/**
 * Who has which address: one entry for each address that is given, remembered or known to be someone else's, found by
 * address, by client and by place (the switch port it is charged to). `AddressChoice` decides who gets what; here it is
 * kept.
 *
 * States of an entry: offered (one minute) → bound (until its lease ends) → free, yet remembered for its client, until
 * the address is needed; declined (ten minutes: someone else was found there). An offer never taken is forgotten. A
 * remembered address never leaves its client while there are others to give.
 *
 * The end of a lease is noticed by `expire`, which the server calls by timer and before it looks at anything; so
 * 'bound' means that the lease runs. Whatever begins, renews or ends a lease is told to `onChange`.
 *
 * Bound: MAX_ENTRIES, and what `AddressChoice` lets a place have.
 */

/** Far more guests than attachments, few enough to look through when all are used. */
export const MAX_ENTRIES = 4_096;
export const OFFER_MS = 60_000;
export const DECLINED_MS = 600_000;

export type LeaseState = 'offered' | 'bound' | 'free' | 'declined';

export interface Lease {
  readonly address: number;
  readonly client: DhcpClient;
  readonly state: LeaseState;
  /** When the state ends; Infinity for what is free. */
  readonly untilMs: number;
  /** When the client was last heard. */
  readonly seenMs: number;
  /** The name that the client or its reservation gives; '' for neither. */
  readonly hostName: string;
  /** It was bound to this client once. */
  readonly known: boolean;
}

type Entry = { -readonly [Field in keyof Lease]: Lease[Field] };

/** What one place holds. */
interface Place {
  readonly leases: Set<Entry>;
  readonly claims: Set<Entry>;
}

const NOTHING: ReadonlySet<Lease> = new Set();
/** Who holds a declined address is not known by key. */
const NO_KEY = '';

/** The lease as it leaves the core. */
export function recordOf(lease: Lease, nowMs: number): LeaseRecord {
  const { address, client, hostName, state } = lease;
  const remainingMs = state === 'bound' ? lease.untilMs - nowMs : 0;
  return { address, mac: client.mac, clientKey: client.key, hostName, remainingMs, seenAgoMs: nowMs - lease.seenMs };
}

export class LeaseTable {
  readonly pool: AddressPool;
  readonly reservations: Reservations;
  readonly #onChange: (change: LeaseChange) => void;
  readonly #byAddress = new Map<number, Entry>();
  readonly #byClient = new Map<string, Entry>();
  /** Of the clients with a MAC the last one heard; each is also in `#byAddress`, which bounds it. */
  readonly #byMac = new Map<number, Entry>();
  readonly #places = new Map<number, Place>();
  /**
   * No address of the pool below it is to be had without taking it from someone, but for what `addressesFreed` would
   * have told.
   */
  #unused: number;
  #nextEndMs = Number.POSITIVE_INFINITY;

  constructor(pool: AddressPool, reservations: Reservations, onChange: (change: LeaseChange) => void) {
    this.pool = pool;
    this.reservations = reservations;
    this.#onChange = onChange;
    this.#unused = pool.first;
  }

  get size(): number {
    return this.#byAddress.size;
  }

  /** When the next state ends; Infinity when none does. */
  get nextEndMs(): number {
    return this.#nextEndMs;
  }

  /** Where to begin a search for an address without an entry. */
  get unusedFrom(): number {
    return this.#unused;
  }

  /** What `client` holds or held. */
  find(client: DhcpClient): Lease | undefined {
    return this.#byClient.get(client.key);
  }

  /**
   * What is held by the same card under another key, when one of the two keys is the MAC itself: a boot ROM or an
   * initramfs sends no identifier, the system that it starts does. Undefined when `client` has something under its own
   * key.
   */
  ofSameCard(client: DhcpClient): Lease | undefined {
    if (this.#byClient.has(client.key)) return undefined;
    const plain = clientKey(undefined, client.mac);
    return client.key === plain ? this.#byMac.get(client.mac) : this.#byClient.get(plain);
  }

  at(address: number): Lease | undefined {
    return this.#byAddress.get(address);
  }

  /** All entries, the longest unheard client's first but for what was only heard in passing. */
  values(): IterableIterator<Lease> {
    return this.#byAddress.values();
  }

  /** What the guests of a place hold or are remembered with. */
  leasesOf(place: number): ReadonlySet<Lease> {
    return this.#places.get(place)?.leases ?? NOTHING;
  }

  /** Addresses that are out of use on account of a place. */
  claimsOf(place: number): ReadonlySet<Lease> {
    return this.#places.get(place)?.claims ?? NOTHING;
  }

  /** The place with the most leases. */
  get fullestPlace(): number {
    let fullest = UNKNOWN_PLACE;
    let most = 0;
    for (const [place, { leases }] of this.#places) {
      if (place === UNKNOWN_PLACE || leases.size <= most) continue;
      fullest = place;
      most = leases.size;
    }
    return fullest;
  }

  /**
   * Holds `address` for `client` for a minute; what is bound to it stays so. Who had it, or what the client had, is let
   * go.
   */
  offer(client: DhcpClient, address: number, nowMs: number): Lease {
    const current = this.#byAddress.get(address);
    if (current?.state === 'bound' && current.client.key === client.key) return this.#touch(current, client, nowMs);
    return this.#put(client, address, 'offered', nowMs + OFFER_MS, nowMs);
  }

  /** Gives `address` to `client` for `leaseMs` (Infinity: for good), or renews it. */
  bind(client: DhcpClient, address: number, leaseMs: number, hostName: string, nowMs: number): Lease {
    const entry = this.#put(client, address, 'bound', nowMs + leaseMs, nowMs);
    entry.hostName = hostName;
    entry.known = true;
    this.#onChange({ kind: 'bound', lease: recordOf(entry, nowMs) });
    return entry;
  }

  /** What is held at `address` is `client`'s from now on, who holds nothing yet. */
  rekey(address: number, client: DhcpClient, nowMs: number): void {
    const entry = this.#byAddress.get(address);
    if (entry === undefined || entry.state === 'declined' || this.#byClient.has(client.key)) return;
    this.#byClient.delete(entry.client.key);
    this.#byClient.set(client.key, entry);
    this.#discharge(entry);
    entry.client = client;
    this.#charge(entry);
    this.#touch(entry, client, nowMs);
    // No end and beginning: nobody who follows the lease (a name, a forward) shall let go of it.
    if (entry.state === 'bound') this.#onChange({ kind: 'bound', lease: recordOf(entry, nowMs) });
  }

  /** `client` gives `address` back; it stays remembered for it. False when it does not have it. */
  release(client: DhcpClient, address: number, nowMs: number): boolean {
    const entry = this.#byAddress.get(address);
    if (entry?.client.key !== client.key || (entry.state !== 'bound' && entry.state !== 'offered')) return false;
    this.#finish(entry, nowMs);
    return true;
  }

  /**
   * Takes `address` out of use: someone else was found there. `mac` is theirs, 0 when it is not known; the address may
   * come back to that one only. A lease on it is over.
   */
  claim(address: number, mac: number, place: number, nowMs: number): void {
    const there = this.#byAddress.get(address);
    if (there !== undefined) this.#forget(there, nowMs);
    this.#insert({
      address,
      client: { key: NO_KEY, mac, place },
      state: 'declined',
      untilMs: nowMs + DECLINED_MS,
      seenMs: nowMs,
      hostName: '',
      known: false,
    });
  }

  /** The client of an entry was heard, so its address is in use. */
  heard(address: number, nowMs: number): void {
    const entry = this.#byAddress.get(address);
    if (entry !== undefined) this.#touch(entry, entry.client, nowMs);
  }

  /** Lets go of whoever has `address`, unless that is who it is reserved for. */
  vacate(address: number, nowMs: number): void {
    const entry = this.#byAddress.get(address);
    if (entry !== undefined && this.reservations.addressOf(entry.client) !== address) this.#forget(entry, nowMs);
  }

  /** Addresses that were the gateway's own, or reserved, may be given out now. */
  addressesFreed(): void {
    this.#unused = this.pool.first;
  }

  /** Ends what is over. */
  expire(nowMs: number): void {
    if (this.#nextEndMs > nowMs) return;
    this.#nextEndMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#byAddress.values()) {
      if (entry.untilMs <= nowMs) this.#finish(entry, nowMs);
      else this.#nextEndMs = Math.min(this.#nextEndMs, entry.untilMs);
    }
  }

  /** Takes up a lease of an earlier run; false when it does not fit here. Tells no one. */
  restore(record: LeaseRecord, nowMs: number): boolean {
    const { address, hostName, remainingMs } = record;
    const client = { key: record.clientKey, mac: record.mac, place: UNKNOWN_PLACE };
    const reserved = this.reservations.addressOf(client);
    const fits =
      reserved === undefined ? this.pool.has(address) && !this.reservations.holds(address) : reserved === address;
    if (!fits || !this.pool.assignable(address) || this.#byAddress.has(address) || this.#byClient.has(client.key))
      return false;
    if (this.#byAddress.size >= MAX_ENTRIES) return false;
    const bound = remainingMs > 0;
    const untilMs = bound ? nowMs + remainingMs : Number.POSITIVE_INFINITY;
    const seenMs = nowMs - record.seenAgoMs;
    this.#insert({ address, client, state: bound ? 'bound' : 'free', untilMs, seenMs, hostName, known: true });
    return true;
  }

  /** What is bound or remembered, in order of address. */
  records(nowMs: number): LeaseRecord[] {
    return this.list()
      .filter(({ state, known }) => state === 'bound' || (state === 'free' && known))
      .map((lease) => recordOf(lease, nowMs));
  }

  /** Copies, in order of address. */
  list(): Lease[] {
    return Array.from(this.#byAddress.values(), (entry) => ({ ...entry })).sort((a, b) => a.address - b.address);
  }

  #put(client: DhcpClient, address: number, state: LeaseState, untilMs: number, nowMs: number): Entry {
    const before = this.#byClient.get(client.key);
    if (before !== undefined && before.address !== address) this.#forget(before, nowMs);
    const there = this.#byAddress.get(address);
    if (there !== undefined && there.client.key === client.key) {
      there.state = state;
      there.untilMs = untilMs;
      this.#nextEndMs = Math.min(this.#nextEndMs, untilMs);
      return this.#touch(there, client, nowMs);
    }
    if (there !== undefined) this.#forget(there, nowMs);
    const entry: Entry = { address, client, state, untilMs, seenMs: nowMs, hostName: '', known: false };
    this.#insert(entry);
    return entry;
  }

  #insert(entry: Entry): void {
    this.#byAddress.set(entry.address, entry);
    if (entry.state !== 'declined') {
      this.#byClient.set(entry.client.key, entry);
      this.#byMac.set(entry.client.mac, entry);
    }
    this.#charge(entry);
    this.#nextEndMs = Math.min(this.#nextEndMs, entry.untilMs);
    const { last } = this.pool;
    while (this.#unused <= last && (this.#byAddress.has(this.#unused) || !this.#isFree(this.#unused))) this.#unused++;
  }

  #isFree(address: number): boolean {
    return this.pool.has(address) && !this.reservations.holds(address);
  }

  /** The client was heard, perhaps at another place or with another card. */
  #touch(entry: Entry, client: DhcpClient, nowMs: number): Entry {
    if (entry.client.place !== client.place || entry.client.mac !== client.mac) {
      this.#discharge(entry);
      if (this.#byMac.get(entry.client.mac) === entry) this.#byMac.delete(entry.client.mac);
      entry.client = client;
      this.#charge(entry);
    }
    if (entry.state !== 'declined') this.#byMac.set(client.mac, entry);
    entry.seenMs = nowMs;
    this.#byAddress.delete(entry.address);
    this.#byAddress.set(entry.address, entry);
    return entry;
  }

  /** The end of a state by itself: what was bound is remembered, all else forgotten. */
  #finish(entry: Entry, nowMs: number): void {
    if (!entry.known) {
      this.#forget(entry, nowMs);
      return;
    }
    const over = entry.state === 'bound';
    entry.state = 'free';
    entry.untilMs = Number.POSITIVE_INFINITY;
    if (over) this.#onChange({ kind: 'ended', lease: endedRecord(entry, nowMs) });
  }

  /** The address becomes one that was never given out. */
  #forget(entry: Entry, nowMs: number): void {
    this.#byAddress.delete(entry.address);
    if (this.#byClient.get(entry.client.key) === entry) this.#byClient.delete(entry.client.key);
    if (this.#byMac.get(entry.client.mac) === entry) this.#byMac.delete(entry.client.mac);
    this.#discharge(entry);
    if (entry.address < this.#unused && entry.address >= this.pool.first) this.#unused = entry.address;
    if (entry.state === 'bound') this.#onChange({ kind: 'ended', lease: endedRecord(entry, nowMs) });
  }

  #charge(entry: Entry): void {
    const { place } = entry.client;
    let held = this.#places.get(place);
    if (held === undefined) {
      held = { leases: new Set(), claims: new Set() };
      this.#places.set(place, held);
    }
    (entry.state === 'declined' ? held.claims : held.leases).add(entry);
  }

  #discharge(entry: Entry): void {
    const { place } = entry.client;
    const held = this.#places.get(place);
    if (held === undefined) return;
    held.leases.delete(entry);
    held.claims.delete(entry);
    if (held.leases.size === 0 && held.claims.size === 0) this.#places.delete(place);
  }
}

/** A lease that is over has no time left, whatever it had. */
function endedRecord(lease: Lease, nowMs: number): LeaseRecord {
  return { ...recordOf(lease, nowMs), remainingMs: 0 };
}
