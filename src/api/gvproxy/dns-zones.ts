import { isIP } from 'node:net';
import { SlipwayError } from '../../config/errors.ts';
import { listenAddress } from '../../config/host-address.ts';
import type { ZonePattern, ZoneRecord } from '../../config/zone-description.ts';
import { NamePattern } from '../../services/dns/zones/name-pattern.ts';
import type { ListedZone, ZoneStore } from '../../services/dns/zones/zone-store.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { formatIpv6Address, parseIpv6Address } from '../../wire/ipv6-address.ts';
import { type GoAnswer, goError, OK } from './go-answer.ts';
import { goEncode, goField, misfit, parseGoJson } from './go-json.ts';

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
  readonly Records: readonly GoRecord[] | undefined;
  readonly DefaultIP: string;
}

type Zones = Pick<ZoneStore, 'setZone' | 'list'>;

/**
 * gvproxy's /services/dns/{all,add} on top of our zones. A zone that is added again keeps its place, its new records go before the old ones
 * and hide those of the same name, and its default address is the new one's. What hides behind newer records is remembered here for
 * /all, until someone else changes the zone. Where gvproxy asks zones in order, ours is the one with the longest name.
 */
export class DnsZones {
  readonly #zones: Zones;
  /** By our name of the zone: all records that were added here, and the zone's serial then. */
  readonly #added = new Map<string, { readonly records: readonly GoRecord[]; readonly serial: number }>();

  constructor(zones: Zones) {
    this.#zones = zones;
  }

  all(): GoAnswer {
    const shown = this.#zones.list().map((zone) => {
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
    return { status: 200, body: goEncode(shown) };
  }

  add(body: Uint8Array): GoAnswer {
    const json = parseGoJson(body);
    if ('error' in json) return goError(400, json.error);
    const added = readZone(json.value);
    if (typeof added === 'string') return goError(400, added);
    try {
      this.#add(added);
      return OK;
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      return goError(400, error.message);
    }
  }

  #add({ Name, Records = [], DefaultIP }: GoZone): void {
    const name = Name.replace(/\.$/, '').toLowerCase();
    const there = this.#zones.list().find((zone) => zone.name === name);
    const records = unique([...Records, ...(there === undefined ? [] : this.#recordsOf(there))]);
    if (records.length > MAX_RECORDS) {
      throw new SlipwayError('ERR_DNS_ZONE', `a zone takes at most ${MAX_RECORDS} records here`);
    }
    const others = (there?.records ?? []).filter(({ data }) => data.type !== 'A' && data.type !== 'AAAA');
    const effective = inForce(records);
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
function inForce(records: readonly GoRecord[]): { records: ZoneRecord[]; patterns: ZonePattern[] } {
  const found: { readonly pattern: NamePattern; readonly expression: string; readonly address: number }[] = [];
  const names = new Map<string, ZoneRecord[]>();
  /** Names whose first record was set elsewhere: several addresses of a name are nothing that gvproxy knows, but were meant. */
  const elsewhere = new Set<string>();
  for (const { Name, IP, Regexp, own } of records) {
    const key = Name.toLowerCase();
    const hidden = Name === '' ? undefined : found.find(({ pattern }) => pattern.matches(key));
    const data = hidden === undefined ? dataOf(IP) : ({ type: 'A', address: hidden.address } as const);
    if (own !== undefined && elsewhere.has(key)) names.get(key)?.push(own);
    else if (own !== undefined && hidden === undefined && !names.has(key)) {
      elsewhere.add(key);
      names.set(key, [own]);
    } else if (Name !== '' && data !== undefined && !names.has(key)) names.set(key, [{ name: Name, data }]);
    const address = parseIpv4Address(IP);
    if (Regexp !== undefined && address !== undefined) {
      found.push({ pattern: new NamePattern(Regexp), expression: Regexp, address });
    }
  }
  const patterns = found.map(({ expression, address }) => ({ expression, address }));
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

/** types.Zone as Go decodes it; the text of the error for what is none. */
function readZone(value: unknown): GoZone | string {
  const read = { Name: '', Records: undefined as readonly GoRecord[] | undefined, DefaultIP: '' };
  if (value === null) return read;
  if (typeof value !== 'object' || Array.isArray(value)) return misfit(value, 'Go value of type types.Zone');
  let fault: string | undefined;
  for (const [key, part] of Object.entries(value)) {
    const field = goField(key, ['Name', 'Records', 'DefaultIP']);
    if (field === undefined || part === null) continue;
    if (field === 'Name') {
      if (typeof part === 'string') read.Name = part;
      else fault ??= misfit(part, 'Go struct field Zone.Name of type string');
    } else if (field === 'DefaultIP') {
      const ip = readAddress(part, 'Zone.DefaultIP');
      if ('fault' in ip) fault ??= ip.fault;
      else read.DefaultIP = ip.text;
    } else if (Array.isArray(part)) {
      const records = part.map(readRecord);
      fault ??= records.find((record) => typeof record === 'string') as string | undefined;
      read.Records = records.filter((record) => typeof record !== 'string') as GoRecord[];
    } else fault ??= misfit(part, 'Go struct field Zone.Records of type []types.Record');
  }
  return fault ?? read;
}

function readRecord(value: unknown): GoRecord | string {
  const read = { Name: '', IP: '', Regexp: undefined as string | undefined };
  if (value === null) return { Name: '', IP: '' };
  if (typeof value !== 'object' || Array.isArray(value)) {
    return misfit(value, 'Go struct field Zone.Records of type types.Record');
  }
  for (const [key, part] of Object.entries(value)) {
    const field = goField(key, ['Name', 'IP', 'Regexp']);
    if (field === undefined || part === null) continue;
    if (field === 'IP') {
      const ip = readAddress(part, 'Record.Records.IP');
      if ('fault' in ip) return ip.fault;
      read.IP = ip.text;
    } else if (typeof part !== 'string') {
      return misfit(
        part,
        `Go struct field Record.Records.${field} of type ${field === 'Name' ? 'string' : '*regexp.Regexp'}`,
      );
    } else if (field === 'Name') read.Name = part;
    else {
      try {
        read.Regexp = new NamePattern(part).text;
      } catch (error) {
        return (error as Error).message;
      }
    }
  }
  const { Regexp, ...record } = read;
  return Regexp === undefined ? record : { ...record, Regexp };
}

/** net.IP: "" is none. */
function readAddress(value: unknown, field: string): { readonly text: string } | { readonly fault: string } {
  if (typeof value !== 'string') return { fault: misfit(value, `Go struct field ${field} of type net.IP`) };
  if (value === '') return { text: '' };
  if (isIP(value) === 0 || value.includes('%')) return { fault: `invalid IP address: ${value}` };
  return { text: listenAddress(value) ?? value };
}
