import { isIP } from 'node:net';
import { z } from 'zod';
import { SlipwayError } from '../../facts/errors.ts';
import { listenAddress } from '../../config/port-spec.ts';
import type { ZonePattern, ZoneRecord } from '../../config/dns-zones.ts';
import { patternInstructions, zonePatterns } from '../../services/dns/zones/address-patterns.ts';
import type { ListedZone, ZoneStore } from '../../services/dns/zones/zone-store.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { formatIpv6Address, parseIpv6Address } from '../../wire/ipv6-address.ts';
import { readCompatBody, textField } from '../server/compat-body.ts';
import { Refusal } from './answer.ts';

/** Of one zone, old ones that newer ones hide included. */
const MAX_RECORDS = 5_000;
/** gvproxy's answers may not be kept: what is added is in the next answer. */
const TTL_SECONDS = 0;

/** types.Record, its address as text; `own`: the record of a zone that was not set here. */
interface GoRecord {
  readonly Name: string;
  readonly IP: string;
  readonly Regexp?: string;
  readonly own?: ZoneRecord;
}

interface GoZone {
  readonly Name: string;
  readonly Records: readonly GoRecord[];
  readonly DefaultIP: string;
}

type Zones = Pick<ZoneStore, 'setZone' | 'list'>;

/**
 * gvproxy's /services/dns/{all,add} on top of our zones. A zone that is added again keeps its place, its new records go
 * before the old ones and hide those of the same name, and its default address is the new one's. What hides behind
 * newer records is remembered here for /all, until someone else changes the zone. Where gvproxy asks zones in order,
 * ours is the one with the longest name.
 */
export class DnsZones {
  readonly #zones: Zones;
  /** By our name of the zone: all records that were added here, and the zone's serial then. */
  readonly #added = new Map<string, { readonly records: readonly GoRecord[]; readonly serial: number }>();

  constructor(zones: Zones) {
    this.#zones = zones;
  }

  all(): unknown {
    return this.#zones.list().map((zone) => {
      const records = [
        ...this.#recordsOf(zone),
        ...zone.standing.flatMap((record) => addressRecord(zone.name, record)),
      ];
      return {
        Name: `${zone.name}.`,
        Records: records.length === 0 ? null : records.map(({ own: _, ...record }) => record),
        DefaultIP: zone.defaultAddress === undefined ? '' : formatIpv4Address(zone.defaultAddress),
      };
    });
  }

  /** Throws Refusal 400. */
  add(body: Uint8Array): void {
    const read = readCompatBody(body, zoneField);
    if ('error' in read) throw new Refusal(400, read.error);
    try {
      this.#add(read.value);
    } catch (error) {
      throw error instanceof SlipwayError ? new Refusal(400, error.message) : error;
    }
  }

  #add({ Name, Records, DefaultIP }: GoZone): void {
    const name = Name.replace(/\.$/, '').toLowerCase();
    const there = this.#zones.list().find((zone) => zone.name === name);
    const records = unique([...Records, ...(there === undefined ? [] : this.#recordsOf(there))]);
    if (records.length > MAX_RECORDS) {
      throw new SlipwayError('ERR_DNS_ZONE', `a zone takes at most ${MAX_RECORDS} records here`);
    }
    const others = (there?.records ?? []).filter(({ data }) => data.type !== 'A' && data.type !== 'AAAA');
    const effective = inForce(name, records);
    const defaultAddress = parseIpv4Address(DefaultIP);
    const { defaultAtApex, ttlSeconds } = there ?? { ttlSeconds: TTL_SECONDS };
    this.#zones.setZone({
      name,
      ttlSeconds,
      ...(defaultAddress !== undefined && { defaultAddress }),
      ...(defaultAtApex !== undefined && { defaultAtApex }),
      patterns: effective.patterns,
      records: [...effective.records, ...others],
    });
    const serial = this.#zones.list().find((zone) => zone.name === name)?.serial;
    if (serial !== undefined) this.#added.set(name, { records, serial });
  }

  /** What was set in a zone, the newest first, hidden records included. */
  #recordsOf(zone: ListedZone): readonly GoRecord[] {
    const added = this.#added.get(zone.name);
    if (added?.serial === zone.serial) return added.records;
    this.#added.delete(zone.name);
    return [
      ...zone.records.flatMap((record) => addressRecord(zone.name, record).map((one) => ({ ...one, own: record }))),
      ...(zone.patterns ?? []).map(({ expression, address }) => ({
        Name: '',
        IP: formatIpv4Address(address),
        Regexp: expression,
      })),
    ];
  }
}

