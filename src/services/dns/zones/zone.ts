import { SERVER_NAME } from '../../../facts/own-names.ts';
import type { DnsData, DnsSoa } from '../../../wire/dns-data.ts';
import { DNS_TYPE_A, DNS_TYPE_CNAME, DNS_TYPE_NS, DNS_TYPE_SOA } from '../../../wire/dns-message.ts';
import type { AddressPatterns } from './address-patterns.ts';
import { labelStarts, parentKey } from './zone-names.ts';
import type { StoredRecord } from './zone-record.ts';

/** All records of one name and type (RFC 2181 §5). */
export interface RecordSet {
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: readonly DnsData[];
}

/** The authority for a name, as a negative answer has it (RFC 2308 §3). */
export interface Authority {
  /** The zone's key. */
  readonly name: string;
  /** Also how long a negative answer lasts. */
  readonly ttlSeconds: number;
  readonly soa: DnsSoa;
}

export const NO_SETS: readonly RecordSet[] = [];

/** The mailbox in SOA records. */
const RNAME = `hostmaster.${SERVER_NAME}`;
/** Nobody transfers our zones; dig and delv expect to see them. */
const REFRESH_SECONDS = 3600;
const RETRY_SECONDS = 600;
const EXPIRE_SECONDS = 86_400;

/** SOA of `zone`. */
export function authorityOf(name: string, ttlSeconds: number, serial: number): Authority {
  return {
    name,
    ttlSeconds,
    soa: {
      mname: SERVER_NAME,
      rname: RNAME,
      serial,
      refreshSeconds: REFRESH_SECONDS,
      retrySeconds: RETRY_SECONDS,
      expireSeconds: EXPIRE_SECONDS,
      minimumSeconds: ttlSeconds,
    },
  };
}

/** What every zone has: SOA, and NS unless `sets` has it. */
export function apexSets(authority: Authority, sets: readonly RecordSet[]): RecordSet[] {
  const { ttlSeconds, soa } = authority;
  const standing: RecordSet[] = [{ type: DNS_TYPE_SOA, ttlSeconds, data: [{ type: 'SOA', soa }] }];
  if (!sets.some(({ type }) => type === DNS_TYPE_NS)) {
    standing.push({ type: DNS_TYPE_NS, ttlSeconds, data: [{ type: 'NS', target: SERVER_NAME }] });
  }
  return standing;
}

/** Whose word a standing name is, the strongest first: services, what is built in, what guests call themselves. */
export const STANDING_ORIGINS = ['service', 'built-in', 'guest'] as const;
export type StandingOrigin = (typeof STANDING_ORIGINS)[number];

/** The standing address of a name. Given records of the same type, or a CNAME, hide it. */
interface StandingRecord extends StoredRecord {
  readonly origin: StandingOrigin;
}

/** A name that exists: it has records, or names below it, or is where a deeper zone begins. */
export class ZoneNode {
  readonly key: string;
  /** What there is to answer; empty for an empty non-terminal (RFC 4592 §2.2.2). */
  sets: readonly RecordSet[] = NO_SETS;
  /** What configuration or API gave. */
  readonly given: StoredRecord[] = [];
  standing: StandingRecord | undefined;
  /** Nodes one label below. */
  children = 0;
  /** A deeper zone begins here: it answers, this node only exists. */
  cut = false;
  /** The node of '*' one label below (RFC 4592 §2.1.1). */
  wildcard: ZoneNode | undefined;

  constructor(key: string) {
    this.key = key;
  }

  get needed(): boolean {
    return this.children > 0 || this.cut || this.given.length > 0 || this.standing !== undefined;
  }
}

export interface ZoneSettings {
  readonly ttlSeconds: number;
  readonly defaultAddress: number | undefined;
  readonly defaultAtApex: boolean;
  readonly patterns: AddressPatterns | undefined;
}

/** The names of one zone. It trusts its records: `storedRecord` checked each, the store checked them together. */
export class Zone {
  readonly name: string;
  authority: Authority;
  #settings: ZoneSettings;
  #defaultSets: readonly RecordSet[] = NO_SETS;
  /** In the order in which the names came to be; the zone's own name first. */
  readonly #nodes = new Map<string, ZoneNode>();
  readonly #apex: ZoneNode;
  /** Labels of the zone's name. */
  readonly #labels: number;

  constructor(name: string, settings: ZoneSettings) {
    this.name = name;
    this.#labels = labelStarts(name).length;
    this.#apex = new ZoneNode(name);
    this.#nodes.set(name, this.#apex);
    this.#settings = settings;
    this.authority = authorityOf(name, settings.ttlSeconds, 0);
    this.change(settings);
  }

  get settings(): ZoneSettings {
    return this.#settings;
  }

  get nodes(): Iterable<ZoneNode> {
    return this.#nodes.values();
  }

  node(key: string): ZoneNode | undefined {
    return this.#nodes.get(key);
  }

