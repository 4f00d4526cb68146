import { SlipwayError } from '../../../facts/errors.ts';
import type { ZoneRecord } from '../../../config/dns-zones.ts';
import { dataTypeNumber, DNS_MAX_TEXT_BYTES, type DnsData } from '../../../wire/dns-data.ts';
import { dnsNameKey } from '../../../wire/dns-name.ts';
import { canonicalName, childKey, isAbsolute, isAtOrBelow } from './zone-names.ts';
import { DNS_MAX_TTL_SECONDS } from '../../../wire/dns-record.ts';

/** Type, class, TTL, length, and a pointer as owner. */
const RECORD_OVERHEAD_BYTES = 12;

/** A record that was checked, under its absolute name. */
export interface StoredRecord {
  readonly key: string;
  /** As it was given, names in canonical form; frozen. */
  readonly record: ZoneRecord;
  readonly type: number;
  /** The same for records that differ in nothing but case and TTL. */
  readonly identity: string;
  /** About what it takes in a message. */
  readonly bytes: number;
}

/** Checks a record of the zone `zone` (a key). Throws SlipwayError ERR_DNS_ZONE. */
export function storedRecord(zone: string, record: ZoneRecord): StoredRecord {
  const key = recordKey(zone, record.name);
  const { ttlSeconds } = record;
  if (ttlSeconds !== undefined && !isTtl(ttlSeconds)) {
    throw recordError(
      record.name,
      zone,
      `has the TTL ${ttlSeconds}`,
      `Use whole seconds from 0 to ${DNS_MAX_TTL_SECONDS}.`,
    );
  }
  const data = checkedData(zone, key, record);
  const kept: ZoneRecord = Object.freeze({
    name: relativeName(zone, key),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    data,
  });
  return { key, record: kept, type: dataTypeNumber(data), identity: identityOf(data), bytes: bytesOf(data) };
}

export function isTtl(seconds: number): boolean {
  return Number.isInteger(seconds) && seconds >= 0 && seconds <= DNS_MAX_TTL_SECONDS;
}

/**
 * The key of what a record of `zone` calls `name`: '@', 'api', or absolute with a last dot. Throws SlipwayError
 * ERR_DNS_ZONE.
 */
export function recordKey(zone: string, name: string): string {
  if (name === '@' || name === '') return zone;
  const canonical = canonicalName(name);
  const relative = canonical === undefined ? undefined : dnsNameKey(canonical);
  if (relative === undefined) throw recordError(name, zone, 'is not a domain name', NAME_HINT);
  if (isAbsolute(name)) {
    if (isAtOrBelow(relative, zone)) return relative;
    throw recordError(
      name,
      zone,
      'is absolute and outside of the zone',
      'Remove the last dot, or add the record to its own zone.',
    );
  }
  if (zone !== '' && isAtOrBelow(relative, zone)) {
    // Would become api.dev.example.dev.example, which hardly anybody means.
    throw recordError(
      name,
      zone,
      'repeats the zone',
      `Write it without the zone ("api"), or with a last dot ("${name}.").`,
    );
  }
  const key = childKey(relative, zone);
  if (canonicalName(key) === undefined) throw recordError(name, zone, 'is longer than 255 octets', NAME_HINT);
  return key;
}

/** A record's name within `zone`: '@', or the labels before the zone. */
export function relativeName(zone: string, key: string): string {
  if (key === zone) return '@';
  return zone === '' ? key : key.slice(0, -zone.length - 1);
}

export function recordError(name: string, zone: string, why: string, hint: string): SlipwayError {
  return new SlipwayError(
    'ERR_DNS_ZONE',
    `the record ${JSON.stringify(name)} of the zone ${zoneText(zone)} ${why}`,
    hint,
  );
}

export function zoneText(zone: string): string {
  return zone === '' ? '"." (the root)' : zone;
}

export const NAME_HINT =
  'A name has labels of 1 to 63 octets, 255 in all; what is not printable ASCII is written as xn--… or \\DDD.';

