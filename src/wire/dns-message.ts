import { readU16, writeU16 } from './bytes.ts';
import { DnsName, type DnsNameFault, parseDnsName, writeDnsName } from './dns-name.ts';

/** DNS messages (RFC 1035 §4): header and question, and the registry's numbers and names. */
export const DNS_HEADER_BYTES = 12;
/** Where nameservers listen unless told otherwise (RFC 1035 §4.2). */
export const DNS_PORT = 53;
/** Largest message there is, over TCP (RFC 1035 §4.2.2). */
export const DNS_MAX_MESSAGE_BYTES = 65_535;
/** What a UDP answer may have without EDNS (RFC 1035 §4.2.1). */
export const DNS_UDP_MAX_BYTES = 512;

export const DNS_TYPE_A = 1;
export const DNS_TYPE_NS = 2;
export const DNS_TYPE_CNAME = 5;
export const DNS_TYPE_SOA = 6;
export const DNS_TYPE_PTR = 12;
export const DNS_TYPE_HINFO = 13;
export const DNS_TYPE_MX = 15;
export const DNS_TYPE_TXT = 16;
export const DNS_TYPE_AAAA = 28;
export const DNS_TYPE_SRV = 33;
export const DNS_TYPE_NAPTR = 35;
export const DNS_TYPE_DNAME = 39;
export const DNS_TYPE_OPT = 41;
export const DNS_TYPE_DS = 43;
export const DNS_TYPE_SSHFP = 44;
export const DNS_TYPE_RRSIG = 46;
export const DNS_TYPE_NSEC = 47;
export const DNS_TYPE_DNSKEY = 48;
export const DNS_TYPE_NSEC3 = 50;
export const DNS_TYPE_TLSA = 52;
export const DNS_TYPE_SVCB = 64;
export const DNS_TYPE_HTTPS = 65;
export const DNS_TYPE_IXFR = 251;
export const DNS_TYPE_AXFR = 252;
export const DNS_TYPE_ANY = 255;
export const DNS_TYPE_CAA = 257;

export const DNS_CLASS_IN = 1;

/** Response codes (RFC 1035 §4.1.1, RFC 2136 §2.2). */
export const DNS_NOERROR = 0;
export const DNS_FORMERR = 1;
export const DNS_SERVFAIL = 2;
export const DNS_NXDOMAIN = 3;
export const DNS_NOTIMP = 4;
export const DNS_REFUSED = 5;
/** Needs the upper bits that an OPT record carries (RFC 6891 §9): 1 there and 0 in the header. */
export const DNS_BADVERS = 16;

/** Flags of the header's second word. */
export const DNS_QR = 0x8000;
export const DNS_AA = 0x0400;
export const DNS_TC = 0x0200;
export const DNS_RD = 0x0100;
export const DNS_RA = 0x0080;
export const DNS_AD = 0x0020;
export const DNS_CD = 0x0010;
/** Where the opcode is; 0 is QUERY. */
export const DNS_OPCODE_MASK = 0x7800;
const OPCODE_SHIFT = 11;

/** Shorter than the header; not exactly one question; a question that is cut off; a bad name. */
export type DnsFault = 'dns-truncated' | 'dns-not-one-question' | DnsNameFault;

/** Filled by `parseDnsQuestion`. */
export class DnsQuestion {
  id = 0;
  /** DNS_QR, DNS_RD, … with opcode and rcode between them. */
  flags = 0;
  answerCount = 0;
  authorityCount = 0;
  additionalCount = 0;
  /** As sent: case is kept, no last dot. */
  name = '';
  type = 0;
  class = 0;
  /** The question as it is in the message: to be repeated in the answer. */
  questionAt = 0;
  questionEnd = 0;

  get response(): boolean {
    return (this.flags & DNS_QR) !== 0;
  }

  /** 0: QUERY. */
  get opcode(): number {
    return (this.flags >>> OPCODE_SHIFT) & 15;
  }

