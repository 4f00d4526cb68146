import type { ZoneRecord } from '../../config/dns-zones.ts';
import type { ListedZone } from '../../services/dns/zones/zone-store.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { formatIpv6Address } from '../../wire/ipv6-address.ts';
import type { RecordJson, ZoneJson } from './contract.ts';

/** A string of a TXT record (RFC 1035 §3.3). */
const TEXT_BYTES = 255;

/** A zone in the form of the configuration; keys that are not set are left out. */
export function zoneJson({ name, defaultAddress, defaultAtApex, ttlSeconds, ...zone }: ListedZone): ZoneJson {
  return {
    name,
    ...(defaultAddress !== undefined && { defaultAddress: formatIpv4Address(defaultAddress) }),
    ...(defaultAtApex !== undefined && { defaultAtApex }),
    ...(ttlSeconds !== undefined && { ttlSeconds }),
    records: zone.records.map(recordJson),
    serial: zone.serial,
    builtIn: zone.builtIn,
    standing: zone.standing.map(recordJson),
  };
}

export function recordJson({ name, ttlSeconds, data }: ZoneRecord): RecordJson {
  return { name, type: data.type, ...(ttlSeconds !== undefined && { ttlSeconds }), ...dataJson(data) };
}

function dataJson(data: ZoneRecord['data']): Readonly<Record<string, unknown>> {
  switch (data.type) {
    case 'A':
      return { address: formatIpv4Address(data.address) };
    case 'AAAA':
      return { address: formatIpv6Address(data.address, 0) };
    case 'TXT':
      return { text: textJson(data.texts) };
    case 'SRV':
      return { priority: data.priority, weight: data.weight, port: data.port, target: nameJson(data.target) };
    case 'MX':
      return { preference: data.preference, exchange: nameJson(data.exchange) };
    case 'SOA':
      return {};
    default:
      return { target: nameJson(data.target) };
  }
}

/** The root is '.'. */
function nameJson(name: string): string {
  return name === '' ? '.' : name;
}

/**
 * One text, where cutting it every 255 bytes gives these strings again (perhaps cutting a character); else the list of
 * strings.
 */
function textJson(texts: readonly Uint8Array[]): string | string[] {
  if (texts.slice(0, -1).every(({ length }) => length === TEXT_BYTES)) return Buffer.concat(texts).toString('utf8');
  return texts.map((text) => Buffer.from(text).toString('utf8'));
}
