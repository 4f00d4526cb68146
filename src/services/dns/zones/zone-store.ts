import { SlipwayError } from '../../../config/errors.ts';
import type { ZoneDescription, ZoneRecord } from '../../../config/zone-description.ts';
import type { Counters } from '../../../env/counters.ts';
import type { DnsData } from '../../../wire/dns-data.ts';
import { dnsNameKey } from '../../../wire/dns-name.ts';
import type { DnsQuery } from '../dns-query.ts';
import { DNS_MAX_MESSAGE_BYTES } from '../protocol.ts';
import { type AddressPatterns, zonePatterns } from './address-patterns.ts';
import type { BuiltinZones } from './builtin-zones.ts';
import { GuestNames } from './guest-names.ts';
import type { LeaseName } from './lease-names.ts';
import { ReverseZone } from './reverse-zone.ts';
import { ServiceNames } from './service-names.ts';
import { Zone, type ZoneSettings } from './zone.ts';
import { type Finding, type ZoneAnswer, ZoneAnswers } from './zone-answer.ts';
import { canonicalKey } from './zone-names.ts';
import {
  isTtl,
  MAX_TTL_SECONDS,
  NAME_HINT,
  recordError,
  recordKey,
  type StoredRecord,
  storedRecord,
  zoneText,
} from './zone-record.ts';
import { ZoneTree } from './zone-tree.ts';

/** A person's or a program's zones; each costs about a kilobyte. */
export const MAX_ZONES = 1_024;
/** 100,000: a record takes about 500 bytes, so 50 MB at the most. */
export const MAX_ZONE_RECORDS = 100_000;
/** 16 MiB of record data: what TXT records could otherwise make of it has no end. */
export const MAX_ZONE_BYTES: number = 16 * 1024 * 1024;
/** 32 KiB at one name: its records, and the chain that leads there, fit in one message over TCP. */
export const MAX_NAME_BYTES: number = 32 * 1024;

export interface ZoneStoreOptions {
  /** Of records and zones without their own. */
  readonly defaultTtlSeconds: number;
  /** None in tests of zones alone. */
  readonly builtIn?: BuiltinZones | undefined;
  readonly counters?: Counters | undefined;
}

/** Which records to remove: all of a name, all of a name and type, or the one with this data. A ZoneRecord is one. */
export interface RecordSelector {
  readonly name: string;
  readonly type?: DnsData['type'] | undefined;
  readonly data?: DnsData | undefined;
}

/** A zone as it was set; `setZone` with it changes nothing. */
export interface ListedZone extends ZoneDescription {
  readonly serial: number;
  /** The zone is there by itself and stays. */
  readonly builtIn: boolean;
  /** What Slipway has there by itself: names of services, built-in names and those of leases. */
  readonly standing: readonly ZoneRecord[];
}

type OwnSettings = Pick<ZoneDescription, 'ttlSeconds' | 'defaultAddress' | 'defaultAtApex' | 'patterns'>;

/**
 * The data of the internal DNS server: zones that are added, replaced and removed while it answers. Synchronous: a change is in
 * the next answer, whole or (when it throws) not at all. Answering never throws and allocates for the answer only.
 *
 * - The longest zone name that a name ends with decides; within a zone RFC 1034 §4.3.2 and RFC 4592 hold. No delegations.
 * - What is built in cannot be removed. What is set in a built-in zone lies over it: a record hides the built-in ones of its name
 *   and type, a CNAME all of its name, and they are back when it goes. `removeZone` of a built-in zone removes what was set. A new zone
 *   around built-in names has them too.
 * - Names of services: see ServiceNames. They stay whatever is set or removed around them, and are hidden as built-in ones are.
 * - Every change raises the serial of the zone's SOA. All zones share one counter, so a zone that comes back has a higher one too.
 * - PTR for the subnet is made from the A records of all zones; see ReverseZone. Names of leases: see GuestNames.
 *
 * Limits: MAX_ZONES, MAX_ZONE_RECORDS, MAX_ZONE_BYTES, MAX_NAME_BYTES; beyond, the change is refused with ERR_DNS_ZONE.
 */
