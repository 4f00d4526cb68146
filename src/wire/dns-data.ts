import { DnsDataReader } from './dns-data-reader.ts';
import {
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_CAA,
  DNS_TYPE_CNAME,
  DNS_TYPE_DNAME,
  DNS_TYPE_DNSKEY,
  DNS_TYPE_DS,
  DNS_TYPE_HINFO,
  DNS_TYPE_HTTPS,
  DNS_TYPE_MX,
  DNS_TYPE_NAPTR,
  DNS_TYPE_NS,
  DNS_TYPE_NSEC,
  DNS_TYPE_NSEC3,
  DNS_TYPE_PTR,
  DNS_TYPE_RRSIG,
  DNS_TYPE_SOA,
  DNS_TYPE_SRV,
  DNS_TYPE_SSHFP,
  DNS_TYPE_SVCB,
  DNS_TYPE_TLSA,
  DNS_TYPE_TXT,
  dnsTypeName,
} from './dns-message.ts';
import { describeSvcb } from './dns-svcb.ts';
import { formatIpv6Address } from './ipv6-address.ts';

/** One character-string of a TXT record (RFC 1035 §3.3). */
export const DNS_MAX_TEXT_BYTES = 255;

/** The fields of an SOA record (RFC 1035 §3.3.13), which a negative answer carries (RFC 2308 §3). */
export interface DnsSoa {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  /** How long a negative answer may be kept. */
  readonly minimumSeconds: number;
}

/**
 * The data of a record of ours, by type (RFC 1035 §3.3, RFC 3596 §2.2, RFC 2782). Names are text as in `dns-name.ts`.
 */
export type DnsData =
  /** An IPv4 address, unsigned 32 bits. */
  | { readonly type: 'A'; readonly address: number }
  /** 16 bytes. */
  | { readonly type: 'AAAA'; readonly address: Uint8Array }
  | { readonly type: 'CNAME' | 'PTR' | 'NS'; readonly target: string }
  /** At least one string, each of at most 255 octets. */
  | { readonly type: 'TXT'; readonly texts: readonly Uint8Array[] }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      /** '' says that the service is decidedly not there. */
      readonly target: string;
    }
  | { readonly type: 'MX'; readonly preference: number; readonly exchange: string }
  | { readonly type: 'SOA'; readonly soa: DnsSoa };

const TYPE_NUMBERS: Readonly<Record<DnsData['type'], number>> = {
  A: DNS_TYPE_A,
  AAAA: DNS_TYPE_AAAA,
  CNAME: DNS_TYPE_CNAME,
  MX: DNS_TYPE_MX,
  NS: DNS_TYPE_NS,
  PTR: DNS_TYPE_PTR,
  SOA: DNS_TYPE_SOA,
  SRV: DNS_TYPE_SRV,
  TXT: DNS_TYPE_TXT,
};

/** The type's number on the wire. */
export function dataTypeNumber(data: DnsData): number {
  return TYPE_NUMBERS[data.type];
}

/**
 * The data of a record as people write it in zone files: `10 mail.example.` for an MX. It is at [dataAt, dataAt +
 * dataLength) of the message [messageAt, end). Types without a form here, and data that is not what its type wants,
 * come in hex (RFC 3597 §5). Never throws, never reads past `end`.
 */
export function describeData(
  bytes: Uint8Array,
  messageAt: number,
  end: number,
  type: number,
  dataAt: number,
  dataLength: number,
): string {
  const dataEnd = Math.min(end, dataAt + dataLength);
  const data = new DnsDataReader(bytes, messageAt, dataAt, dataEnd);
  const text = FORMS.get(type)?.(data);
  if (text !== undefined && data.complete) return text;
  const octets = new DnsDataReader(bytes, messageAt, dataAt, dataEnd);
  return `\\# ${octets.left} ${octets.hex(octets.left)}`.trimEnd();
}

type Form = (data: DnsDataReader) => string;

