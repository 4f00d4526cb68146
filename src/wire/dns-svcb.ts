import { type DnsDataReader, escapeOctets } from './dns-data-reader.ts';
import { formatIpv6Address } from './ipv6-address.ts';

/** SvcParamKeys with a value form of their own (RFC 9460 §7, §8; RFC 9461 §5; RFC 9540 §4), by number. */
const KEY_NAMES: readonly string[] = [
  'mandatory',
  'alpn',
  'no-default-alpn',
  'port',
  'ipv4hint',
  'ech',
  'ipv6hint',
  'dohpath',
  'ohttp',
];

const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/** SVCB and HTTPS data (RFC 9460 §2.1): `1 . alpn="h3,h2" port=8443`. The reader is bad after data that breaks §2.2. */
export function describeSvcb(data: DnsDataReader): string {
  const words = [`${data.u16()}`, data.name()];
  let lastKey = -1;
  while (data.left > 0 && !data.bad) {
    const key = data.u16();
    const value = data.part(data.u16());
    // Each once, in ascending order (RFC 9460 §2.2).
    if (key <= lastKey) return data.fail();
    lastKey = key;
    words.push(describeParameter(key, value));
    if (!value.complete) return data.fail();
  }
  return words.join(' ');
}

function describeParameter(key: number, value: DnsDataReader): string {
  const name = keyName(key);
  if (name === 'no-default-alpn' || name === 'ohttp') return name;
  if (value.left === 0 && name === `key${key}`) return name;
  return `${name}=${describeValue(name, value)}`;
}

function keyName(key: number): string {
  return KEY_NAMES[key] ?? `key${key}`;
}

function describeValue(name: string, value: DnsDataReader): string {
  switch (name) {
    case 'mandatory':
      return list(value, () => keyName(value.u16()));
    case 'alpn':
      return `"${list(value, () => alpnId(value))}"`;
    case 'port':
      return `${value.u16()}`;
    case 'ipv4hint':
      return list(value, () => value.octets(4).join('.'));
    case 'ipv6hint':
      return list(value, () => ipv6(value));
    case 'ech':
      return value.base64(value.left);
    default:
      return value.quoted(value.left);
  }
}

/** At least one, with commas between. */
function list(value: DnsDataReader, item: () => string): string {
  const items: string[] = [];
  do items.push(item());
  while (value.left > 0 && !value.bad);
  return items.join(',');
}

/** Escaped twice: as an item of a list, then as a string (RFC 9460 appendix A.1). */
function alpnId(value: DnsDataReader): string {
  const octets = value.octets(value.u8());
  if (octets.length === 0) return value.fail();
  const item = [...octets].flatMap((octet) => (octet === COMMA || octet === BACKSLASH ? [BACKSLASH, octet] : [octet]));
  return escapeOctets(item);
}

function ipv6(value: DnsDataReader): string {
  const octets = value.octets(16);
  return octets.length === 16 ? formatIpv6Address(octets, 0) : '';
}