export class ZoneStore {
  readonly #defaultTtlSeconds: number;
  readonly #tree = new ZoneTree();
  /** What `setZone` and `addRecords` made; a zone that is missing here is there by itself. */
  readonly #set = new Map<string, OwnSettings>();
  readonly #builtIn: ReadonlySet<string>;
  /** Built-in records under absolute names. */
  readonly #builtInRecords: readonly ZoneRecord[];
  readonly #services = new ServiceNames(this.#tree, {
    create: (name) => this.#create(name, this.#settings({})),
    remove: (zone) => {
      this.#tree.remove(zone);
      this.#raise(zone);
    },
    changed: (zone) => {
      this.#reverse?.forget();
      this.#raise(zone);
    },
  });
  readonly #answers = new ZoneAnswers((key) => this.#find(key));
  readonly #guests: GuestNames | undefined;
  readonly #reverse: ReverseZone | undefined;
  #serial = 0;
  #records = 0;
  #bytes = 0;

  constructor(options: ZoneStoreOptions) {
    const { defaultTtlSeconds, builtIn, counters } = options;
    this.#defaultTtlSeconds = defaultTtlSeconds;
    const zones = builtIn?.zones ?? [];
    this.#builtIn = new Set(zones.map(({ name }) => name));
    this.#builtInRecords = zones.flatMap((zone) =>
      zone.records.map((record) => ({ ...record, name: `${recordKey(zone.name, record.name)}.` })),
    );
    for (const { name } of zones) this.#create(name, this.#settings({}));
    if (builtIn === undefined) return;
    this.#guests = new GuestNames(this.#tree, builtIn.guestAddress, (zone) => this.#raise(zone), counters);
    this.#reverse = new ReverseZone(builtIn, this.#tree, this.#guests, defaultTtlSeconds);
  }

  /** Adds a zone, or puts it in the place of the one that was set under its name. Throws SlipwayError ERR_DNS_ZONE. */
  setZone(description: ZoneDescription): void {
    const name = zoneKey(description.name);
    const settings = this.#checkedSettings(name, description);
    const records = unique(description.records.map((record) => storedRecord(name, record)));
    checkNames(name, records);
    this.#checkInZone(name, records);
    const there = this.#tree.get(name);
    const before = there === undefined ? [] : ownRecords(there);
    this.#checkRoom(records, before);
    const isNew = there === undefined || this.#services.isOwnZone(name);
    if (isNew) this.#checkZones();
    const zone = there ?? this.#create(name, settings);
    zone.clear('own');
    zone.change(settings);
    for (const record of records) zone.add('own', record);
    const { ttlSeconds, defaultAddress, defaultAtApex, patterns } = description;
    this.#set.set(name, { ttlSeconds, defaultAddress, defaultAtApex, ...(patterns && { patterns }) });
    if (isNew) this.#services.taken(zone);
    this.#count(records, before);
    this.#raise(zone);
  }

  /** Removes what was set under the name; false when nothing was. What is built in stays. */
  removeZone(name: string): boolean {
    const key = canonicalKey(name);
    const zone = key === undefined ? undefined : this.#tree.get(key);
    if (zone === undefined || !this.#set.delete(zone.name)) return false;
    this.#count([], zone.clear('own'));
    if (this.#builtIn.has(zone.name)) zone.change(this.#settings({}));
    else {
      this.#tree.remove(zone);
      this.#services.left(zone);
    }
    this.#raise(zone);
    return true;
  }

  /** Adds records to a zone that is there; one that is there already takes the new TTL. Throws SlipwayError ERR_DNS_ZONE. */
  addRecords(zoneName: string, records: readonly ZoneRecord[]): void {
    const zone = this.#existing(zoneName);
    const { name } = zone;
    const added = unique(records.map((record) => storedRecord(name, record)));
    const touched = new Set(added.map(({ key }) => key));
    const before = [...touched].flatMap((key) => zone.node(key)?.layers.own ?? []);
    const after = unique([...before, ...added]);
    checkNames(name, after);
    this.#checkInZone(name, added);
    this.#checkRoom(after, before);
    const isNew = this.#services.isOwnZone(name);
    if (isNew) this.#checkZones();
    for (const record of added) zone.add('own', record);
    if (!this.#set.has(name)) this.#set.set(name, {});
    if (isNew) this.#services.taken(zone);
    this.#count(after, before);
    this.#raise(zone);
  }

  /** Removes records that were set; returns how many there were. Throws SlipwayError ERR_DNS_ZONE for a zone that is not there. */
  removeRecords(zoneName: string, which: readonly RecordSelector[]): number {
    const zone = this.#existing(zoneName);
    // All are understood before the first is removed.
    const wanted = which.map(({ name, type, data }) => ({
      key: recordKey(zone.name, name),
      type,
      like: data === undefined ? undefined : storedRecord(zone.name, { name, data }).identity,
    }));
    const gone = wanted.flatMap(({ key, type, like }) =>
      zone.remove('own', key, ({ record, identity }) => {
        if (like !== undefined) return like === identity;
        return type === undefined || type === record.data.type;
      }),
    );
    if (gone.length === 0) return 0;
    this.#count([], gone);
    this.#raise(zone);
    return gone.length;
  }

  /** All zones in the order in which they came, the built-in ones first. */
  list(): ListedZone[] {
    return [...this.#tree.all].map((zone) => {
      const nodes = [...zone.nodes];
      return {
        name: zone.name,
        ...this.#set.get(zone.name),
        records: ownRecords(zone).map(({ record }) => record),
        serial: zone.authority.soa.serial,
        builtIn: this.#builtIn.has(zone.name),
        standing: nodes.flatMap(({ layers }) =>
          [...layers.service, ...layers['built-in'], ...layers.lease].map(({ record }) => record),
        ),
      };
    });
  }

  /** Whether a name (`dnsNameKey`) is ours to answer. */
  covers(nameKey: string): boolean {
    return this.#tree.of(nameKey) !== undefined || this.#reverse?.place(nameKey) !== undefined;
  }

  /**
   * The answer to a query; undefined when its name is not ours. The message is at most `maxBytes` (at least 512), which must leave
   * room for the OPT record that the front adds.
   */
  answer(query: DnsQuery, maxBytes: number = DNS_MAX_MESSAGE_BYTES): ZoneAnswer | undefined {
    return this.#answers.answer(query, maxBytes);
  }

  /** All leases there are, the oldest first; what was there before and is not among them has ended. */
  setLeaseNames(leases: readonly LeaseName[]): void {
    this.#guests?.replace(leases);
  }

  /** A lease began, or its guest renewed it. */
  setLeaseName(lease: LeaseName): void {
    this.#guests?.set(lease);
  }

  /** The lease of an address ended. */
  endLease(address: number): void {
    this.#guests?.end(address);
  }

  /** The name of a service, which may have meant another address before. Throws SlipwayError ERR_DNS_ZONE. */
  setServiceName(name: string, address: number): void {
    this.#services.set(zoneKey(name), address);
  }

  endServiceName(name: string): void {
    this.#services.end(zoneKey(name));
  }

  #find(key: string): Finding | undefined {
    const zone = this.#tree.of(key);
    const generated = this.#reverse?.find(key, zone, this.#serial);
    if (generated !== undefined || zone === undefined) return generated;
    return { authority: zone.authority, sets: zone.find(key) };
  }

  #create(name: string, settings: ZoneSettings): Zone {
    const zone = new Zone(name, settings);
    this.#tree.add(zone);
    for (const record of this.#builtInRecords) {
      if (this.#tree.of(dnsNameKey(record.name)) === zone) zone.add('built-in', storedRecord(name, record));
    }
    this.#raise(zone);
    return zone;
  }

  #existing(name: string): Zone {
    const zone = this.#tree.get(zoneKey(name));
    if (zone !== undefined) return zone;
    throw new SlipwayError('ERR_DNS_ZONE', `there is no zone ${zoneText(name)}`, 'Add the zone first.');
  }

  #settings({ ttlSeconds, defaultAddress, defaultAtApex }: OwnSettings, patterns?: AddressPatterns): ZoneSettings {
    return {
      ttlSeconds: ttlSeconds ?? this.#defaultTtlSeconds,
      defaultAddress,
      defaultAtApex: defaultAtApex ?? false,
      patterns,
    };
  }

  #checkedSettings(name: string, description: ZoneDescription): ZoneSettings {
    const { ttlSeconds, defaultAddress } = description;
    if (ttlSeconds !== undefined && !isTtl(ttlSeconds)) {
      const hint = `Give it whole seconds up to ${MAX_TTL_SECONDS}.`;
      throw new SlipwayError('ERR_DNS_ZONE', `the zone ${zoneText(name)} has the TTL ${ttlSeconds}`, hint);
    }
    if (defaultAddress !== undefined && defaultAddress !== defaultAddress >>> 0) {
      const hint = 'Give it an IPv4 address such as 192.168.65.254, or none.';
      throw new SlipwayError('ERR_DNS_ZONE', `the default address of the zone ${zoneText(name)} is none`, hint);
    }
    return this.#settings(description, zonePatterns(name, description.patterns));
  }

  /** What lies in a deeper zone would never be answered. */
  #checkInZone(zone: string, records: readonly StoredRecord[]): void {
    for (const { key, record } of records) {
      const deepest = this.#services.zoneOf(key)?.name;
      if (deepest === undefined || deepest.length <= zone.length) continue;
      throw recordError(record.name, zone, `lies in the zone ${deepest}, which decides there`, `Add it to ${deepest}.`);
    }
  }

  #checkZones(): void {
    if (this.#tree.size - this.#services.zoneCount < MAX_ZONES) return;
    throw new SlipwayError('ERR_DNS_ZONE', `there are ${MAX_ZONES} zones already`, 'Remove one first.');
  }

  #checkRoom(after: readonly StoredRecord[], before: readonly StoredRecord[]): void {
    if (this.#records + after.length - before.length > MAX_ZONE_RECORDS) {
      const hint = 'A wildcard or a default address can stand for many records.';
      throw new SlipwayError(
        'ERR_DNS_ZONE',
        `all zones together would have more than ${MAX_ZONE_RECORDS} records`,
        hint,
      );
    }
    if (this.#bytes + bytesOf(after) - bytesOf(before) > MAX_ZONE_BYTES) {
      const hint = 'Shorten or remove TXT records.';
      throw new SlipwayError(
        'ERR_DNS_ZONE',
        `the records of all zones would take more than ${MAX_ZONE_BYTES} bytes`,
        hint,
      );
    }
  }

  #count(after: readonly StoredRecord[], before: readonly StoredRecord[]): void {
    this.#records += after.length - before.length;
    this.#bytes += bytesOf(after) - bytesOf(before);
    this.#reverse?.forget();
  }

  #raise(zone: Zone): void {
    // RFC 1982: after the highest comes 0, which some take for "none".
    this.#serial = (this.#serial + 1) >>> 0 || 1;
    zone.raise(this.#serial);
  }
}

