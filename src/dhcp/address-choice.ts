import type { Counters } from '../env/counters.ts';
import { type DhcpClient, UNKNOWN_PLACE } from './dhcp-client.ts';
import { type Lease, type LeaseTable, MAX_ENTRIES } from './lease-table.ts';

/** Who spoke last from an address. */
export interface Heard {
  /** A 48-bit number; 0 when it is not known. */
  readonly mac: number;
  /** The port of the switch. */
  readonly port: { readonly id: number };
  readonly seenMs: number;
}

/** What the link knows about who is there. */
export interface LinkView {
  /** Undefined when nobody spoke from that address. */
  heardAt(address: number): Heard | undefined;
  /** Someone else than who asks was heard on the link. */
  hasOthers(): boolean;
}

export interface ChoiceOptions {
  readonly table: LeaseTable;
  readonly link: LinkView;
  readonly counters: Counters;
  /** See DhcpOptions. */
  readonly leasesPerGuest: number;
  readonly probe: boolean;
  /** Addresses that are just being asked for on behalf of another client. */
  readonly isBusy: (address: number) => boolean;
}

/** Who was heard so long ago holds its address even without a probe: a minute, what a guest's ARP cache lives. */
const FRESH_MS = 60_000;
/** Of all addresses, the share that the guests behind one port may put out of use: a quarter. */
const CLAIM_SHARE = 4;

/**
 * Which address a client gets: pure decisions over the LeaseTable and what the link has heard.
 *
 * Its reservation first; then what it has or had; its wish; an address never given out; the one whose remembered client
 * was not heard for longest. So a known guest keeps its address, and a flood of made-up clients cannot take it: the
 * guests of one port hold at most `leasesPerGuest` addresses, and from then on its newest takes the place of its own
 * least recently heard. When everything is taken, the port that holds most gives one up, and only to a port that holds
 * fewer. A lease in force is only taken from a client that is silent on the link.
 *
 * The same for addresses that someone uses without a lease: they are left alone, but one port can put only so many out
 * of use.
 */
export class AddressChoice {
  readonly #options: ChoiceOptions;
  readonly #claimLimit: number;

  constructor(options: ChoiceOptions) {
    this.#options = options;
    const share = Math.ceil(options.table.pool.size / CLAIM_SHARE);
    this.#claimLimit = Math.min(options.leasesPerGuest, share);
  }

  /**
   * Makes what the client's card holds under another key the client's own (`ofSameCard`), so that a machine keeps
   * address and name from its boot ROM to its system, and back. Not what is reserved, for that is by key. A MAC is
   * easily said: from behind another port nothing is taken over from who was heard of late, nor beyond what a port may
   * hold.
   */
  recogniseCard(client: DhcpClient, nowMs: number): void {
    const { table, link, counters, leasesPerGuest } = this.#options;
    const lease = table.ofSameCard(client);
    if (lease === undefined) return;
    const { reservations } = table;
    if (reservations.addressOf(client) !== undefined || reservations.addressOf(lease.client) !== undefined) return;
    if (lease.client.place !== client.place) {
      const heard = link.heardAt(lease.address);
      const alive = heard !== undefined && heard.port.id !== client.place && nowMs - heard.seenMs <= FRESH_MS;
      if (alive || table.leasesOf(client.place).size >= leasesPerGuest) {
        counters.add('dhcp-card-elsewhere');
        return;
      }
    }
    counters.add('dhcp-card-recognised');
    table.rekey(lease.address, client, nowMs);
  }

  /** The address for `client`, `wanted` if it can be; undefined when there is none to give. */
  choose(client: DhcpClient, wanted: number | undefined, nowMs: number): number | undefined {
    const { table, isBusy, leasesPerGuest } = this.#options;
    const reserved = table.reservations.addressOf(client);
    if (reserved !== undefined) return table.pool.assignable(reserved) ? reserved : undefined;
    const known = table.find(client);
    if (known !== undefined && this.mayHave(client, known.address, nowMs)) return known.address;
    if (wanted !== undefined && !isBusy(wanted) && this.mayHave(client, wanted, nowMs)) return wanted;
    if (table.leasesOf(client.place).size >= leasesPerGuest) return this.#oldestOf(client, client.place, nowMs);
    return this.#neverUsed(client, nowMs) ?? this.#longestUnheard(client, nowMs) ?? this.#fromFullest(client, nowMs);
  }