const FORMS: ReadonlyMap<number, Form> = new Map<number, Form>([
  [DNS_TYPE_A, (data) => data.octets(4).join('.')],
  [DNS_TYPE_AAAA, describeIpv6],
  [DNS_TYPE_NS, (data) => data.name()],
  [DNS_TYPE_CNAME, (data) => data.name()],
  [DNS_TYPE_PTR, (data) => data.name()],
  [DNS_TYPE_DNAME, (data) => data.name()],
  [DNS_TYPE_MX, (data) => `${data.u16()} ${data.name()}`],
  [DNS_TYPE_SOA, describeSoa],
  [DNS_TYPE_TXT, describeTexts],
  [DNS_TYPE_HINFO, (data) => `${data.text()} ${data.text()}`],
  [DNS_TYPE_SRV, (data) => `${data.u16()} ${data.u16()} ${data.u16()} ${data.name()}`],
  [DNS_TYPE_NAPTR, describeNaptr],
  [DNS_TYPE_SVCB, describeSvcb],
  [DNS_TYPE_HTTPS, describeSvcb],
  [DNS_TYPE_CAA, describeCaa],
  [DNS_TYPE_SSHFP, (data) => `${data.u8()} ${data.u8()} ${data.hex(data.left)}`],
  [DNS_TYPE_TLSA, (data) => `${data.u8()} ${data.u8()} ${data.u8()} ${data.hex(data.left)}`],
  [DNS_TYPE_DS, (data) => `${data.u16()} ${data.u8()} ${data.u8()} ${data.hex(data.left)}`],
  [DNS_TYPE_DNSKEY, (data) => `${data.u16()} ${data.u8()} ${data.u8()} ${data.base64(data.left)}`],
  [DNS_TYPE_RRSIG, describeRrsig],
  [DNS_TYPE_NSEC, (data) => `${data.name()}${describeTypes(data)}`],
  [DNS_TYPE_NSEC3, describeNsec3],
]);

function describeIpv6(data: DnsDataReader): string {
  const octets = data.octets(16);
  return octets.length === 16 ? formatIpv6Address(octets, 0) : '';
}

function describeSoa(data: DnsDataReader): string {
  const names = `${data.name()} ${data.name()}`;
  return `${names} ${data.u32()} ${data.u32()} ${data.u32()} ${data.u32()} ${data.u32()}`;
}

/** At least one (RFC 1035 §3.3.14). */
function describeTexts(data: DnsDataReader): string {
  const texts: string[] = [];
  do texts.push(data.text());
  while (data.left > 0 && !data.bad);
  return texts.join(' ');
}

/** RFC 3403 §4.1. */
function describeNaptr(data: DnsDataReader): string {
  return `${data.u16()} ${data.u16()} ${data.text()} ${data.text()} ${data.text()} ${data.name()}`;
}

/** RFC 8659 §4.1: `0 issue "ca.example"`. */
function describeCaa(data: DnsDataReader): string {
  const flags = data.u8();
  const tag = String.fromCharCode(...data.octets(data.u8()));
  return /^[a-z0-9]+$/i.test(tag) ? `${flags} ${tag} ${data.quoted(data.left)}` : data.fail();
}

/** RFC 4034 §3.2. */
function describeRrsig(data: DnsDataReader): string {
  const covered = `${dnsTypeName(data.u16())} ${data.u8()} ${data.u8()} ${data.u32()}`;
  const times = `${describeTime(data.u32())} ${describeTime(data.u32())}`;
  return `${covered} ${times} ${data.u16()} ${data.name()} ${data.base64(data.left)}`;
}

/** RFC 5155 §3.3. */
function describeNsec3(data: DnsDataReader): string {
  const parameters = `${data.u8()} ${data.u8()} ${data.u16()}`;
  const salt = data.hex(data.u8());
  const next = data.base32Hex(data.u8());
  return `${parameters} ${salt === '' ? '-' : salt} ${next}${describeTypes(data)}`;
}

/** The types of a type bit map, each behind a space (RFC 4034 §4.1.2). */
function describeTypes(data: DnsDataReader): string {
  let text = '';
  let lastWindow = -1;
  while (data.left > 0 && !data.bad) {
    const window = data.u8();
    const bits = data.octets(data.u8());
    if (window <= lastWindow || bits.length === 0 || bits.length > 32) return data.fail();
    lastWindow = window;
    for (let bit = 0; bit < 8 * bits.length; bit++) {
      if ((bits[bit >>> 3]! & (0x80 >>> (bit & 7))) !== 0) text += ` ${dnsTypeName(256 * window + bit)}`;
    }
  }
  return text;
}

/** Seconds since 1970 as YYYYMMDDHHmmSS in UTC (RFC 4034 §3.2). The core has no `Date`. */
function describeTime(seconds: number): string {
  // Years that begin on 1 March, so that the leap day is their last; and eras of 400 of them, which are all equally
  // long.
  const days = Math.floor(seconds / 86_400) + 719_468;
  const dayOfEra = days % 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = 400 * Math.floor(days / 146_097) + yearOfEra + (month <= 2 ? 1 : 0);
  const parts = [month, day, Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  return `${year}${parts.map((part) => String(part).padStart(2, '0')).join('')}`;
}