/** What answers: for each name the first record that gvproxy would find, by name or by expression. */
function inForce(zone: string, all: readonly GoRecord[]): { records: ZoneRecord[]; patterns: ZonePattern[] } {
  const patterns: ZonePattern[] = [];
  /** The place of each pattern among all records. */
  const places: number[] = [];
  for (const [place, { IP, Regexp }] of all.entries()) {
    const address = parseIpv4Address(IP);
    if (Regexp === undefined || address === undefined) continue;
    patterns.push({ expression: Regexp, address });
    places.push(place);
  }
  const compiled = zonePatterns(zone, patterns);
  const names = new Map<string, ZoneRecord[]>();
  /**
   * Names whose first record was set elsewhere: several addresses of a name are nothing that gvproxy knows, but were
   * meant.
   */
  const elsewhere = new Set<string>();
  for (const [place, { Name, IP, own }] of all.entries()) {
    const key = Name.toLowerCase();
    const first = Name === '' ? undefined : compiled?.first(key);
    const hiding = first !== undefined && places[first]! < place ? patterns[first] : undefined;
    const data = hiding === undefined ? dataOf(IP) : ({ type: 'A', address: hiding.address } as const);
    if (own !== undefined && elsewhere.has(key)) names.get(key)?.push(own);
    else if (own !== undefined && hiding === undefined && !names.has(key)) {
      elsewhere.add(key);
      names.set(key, [own]);
    } else if (Name !== '' && data !== undefined && !names.has(key)) names.set(key, [{ name: Name, data }]);
  }
  return { records: [...names.values()].flat(), patterns };
}

function dataOf(ip: string): ZoneRecord['data'] | undefined {
  const address4 = parseIpv4Address(ip);
  if (address4 !== undefined) return { type: 'A', address: address4 };
  const address6 = parseIpv6Address(ip);
  return address6 === undefined ? undefined : { type: 'AAAA', address: address6 };
}

/** A record of ours as gvproxy shows it; none for what it has no record for. */
function addressRecord(zone: string, { name, data }: ZoneRecord): GoRecord[] {
  const relative = name === '@' ? '' : name.endsWith(`.${zone}.`) ? name.slice(0, -zone.length - 2) : name;
  if (data.type === 'A') return [{ Name: relative, IP: formatIpv4Address(data.address) }];
  return data.type === 'AAAA' ? [{ Name: relative, IP: formatIpv6Address(data.address, 0) }] : [];
}

function unique(records: readonly GoRecord[]): GoRecord[] {
  const seen = new Map<string, GoRecord>();
  for (const record of records) {
    const key = JSON.stringify([record.Name, record.IP, record.Regexp]);
    if (!seen.has(key)) seen.set(key, record);
  }
  return [...seen.values()];
}

/** An address; the empty text is none. */
const addressField = textField.transform((said, context) => {
  if (said === '') return said;
  const valid = isIP(said) !== 0 && !said.includes('%');
  if (!valid) context.addIssue({ code: 'custom', message: 'an IP address' });
  return listenAddress(said) ?? said;
});

const expressionField = z
  .string()
  .nullish()
  .transform((said, context) => {
    if (said == null) return undefined;
    try {
      patternInstructions(said);
      return said;
    } catch (error) {
      context.addIssue({ code: 'custom', message: `an expression (${(error as Error).message})` });
      return z.NEVER;
    }
  });

const recordField = z
  .object({ name: textField, ip: addressField, regexp: expressionField })
  .transform(
    ({ name, ip, regexp }): GoRecord => ({ Name: name, IP: ip, ...(regexp !== undefined && { Regexp: regexp }) }),
  );

const zoneField: z.ZodType<GoZone> = z
  .object({
    name: textField,
    records: z.array(recordField).nullish(),
    defaultip: addressField,
  })
  .transform(({ name, records, defaultip }) => ({ Name: name, Records: records ?? [], DefaultIP: defaultip }));