  /** Whether `client` can have exactly this address now. */
  mayHave(client: DhcpClient, address: number, nowMs: number): boolean {
    const { table, leasesPerGuest } = this.#options;
    const reserved = table.reservations.addressOf(client);
    if (reserved !== undefined) return reserved === address && table.pool.assignable(address);
    if (!this.#inPool(address)) return false;
    const entry = table.at(address);
    if (entry === undefined) {
      if (table.size >= MAX_ENTRIES || this.#countOf(client) >= leasesPerGuest) return false;
    } else if (entry.client.key === client.key) {
      // What was offered was looked at then.
      if (entry.state === 'bound' || entry.state === 'offered') return true;
    } else if (entry.client.mac !== client.mac || entry.state === 'bound' || entry.state === 'offered') {
      return false;
    }
    return !this.usedByOther(client, address, nowMs);
  }

  /** Whether someone else was heard at `address` of late and is believed. */
  usedByOther(client: DhcpClient, address: number, nowMs: number): boolean {
    const heard = this.#options.link.heardAt(address);
    if (heard === undefined || heard.mac === client.mac) return false;
    // Who was heard longer ago is asked.
    if (this.#options.probe && nowMs - heard.seenMs > FRESH_MS) return false;
    return this.believe(address, heard, nowMs);
  }

  /**
   * Someone was found at `address` who has no lease of it: puts it out of use, unless that port has claimed too much
   * already.
   */
  believe(address: number, heard: Omit<Heard, 'seenMs'>, nowMs: number): boolean {
    const { table, counters } = this.#options;
    const entry = table.at(address);
    if (entry !== undefined && entry.client.mac === heard.mac) {
      table.heard(address, nowMs);
      return true;
    }
    if (entry?.state !== 'declined' && table.claimsOf(heard.port.id).size >= this.#claimLimit) {
      counters.add('dhcp-claim-ignored');
      return false;
    }
    if (table.size < MAX_ENTRIES || entry !== undefined) table.claim(address, heard.mac, heard.port.id, nowMs);
    return true;
  }

  /** Whether the address should be asked for on the link before `client` gets it. */
  needsProbe(client: DhcpClient, address: number): boolean {
    const { table, link, probe } = this.#options;
    if (!probe || table.reservations.addressOf(client) === address) return false;
    if (link.heardAt(address)?.mac === client.mac) return false;
    const entry = table.at(address);
    if (entry?.client.key !== client.key || entry.state === 'declined') return true;
    return entry.state === 'free' && link.hasOthers();
  }

  /** Whether the address is still one that `client` may get: reservations and own addresses change. */
  isOpen(client: DhcpClient, address: number): boolean {
    const reserved = this.#options.table.reservations.addressOf(client);
    return reserved === undefined ? this.#inPool(address) : reserved === address;
  }

  #inPool(address: number): boolean {
    const { table } = this.#options;
    return table.pool.has(address) && !table.reservations.holds(address);
  }

  /** Leases charged to the client's place, its own aside. */
  #countOf(client: DhcpClient): number {
    const { table } = this.#options;
    const own = table.find(client)?.client.place === client.place ? 1 : 0;
    return table.leasesOf(client.place).size - own;
  }

  #neverUsed(client: DhcpClient, nowMs: number): number | undefined {
    const { table, isBusy } = this.#options;
    if (table.size >= MAX_ENTRIES) return undefined;
    for (let address = table.unusedFrom; address <= table.pool.last; address++) {
      if (table.at(address) !== undefined || isBusy(address) || !this.#inPool(address)) continue;
      if (!this.usedByOther(client, address, nowMs)) return address;
      if (table.size >= MAX_ENTRIES) return undefined;
    }
    return undefined;
  }

  /** Of the addresses that are only remembered. */
  #longestUnheard(client: DhcpClient, nowMs: number): number | undefined {
    const { table } = this.#options;
    return this.#best(client, table.values(), nowMs, (lease) => (lease.state === 'free' ? 0 : undefined));
  }

  #fromFullest(client: DhcpClient, nowMs: number): number | undefined {
    const { table } = this.#options;
    const place = table.fullestPlace;
    if (table.leasesOf(place).size <= table.leasesOf(client.place).size + 1) return undefined;
    return this.#oldestOf(client, place, nowMs);
  }

  /** Of what a place holds: remembered before offered before bound, the least recently heard first. */
  #oldestOf(client: DhcpClient, place: number, nowMs: number): number | undefined {
    const { table, probe } = this.#options;
    if (place === UNKNOWN_PLACE) return undefined;
    // Without a probe nobody knows whether another port's guest is alive.
    const boundToo = probe || place === client.place;
    return this.#best(client, table.leasesOf(place), nowMs, (lease) => {
      if (lease.state !== 'bound') return lease.state === 'free' ? 0 : 1;
      return boundToo ? 2 : undefined;
    });
  }

  /** The address of the lowest rank, the least recently heard among equals; undefined rank: not this one. */
  #best(
    client: DhcpClient,
    leases: Iterable<Lease>,
    nowMs: number,
    rankOf: (lease: Lease) => number | undefined,
  ): number | undefined {
    let best: Lease | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    for (const lease of leases) {
      const rank = rankOf(lease);
      if (rank === undefined || rank > bestRank || this.#options.isBusy(lease.address)) continue;
      if (best !== undefined && rank === bestRank && this.#heardMs(lease) >= this.#heardMs(best)) continue;
      if (!this.#inPool(lease.address) || this.#inUse(client, lease, nowMs)) continue;
      best = lease;
      bestRank = rank;
    }
    return best?.address;
  }

  /**
   * Its client sent anything of late, or someone else is there. (That a client asked for a lease of late proves little:
   * a flood does that too.) Looked up without a claim, for the entry stays its client's.
   */
  #inUse(client: DhcpClient, lease: Lease, nowMs: number): boolean {
    const { link, table, probe } = this.#options;
    const heard = link.heardAt(lease.address);
    if (heard === undefined || heard.mac === client.mac) return false;
    const fresh = nowMs - heard.seenMs <= FRESH_MS;
    if (heard.mac === lease.client.mac) return fresh;
    return (fresh || !probe) && table.claimsOf(heard.port.id).size < this.#claimLimit;
  }

  #heardMs(lease: Lease): number {
    const heard = this.#options.link.heardAt(lease.address);
    return heard?.mac === lease.client.mac ? Math.max(heard.seenMs, lease.seenMs) : lease.seenMs;
  }
}
