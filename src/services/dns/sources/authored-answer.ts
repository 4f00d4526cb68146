import type { DnsData, DnsSoa } from '../../../wire/dns-data.ts';
import { appendOpt, DNS_OPT_BYTES, DNS_OWN_UDP_BYTES, type DnsExtendedError } from '../../../wire/dns-edns.ts';
import { DNS_HEADER_BYTES, DNS_MAX_MESSAGE_BYTES, DNS_RA, DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import { DnsWriter } from '../../../wire/dns-writer.ts';
import { parseIpv4Address } from '../../../wire/ipv4-address.ts';
import { parseIpv6Address } from '../../../wire/ipv6-address.ts';
import type { DnsQuery } from '../dns-query.ts';
import { authorityOf } from '../zones/zone.ts';
import type { Answer } from './source.ts';

/** A record of the question's name: owner as a pointer, and as much data as a name has. */
const MAX_RECORD_BYTES = 2 + 10 + 255;
/** The option's header, code and text of an extended error (RFC 8914 §2). */
const MAX_ERROR_BYTES = 200;

/** What an answer of our own says. */
interface AuthoredAnswer {
  readonly rcode: number;
  /** DNS_AA; RA is set anyway. */
  readonly flags?: number;
  readonly ttlSeconds?: number;
  /** Records of the name that was asked for. */
  readonly records?: readonly DnsData[];
  readonly extendedError?: DnsExtendedError;
  /**
   * The zone of ours that the name lies in: a negative answer carries its SOA, without which nobody may keep it (RFC
   * 2308 §5). Undefined where the zone is somebody else's and not known.
   */
  readonly zone?: string;
}

/** Such zones are made of the configuration alone. */
const SERIAL = 1;

/** Where an answer of our own comes from, and how long it may be kept. */
type Provenance = Omit<Answer, 'message' | 'rcode'>;

/** An answer of our own, whole. */
export function authored(query: DnsQuery, what: AuthoredAnswer, provenance: Provenance): Answer {
  return { ...provenance, message: authorAnswer(query, what), rcode: what.rcode };
}

/** The SOA of a zone that is ours by nature: a configured host's own name, localhost. */
export function soaOf(zone: string, ttlSeconds: number): DnsSoa {
  return authorityOf(zone, ttlSeconds, SERIAL).soa;
}

/** Writes the whole message. Records beyond 64 KiB are left out, with TC. */
function authorAnswer(query: DnsQuery, answer: AuthoredAnswer): Uint8Array {
  const { question } = query;
  const { records = [], extendedError, rcode, flags = 0, ttlSeconds = 0, zone } = answer;
  const fixed = DNS_HEADER_BYTES + (question.questionEnd - question.questionAt);
  const wanted = Math.max(512, fixed + records.length * MAX_RECORD_BYTES);
  const optBytes = DNS_OPT_BYTES + MAX_ERROR_BYTES;
  const maxBytes = Math.min(wanted, DNS_MAX_MESSAGE_BYTES - optBytes);
  const bytes = new Uint8Array(maxBytes + optBytes);
  const writer = new DnsWriter(bytes);
  writer.start(0, maxBytes, query.bytes, question, rcode, flags | DNS_RA);
  for (const data of records) writer.answer(question.name, ttlSeconds, data);
  const negative = records.length === 0 && rcode !== DNS_SERVFAIL;
  if (zone !== undefined && negative) writer.authority(zone, ttlSeconds, { type: 'SOA', soa: soaOf(zone, ttlSeconds) });
  const length = writer.finish();
  if (extendedError === undefined) return bytes.slice(0, length);
  const opt = { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: 0, dnssecOk: query.dnssecOk, extendedError };
  return bytes.slice(0, appendOpt(bytes, length, opt));
}

/**
 * The record of an address given as text; undefined when it is not one (an IPv6 address with a zone means nothing to a
 * guest).
 */
export function addressData(text: string): (DnsData & { readonly type: 'A' | 'AAAA' }) | undefined {
  const v4 = parseIpv4Address(text);
  if (v4 !== undefined) return { type: 'A', address: v4 };
  const v6 = parseIpv6Address(text);
  return v6 === undefined ? undefined : { type: 'AAAA', address: v6 };
}

/** A and AAAA records of all that are addresses. */
export function addressRecords(addresses: readonly string[]): DnsData[] {
  return addresses.map(addressData).filter((data) => data !== undefined);
}