  get recursionDesired(): boolean {
    return (this.flags & DNS_RD) !== 0;
  }

  get truncated(): boolean {
    return (this.flags & DNS_TC) !== 0;
  }

  get rcode(): number {
    return this.flags & 15;
  }
}

const name = new DnsName();

/**
 * Reads header and question of the message at [at, end). Never throws, never reads past `end`. Unless it says
 * 'dns-truncated', id and flags are filled even with a fault, so that the asker can be told (FORMERR); the question is
 * then empty.
 */
export function parseDnsQuestion(bytes: Uint8Array, at: number, end: number, into: DnsQuestion): DnsFault | undefined {
  if (end - at < DNS_HEADER_BYTES) return 'dns-truncated';
  into.id = readU16(bytes, at);
  into.flags = readU16(bytes, at + 2);
  into.answerCount = readU16(bytes, at + 6);
  into.authorityCount = readU16(bytes, at + 8);
  into.additionalCount = readU16(bytes, at + 10);
  into.name = '';
  into.type = 0;
  into.class = 0;
  into.questionAt = at + DNS_HEADER_BYTES;
  into.questionEnd = into.questionAt;
  if (readU16(bytes, at + 4) !== 1) return 'dns-not-one-question';
  // Nothing stands before the question that a pointer could mean, so none may be in it: with this start, each points
  // forwards.
  const fault = parseDnsName(bytes, into.questionAt, into.questionAt, end, name);
  if (fault !== undefined) return fault;
  if (end - name.nextAt < 4) return 'dns-name-truncated';
  into.name = name.text;
  into.type = readU16(bytes, name.nextAt);
  into.class = readU16(bytes, name.nextAt + 2);
  into.questionEnd = name.nextAt + 4;
  return undefined;
}

/**
 * Whether `told` repeats the question of `asked`, which ends at `questionEnd`: both begin with a header and the
 * question. Names may differ in the case of their letters (RFC 4343 §3, RFC 5452 §9.1); type and class must be the
 * same.
 */
