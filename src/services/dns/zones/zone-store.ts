import { SlipwayError } from '../../../facts/errors.ts';
import type { ZoneDescription, ZoneRecord } from '../../../config/dns-zones.ts';
import type { Counters } from '../../../env/counters.ts';
import type { DnsData } from '../../../wire/dns-data.ts';
import type { DnsQuery } from '../dns-query.ts';
import { type AddressPatterns, zonePatterns } from './address-patterns.ts';
import type { BuiltinZones } from './builtin-zones.ts';
import { GuestNames } from './guest-names.ts';
import type { LeaseName } from './lease-names.ts';
import { ReverseZone } from './reverse-zone.ts';
import { StandingNames } from './standing-names.ts';
import { Zone, type ZoneSettings } from './zone.ts';
import { type Finding, type ZoneAnswer, ZoneAnswers } from './zone-answer.ts';
import { checkNames, checkZoneCount, unique, ZoneRoom } from './zone-limits.ts';
import { canonicalKey } from './zone-names.ts';
import { isTtl, NAME_HINT, recordError, recordKey, type StoredRecord, storedRecord, zoneText } from './zone-record.ts';
import { ZoneTree } from './zone-tree.ts';
import { DNS_MAX_MESSAGE_BYTES } from '../../../wire/dns-message.ts';
import { DNS_MAX_TTL_SECONDS } from '../../../wire/dns-record.ts';