  /** Changes TTL and default address of everything in the zone. */
  change(settings: ZoneSettings): void {
    this.#settings = settings;
    const { defaultAddress, ttlSeconds } = settings;
    this.#defaultSets = defaultAddress === undefined ? NO_SETS : addressSets(defaultAddress, ttlSeconds);
    for (const node of this.#nodes.values()) this.#settle(node);
  }

  /** Sets the serial of the zone's SOA after a change. */
  raise(serial: number): void {
    this.authority = authorityOf(this.name, this.#settings.ttlSeconds, serial);
    this.#settle(this.#apex);
  }

  /** Adds a given record; one that is there already takes the new one's TTL. */
  add(record: StoredRecord): void {
    const node = this.#grow(record.key);
    const at = node.given.findIndex(({ identity }) => identity === record.identity);
    if (at < 0) node.given.push(record);
    else node.given[at] = record;
    this.#settle(node);
  }

  /** Removes what `matches` of the given records of one name. Returns what went. */
  remove(key: string, matches: (record: StoredRecord) => boolean): StoredRecord[] {
    const node = this.#nodes.get(key);
    if (node === undefined) return [];
    const gone = node.given.filter(matches);
    if (gone.length === 0) return gone;
    node.given.splice(0, node.given.length, ...node.given.filter((record) => !gone.includes(record)));
    this.#settle(node);
    this.#prune(node);
    return gone;
  }

  /** Removes all given records. Returns what went. */
  clear(): StoredRecord[] {
    return [...this.#nodes.keys()].flatMap((key) => this.remove(key, () => true));
  }

  /** Sets or removes the standing record of a name. Returns whether it changed. */
  stand(key: string, record: StandingRecord | undefined): boolean {
    const before = this.#nodes.get(key)?.standing;
    if (before?.identity === record?.identity && before?.origin === record?.origin) return false;
    const node = this.#grow(key);
    node.standing = record;
    this.#settle(node);
    this.#prune(node);
    return true;
  }

  /** Whether a deeper zone begins at `key`. */
  setCut(key: string, cut: boolean): void {
    if (!cut && !this.#nodes.has(key)) return;
    const node = this.#grow(key);
    node.cut = cut;
    this.#prune(node);
  }

  /**
   * What there is at a name of the zone, itself, by a pattern or by a wildcard (RFC 1034 §4.3.2 steps 3.a and 3.c as
   * RFC 4592 §3.3.1 has them); undefined when the name does not exist. Nothing of a deeper zone may be asked for.
   */
  find(key: string): readonly RecordSet[] | undefined {
    const own = this.#nodes.get(key);
    if (own === undefined || own.sets.length === 0) {
      const matched = this.#match(key);
      if (matched !== undefined) return matched;
    }
    const sets = (own ?? this.#sourceOfSynthesis(key))?.sets;
    if (sets !== undefined && sets.length > 0) return sets;
    return this.#defaultSets.length > 0 ? this.#defaultSets : sets;
  }

  #match(key: string): readonly RecordSet[] | undefined {
    const { patterns, ttlSeconds } = this.#settings;
    const address = patterns?.find(key.slice(0, -(this.name.length + 1)));
    return address === undefined ? undefined : addressSets(address, ttlSeconds);
  }

  /**
   * RFC 4592 §3.3.1: the wildcard right below the closest encloser, and no other, stands in for a name that does not
   * exist.
   */
  #sourceOfSynthesis(key: string): ZoneNode | undefined {
    const starts = labelStarts(key);
    let encloser = this.#apex;
    // Downwards, as what lies above a name exists too: a guest's hundred labels below it cost nothing.
    for (let i = starts.length - this.#labels - 1; i >= 0; i--) {
      const node = this.#nodes.get(key.slice(starts[i]));
      if (node === undefined) break;
      encloser = node;
    }
    return encloser.wildcard;
  }

  /** The node of a name, made with all above it when it is missing. */
  #grow(key: string): ZoneNode {
    const there = this.#nodes.get(key);
    if (there !== undefined) return there;
    const node = new ZoneNode(key);
    const parent = this.#grow(parentKey(key));
    parent.children++;
    if (isWildcard(key)) parent.wildcard = node;
    this.#nodes.set(key, node);
    return node;
  }

  /** Removes a node that has nothing, and those above it that existed only for it. */
  #prune(node: ZoneNode): void {
    if (node === this.#apex || node.needed) return;
    this.#nodes.delete(node.key);
    const parent = this.#nodes.get(parentKey(node.key));
    if (parent === undefined) return;
    parent.children--;
    if (parent.wildcard === node) parent.wildcard = undefined;
    this.#prune(parent);
  }

  /** Computes what the node answers. */
  #settle(node: ZoneNode): void {
    const sets = this.#setsOf(node.given);
    const has = (type: number): boolean => sets.some((set) => set.type === type);
    const { standing } = node;
    if (standing !== undefined && !has(standing.type) && !has(DNS_TYPE_CNAME)) sets.push(...this.#setsOf([standing]));
    if (node === this.#apex) {
      if (this.#settings.defaultAtApex && !has(DNS_TYPE_A)) sets.push(...this.#defaultSets);
      sets.unshift(...apexSets(this.authority, sets));
    }
    node.sets = sets.length === 0 ? NO_SETS : sets;
  }

  /** The TTLs of a set are one: where they differ, the lowest counts (RFC 2181 §5.2). */
  #setsOf(records: readonly StoredRecord[]): RecordSet[] {
    const sets = new Map<number, { type: number; ttlSeconds: number; data: DnsData[] }>();
    for (const { type, record } of records) {
      const ttlSeconds = record.ttlSeconds ?? this.#settings.ttlSeconds;
      const set = sets.get(type);
      if (set === undefined) sets.set(type, { type, ttlSeconds, data: [record.data] });
      else {
        set.ttlSeconds = Math.min(set.ttlSeconds, ttlSeconds);
        set.data.push(record.data);
      }
    }
    return [...sets.values()];
  }
}

function addressSets(address: number, ttlSeconds: number): readonly RecordSet[] {
  return [{ type: DNS_TYPE_A, ttlSeconds, data: [{ type: 'A', address }] }];
}

/** RFC 4592 §2.1.1: the first label is an asterisk and nothing else. */
export function isWildcard(key: string): boolean {
  return key === '*' || key.startsWith('*.');
}