export function repeatsQuestion(told: Uint8Array, asked: Uint8Array, questionEnd: number): boolean {
  if (told.length < questionEnd) return false;
  const nameEnd = questionEnd - 4;
  for (let at = DNS_HEADER_BYTES; at < questionEnd; at++) {
    const [one, other] = [told[at]!, asked[at]!];
    // Length bytes are below 64, so none is mistaken for a letter.
    if (one !== other && (at >= nameEnd || lowerCase(one) !== lowerCase(other))) return false;
  }
  return true;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/**
 * Writes a query with one question up to `end`; RD is set. Returns the bytes written, −1 if `qname` is not a name or
 * there is no room.
 */
export function writeDnsQuery(
  bytes: Uint8Array,
  at: number,
  end: number,
  id: number,
  qname: string,
  type: number,
): number {
  if (end - at < DNS_HEADER_BYTES) return -1;
  const nameBytes = writeDnsName(bytes, at + DNS_HEADER_BYTES, end, qname);
  const nextAt = at + DNS_HEADER_BYTES + nameBytes;
  if (nameBytes < 0 || end - nextAt < 4) return -1;
  bytes.fill(0, at, at + DNS_HEADER_BYTES);
  writeU16(bytes, at, id);
  writeU16(bytes, at + 2, DNS_RD);
  writeU16(bytes, at + 4, 1);
  writeU16(bytes, nextAt, type);
  writeU16(bytes, nextAt + 2, DNS_CLASS_IN);
  return nextAt + 4 - at;
}

/** Mnemonics by number (the IANA registry "Resource Record (RR) TYPEs"): those that people ask for or see. */
const TYPE_NAMES: readonly (readonly [number, string])[] = [
  [DNS_TYPE_A, 'A'],
  [DNS_TYPE_NS, 'NS'],
  [DNS_TYPE_CNAME, 'CNAME'],
  [DNS_TYPE_SOA, 'SOA'],
  [DNS_TYPE_PTR, 'PTR'],
  [DNS_TYPE_HINFO, 'HINFO'],
  [DNS_TYPE_MX, 'MX'],
  [DNS_TYPE_TXT, 'TXT'],
  [DNS_TYPE_AAAA, 'AAAA'],
  [DNS_TYPE_SRV, 'SRV'],
  [DNS_TYPE_NAPTR, 'NAPTR'],
  [DNS_TYPE_DNAME, 'DNAME'],
  [DNS_TYPE_OPT, 'OPT'],
  [DNS_TYPE_DS, 'DS'],
  [DNS_TYPE_SSHFP, 'SSHFP'],
  [DNS_TYPE_RRSIG, 'RRSIG'],
  [DNS_TYPE_NSEC, 'NSEC'],
  [DNS_TYPE_DNSKEY, 'DNSKEY'],
  [DNS_TYPE_NSEC3, 'NSEC3'],
  [DNS_TYPE_TLSA, 'TLSA'],
  [DNS_TYPE_SVCB, 'SVCB'],
  [DNS_TYPE_HTTPS, 'HTTPS'],
  [DNS_TYPE_IXFR, 'IXFR'],
  [DNS_TYPE_AXFR, 'AXFR'],
  [DNS_TYPE_ANY, 'ANY'],
  [DNS_TYPE_CAA, 'CAA'],
  [10, 'NULL'],
  [17, 'RP'],
  [18, 'AFSDB'],
  [24, 'SIG'],
  [25, 'KEY'],
  [29, 'LOC'],
  [36, 'KX'],
  [37, 'CERT'],
  [51, 'NSEC3PARAM'],
  [53, 'SMIMEA'],
  [55, 'HIP'],
  [59, 'CDS'],
  [60, 'CDNSKEY'],
  [61, 'OPENPGPKEY'],
  [62, 'CSYNC'],
  [63, 'ZONEMD'],
  [99, 'SPF'],
  [108, 'EUI48'],
  [109, 'EUI64'],
  [249, 'TKEY'],
  [250, 'TSIG'],
  [256, 'URI'],
];
const nameOfType = new Map(TYPE_NAMES);
const typeOfName = new Map(TYPE_NAMES.map(([type, text]) => [text, type]));

/** "AAAA"; "TYPE1234" for a type without a mnemonic here (RFC 3597 §5). */
export function dnsTypeName(type: number): string {
  return nameOfType.get(type) ?? `TYPE${type}`;
}

/** The type that a mnemonic or TYPE1234 (RFC 3597 §5) means, in any case; undefined for other text. */
export function dnsTypeNumber(text: string): number | undefined {
  const upper = text.toUpperCase();
  const known = typeOfName.get(upper);
  if (known !== undefined) return known;
  const digits = /^TYPE(\d{1,5})$/.exec(upper)?.[1];
  return digits !== undefined && Number(digits) <= 0xffff ? Number(digits) : undefined;
}

/** Mnemonics of the response codes with the upper bits of EDNS (RFC 6895 §2.3, RFC 7873 §8). */
const RCODE_NAMES: readonly (string | undefined)[] = [
  'NOERROR',
  'FORMERR',
  'SERVFAIL',
  'NXDOMAIN',
  'NOTIMP',
  'REFUSED',
  'YXDOMAIN',
  'YXRRSET',
  'NXRRSET',
  'NOTAUTH',
  'NOTZONE',
];
const EXTENDED_RCODE_NAMES: ReadonlyMap<number, string> = new Map([
  [DNS_BADVERS, 'BADVERS'],
  [23, 'BADCOOKIE'],
]);

/** "NXDOMAIN"; "RCODE12" for a code without a mnemonic here. `rcode`: 12 bits. */
export function dnsRcodeName(rcode: number): string {
  return RCODE_NAMES[rcode] ?? EXTENDED_RCODE_NAMES.get(rcode) ?? `RCODE${rcode}`;
}
