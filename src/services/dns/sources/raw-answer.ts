import { readU32 } from '../../../wire/bytes.ts';
import { DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_OPT, DnsQuestion, parseDnsQuestion } from '../../../wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../../wire/dns-record.ts';
import { parseIpv4Address } from '../../../wire/ipv4-address.ts';
import { parseIpv6Address } from '../../../wire/ipv6-address.ts';

/** What a nameserver said, as far as it is weighed. */
export interface RawAnswer {
  readonly message: Uint8Array;
  /** All twelve bits: those of the OPT record are above the header's four (RFC 6891 §6.1.3). */
  readonly rcode: number;
  readonly truncated: boolean;
  /** The data of the answer section's A or AAAA records (of the type asked for), in hexadecimal. */
  readonly addresses: ReadonlySet<string>;
}

const question = new DnsQuestion();
const records = new DnsRecords();
const cursor = new DnsRecordCursor();

/** Reads a nameserver's message; undefined when it is broken. Keeps `message`. Never throws. */
export function readRawAnswer(message: Uint8Array): RawAnswer | undefined {
  if (parseDnsQuestion(message, 0, message.length, question) !== undefined) return undefined;
  const wanted = question.type === DNS_TYPE_A ? 4 : question.type === DNS_TYPE_AAAA ? 16 : 0;
  const addresses = new Set<string>();
  let upperRcode = 0;
  records.start(message, 0, message.length, question);
  while (records.next(cursor)) {
    if (cursor.type === DNS_TYPE_OPT) upperRcode = readU32(message, cursor.ttlAt) >>> 24;
    if (cursor.section !== 'answer' || cursor.type !== question.type || wanted === 0) continue;
    if (cursor.dataLength !== wanted) return undefined;
    addresses.add(hex(message.subarray(cursor.dataAt, cursor.nextAt)));
  }
  if (records.fault !== undefined) return undefined;
  return { message, rcode: (upperRcode << 4) | question.rcode, truncated: question.truncated, addresses };
}

/** Whether the nameserver named the same addresses as the operating system, in any order. */
export function sameAddresses(raw: RawAnswer, addresses: readonly string[]): boolean {
  // What a nameserver had to leave out may be what differs.
  if (raw.truncated) return false;
  const told = new Set(addresses.map(addressHex));
  if (told.size !== raw.addresses.size) return false;
  for (const address of told) if (address === undefined || !raw.addresses.has(address)) return false;
  return true;
}

function addressHex(text: string): string | undefined {
  const v4 = parseIpv4Address(text);
  if (v4 !== undefined) return v4.toString(16).padStart(8, '0');
  const v6 = parseIpv6Address(text);
  return v6 === undefined ? undefined : hex(v6);
}

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