/** Throws SlipwayError ERR_DNS_ZONE when the name is none. */
function zoneKey(name: string): string {
  const key = canonicalKey(name);
  if (key === undefined || key.startsWith('*.') || key === '*') {
    throw new SlipwayError('ERR_DNS_ZONE', `${JSON.stringify(name)} cannot be the name of a zone`, NAME_HINT);
  }
  return key;
}

function ownRecords(zone: Zone): StoredRecord[] {
  return [...zone.nodes].flatMap(({ layers }) => layers.own);
}

/** Of records that are the same (RFC 2181 §5) the last, which has the newest TTL, in the place of the first. */
function unique(records: readonly StoredRecord[]): StoredRecord[] {
  return [...new Map(records.map((record) => [`${record.key} ${record.identity}`, record])).values()];
}

function bytesOf(records: readonly StoredRecord[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What records of one name must be together. `records`: all that the names in it will have. */
function checkNames(zone: string, records: readonly StoredRecord[]): void {
  const names = new Map<string, { count: number; bytes: number; alias: boolean }>();
  for (const { key, record, bytes } of records) {
    const name = names.get(key) ?? { count: 0, bytes: 0, alias: false };
    names.set(key, name);
    name.count++;
    name.bytes += bytes;
    name.alias ||= record.data.type === 'CNAME';
    if (name.alias && name.count > 1) {
      throw recordError(
        record.name,
        zone,
        'stands beside a CNAME',
        'A CNAME is the only record of its name (RFC 1034 §3.6.2).',
      );
    }
    if (name.bytes > MAX_NAME_BYTES) {
      const hint = 'Give the name fewer or shorter records.';
      throw recordError(
        record.name,
        zone,
        `makes more than ${MAX_NAME_BYTES} bytes at one name, too much for an answer`,
        hint,
      );
    }
  }
}