interface ZoneStoreOptions {
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
 * The data of the internal DNS server: zones that are added, replaced and removed while it answers. Synchronous: a
 * change is in the next answer, whole or (when it throws) not at all. Answering never throws and allocates for the
 * answer only.
 *
 * - The longest zone name that a name ends with decides; within a zone RFC 1034 §4.3.2 and RFC 4592 hold. No
 *   delegations.
 * - A zone has two layers. What configuration or API gave lies over what stands there by itself (StandingNames): a
 *   given A record or CNAME hides the standing address of its name, which is back when it goes. A built-in zone cannot
 *   be removed; `removeZone` removes what was given in it.
 * - Every change raises the serial of the zone's SOA. All zones share one counter, so a zone that comes back has a
 *   higher one too.
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
  readonly #standing = new StandingNames(this.#tree, {
    create: (name) => this.#create(name, this.#settings({})),
    remove: (zone) => {
      this.#tree.remove(zone);
      this.#raise(zone);
    },
    changed: (zone, origin) => {
      if (origin !== 'guest') this.#reverse?.forget();
      this.#raise(zone);
    },
  });
  readonly #answers = new ZoneAnswers((key) => this.#find(key));
  readonly #guests: GuestNames | undefined;
  readonly #reverse: ReverseZone | undefined;
  #serial = 0;
  readonly #room = new ZoneRoom();

  constructor(options: ZoneStoreOptions) {
    const { defaultTtlSeconds, builtIn, counters } = options;
    this.#defaultTtlSeconds = defaultTtlSeconds;
    const zones = builtIn?.zones ?? [];
    this.#builtIn = new Set(zones.map(({ name }) => name));
    for (const { name } of zones) this.#create(name, this.#settings({}));
    for (const zone of zones) {
      for (const { name, data } of zone.records) {
        if (data.type === 'A') this.#standing.set('built-in', recordKey(zone.name, name), data.address);
      }
    }
    if (builtIn === undefined) return;
    const { guestAddress: withoutLease } = builtIn;
    this.#guests = new GuestNames({ tree: this.#tree, standing: this.#standing, withoutLease, counters });
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
    const before = there === undefined ? [] : givenRecords(there);
    this.#room.check(records, before);
    const isNew = there === undefined || this.#standing.isOwnZone(name);
    if (isNew) checkZoneCount(this.#tree.size - this.#standing.zoneCount);
    const zone = there ?? this.#create(name, settings);
    zone.clear();
    zone.change(settings);
    for (const record of records) zone.add(record);
    const { ttlSeconds, defaultAddress, defaultAtApex, patterns } = description;
    this.#set.set(name, { ttlSeconds, defaultAddress, defaultAtApex, ...(patterns && { patterns }) });
    if (isNew) this.#standing.taken(zone);
    this.#count(records, before);
    this.#raise(zone);
  }

  /** Removes what was set under the name; false when nothing was. What is built in stays. */
  removeZone(name: string): boolean {
    const key = canonicalKey(name);
    const zone = key === undefined ? undefined : this.#tree.get(key);
    if (zone === undefined || !this.#set.delete(zone.name)) return false;
    this.#count([], zone.clear());
    if (this.#builtIn.has(zone.name)) zone.change(this.#settings({}));
    else {
      this.#tree.remove(zone);
      this.#standing.left(zone);
    }
    this.#raise(zone);
    return true;
  }

  /**
   * Adds records to a zone that is there; one that is there already takes the new TTL. Throws SlipwayError
   * ERR_DNS_ZONE.
   */
  addRecords(zoneName: string, records: readonly ZoneRecord[]): void {
    const zone = this.#existing(zoneName);
    const { name } = zone;
    const added = unique(records.map((record) => storedRecord(name, record)));
    const touched = new Set(added.map(({ key }) => key));
    const before = [...touched].flatMap((key) => zone.node(key)?.given ?? []);
    const after = unique([...before, ...added]);
    checkNames(name, after);
    this.#checkInZone(name, added);
    this.#room.check(after, before);
    const isNew = this.#standing.isOwnZone(name);
    if (isNew) checkZoneCount(this.#tree.size - this.#standing.zoneCount);
    for (const record of added) zone.add(record);
    if (!this.#set.has(name)) this.#set.set(name, {});
    if (isNew) this.#standing.taken(zone);
    this.#count(after, before);
    this.#raise(zone);
  }

  /**
   * Removes records that were set; returns how many there were. Throws SlipwayError ERR_DNS_ZONE for a zone that is not
   * there.
   */
  removeRecords(zoneName: string, which: readonly RecordSelector[]): number {
    const zone = this.#existing(zoneName);
    // All are understood before the first is removed.
    const wanted = which.map(({ name, type, data }) => ({
      key: recordKey(zone.name, name),
      type,
      like: data === undefined ? undefined : storedRecord(zone.name, { name, data }).identity,
    }));
    const gone = wanted.flatMap(({ key, type, like }) =>
      zone.remove(key, ({ record, identity }) => {
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
        records: givenRecords(zone).map(({ record }) => record),
        serial: zone.authority.soa.serial,
        builtIn: this.#builtIn.has(zone.name),
        standing: nodes.flatMap(({ standing }) => (standing === undefined ? [] : [standing.record])),
      };
    });
  }

  /**
   * The answer to a query; undefined when its name is not ours. The message is at most `maxBytes` (at least 512),
   * which must leave room for the OPT record that the front adds.
   */
  answer(query: DnsQuery, maxBytes: number = DNS_MAX_MESSAGE_BYTES): ZoneAnswer | undefined {
    return this.#answers.answer(query, maxBytes);
  }

  /** A lease began, or its guest renewed it. */
  setLeaseName(lease: LeaseName): void {
    this.#guests?.set(lease);
  }

  /** The lease of an address ended. */
  endLease(address: number): void {
    this.#guests?.remove(address);
  }

  /** The name of a service, which may have meant another address before. Throws SlipwayError ERR_DNS_ZONE. */
  setServiceName(name: string, address: number): void {
    this.#standing.set('service', zoneKey(name), address);
  }

  removeServiceName(name: string): void {
    this.#standing.set('service', zoneKey(name), undefined);
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
      const hint = `Use whole seconds from 0 to ${DNS_MAX_TTL_SECONDS}.`;
      throw new SlipwayError('ERR_DNS_ZONE', `the zone ${zoneText(name)} has the TTL ${ttlSeconds}`, hint);
    }
    if (defaultAddress !== undefined && defaultAddress !== defaultAddress >>> 0) {
      const hint = 'Use one such as 192.168.65.254, or leave it out.';
      throw new SlipwayError(
        'ERR_DNS_ZONE',
        `the default address of the zone ${zoneText(name)} is not an IPv4 address`,
        hint,
      );
    }
    return this.#settings(description, zonePatterns(name, description.patterns));
  }

  /** A record that lies in a deeper zone would never be used. */
  #checkInZone(zone: string, records: readonly StoredRecord[]): void {
    for (const { key, record } of records) {
      const deepest = this.#standing.zoneOf(key)?.name;
      if (deepest === undefined || deepest.length <= zone.length) continue;
      throw recordError(
        record.name,
        zone,
        `belongs to the zone ${deepest}, which answers for it`,
        `Add it to ${deepest}.`,
      );
    }
  }

  #count(after: readonly StoredRecord[], before: readonly StoredRecord[]): void {
    this.#room.count(after, before);
    this.#reverse?.forget();
  }

  #raise(zone: Zone): void {
    // RFC 1982: after the highest comes 0, which some take for "none".
    this.#serial = (this.#serial + 1) >>> 0 || 1;
    zone.raise(this.#serial);
  }
}

/** Throws SlipwayError ERR_DNS_ZONE when `name` is not a domain name. */
function zoneKey(name: string): string {
  const key = canonicalKey(name);
  if (key === undefined || key.startsWith('*.') || key === '*') {
    throw new SlipwayError('ERR_DNS_ZONE', `${JSON.stringify(name)} cannot be the name of a zone`, NAME_HINT);
  }
  return key;
}

function givenRecords(zone: Zone): StoredRecord[] {
  return [...zone.nodes].flatMap(({ given }) => given);
}