/** The data with its names in canonical form. */
function checkedData(zone: string, key: string, record: ZoneRecord): DnsData {
  const { data } = record;
  const refuse = (why: string, hint: string): never => {
    throw recordError(record.name, zone, why, hint);
  };
  const name = (text: string, rootAllowed: boolean): string => {
    const canonical = canonicalName(text);
    if (canonical === undefined)
      return refuse(`points to ${JSON.stringify(text)}, which is not a domain name`, NAME_HINT);
    if (canonical === '' && !rootAllowed)
      return refuse('points to the root', 'Write the whole name that it points to.');
    return canonical;
  };
  const u16 = (what: string, value: number): number =>
    Number.isInteger(value) && value >= 0 && value <= 0xffff
      ? value
      : refuse(`has the ${what} ${value}`, 'Use a number from 0 to 65535.');
  switch (data.type) {
    case 'A':
      if (isU32(data.address)) return { type: 'A', address: data.address };
      return refuse('has no IPv4 address', 'Use one such as 192.168.65.254.');
    case 'AAAA':
      if (data.address.length === 16) return { type: 'AAAA', address: Uint8Array.from(data.address) };
      return refuse('has no IPv6 address', 'Use one such as fd00::1.');
    case 'CNAME':
      if (key === zone)
        return refuse('is a CNAME, and the zone itself has other records (RFC 1034 §3.6.2)', 'Use A and AAAA.');
      return { type: 'CNAME', target: name(data.target, false) };
    case 'NS':
      // A delegation would be a referral, which no stub resolver follows.
      if (key !== zone)
        return refuse('is an NS record below the zone: Slipway delegates no part of a zone', 'Use "@".');
      return { type: 'NS', target: name(data.target, false) };
    case 'PTR':
      return { type: 'PTR', target: name(data.target, false) };
    case 'TXT':
      if (data.texts.length === 0) return refuse('is a TXT record without text', 'Add a text; "" is allowed.');
      return { type: 'TXT', texts: data.texts.flatMap(characterStrings) };
    case 'SRV': {
      // The root means that the service is not offered (RFC 2782).
      const { priority, weight, port, target } = data;
      return {
        type: 'SRV',
        priority: u16('priority', priority),
        weight: u16('weight', weight),
        port: u16('port', port),
        target: name(target, true),
      };
    }
    case 'MX':
      // The root means that the domain takes no mail (RFC 7505).
      return { type: 'MX', preference: u16('preference', data.preference), exchange: name(data.exchange, true) };
    case 'SOA':
      return refuse('is an SOA record, which Slipway makes for each zone', 'Leave it out.');
  }
}

/** A longer text goes on in the next character-string, as its readers join them (RFC 7208 §3.3). */
function characterStrings(text: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < text.length; at += DNS_MAX_TEXT_BYTES)
    strings.push(text.slice(at, at + DNS_MAX_TEXT_BYTES));
  return strings;
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function identityOf(data: DnsData): string {
  switch (data.type) {
    case 'A':
      return `A ${data.address}`;
    case 'AAAA':
      return `AAAA ${data.address.join(' ')}`;
    case 'TXT':
      return `TXT ${data.texts.map((text) => text.join(' ')).join(',')}`;
    case 'SRV':
      return `SRV ${data.priority} ${data.weight} ${data.port} ${dnsNameKey(data.target)}`;
    case 'MX':
      return `MX ${data.preference} ${dnsNameKey(data.exchange)}`;
    case 'SOA':
      return 'SOA';
    default:
      return `${data.type} ${dnsNameKey(data.target)}`;
  }
}

function bytesOf(data: DnsData): number {
  switch (data.type) {
    case 'A':
      return RECORD_OVERHEAD_BYTES + 4;
    case 'AAAA':
      return RECORD_OVERHEAD_BYTES + 16;
    case 'TXT':
      return data.texts.reduce((sum, text) => sum + 1 + text.length, RECORD_OVERHEAD_BYTES);
    case 'SRV':
      return RECORD_OVERHEAD_BYTES + 8 + data.target.length;
    case 'MX':
      return RECORD_OVERHEAD_BYTES + 4 + data.exchange.length;
    case 'SOA':
      return RECORD_OVERHEAD_BYTES + 20 + data.soa.mname.length + data.soa.rname.length;
    default:
      return RECORD_OVERHEAD_BYTES + 2 + data.target.length;
  }
}
