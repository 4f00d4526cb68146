import { readU16, writeU16 } from '../../wire/bytes.ts';
import { appendOpt, DNS_OPT_BYTES, DNS_OWN_UDP_BYTES, findEdns, findExtendedError } from '../../wire/dns-edns.ts';
import {
  DNS_AA,
  DNS_HEADER_BYTES,
  DNS_MAX_MESSAGE_BYTES,
  DNS_QR,
  DNS_RA,
  DNS_RD,
  DNS_TC,
  DNS_TYPE_CNAME,
  DNS_TYPE_DNAME,
  DNS_TYPE_MX,
  DNS_TYPE_NS,
  DNS_TYPE_PTR,
  DNS_TYPE_SOA,
  DNS_TYPE_SRV,
  DnsQuestion,
  parseDnsQuestion,
} from '../../wire/dns-message.ts';
import { DNS_MAX_POINTER, DnsName, dnsNameKey, parseDnsName, writeDnsName } from '../../wire/dns-name.ts';
import { DnsRecordCursor, DnsRecords } from '../../wire/dns-record.ts';

/** Option header, code and as much text as we keep of an extended error. */
const ERROR_BYTES = 256;
const POINTER = 0xc000;

/**
 * Where names are in the data of the types that may have compressed ones (RFC 3597 §4): octets before them, and how
 * many. A name of any other type stands there whole, and its data is copied as it is.
 */
const NAMES_IN_DATA: ReadonlyMap<number, readonly [before: number, names: number]> = new Map([
  [DNS_TYPE_NS, [0, 1]],
  [3, [0, 1]], // MD
  [4, [0, 1]], // MF
  [DNS_TYPE_CNAME, [0, 1]],
  [DNS_TYPE_SOA, [0, 2]],
  [7, [0, 1]], // MB
  [8, [0, 1]], // MG
  [9, [0, 1]], // MR
  [DNS_TYPE_PTR, [0, 1]],
  [14, [0, 2]], // MINFO
  [DNS_TYPE_MX, [2, 1]],
  [17, [0, 2]], // RP
  [18, [2, 1]], // AFSDB
  [21, [2, 1]], // RT
  [26, [2, 2]], // PX
  [DNS_TYPE_SRV, [6, 1]],
  [36, [2, 1]], // KX
  [DNS_TYPE_DNAME, [0, 1]],
]);

/**
 * One answer of two: `chain`, CNAMEs that lead to another name, and `rest`, the answer to that name. It has the
 * question of `chain`, the response code of `rest` (RFC 6604 §3), the answers of both and the authorities of `rest`;
 * names are rewritten, because pointers mean nothing in another message. Additional records are left out but for an
 * extended error. Undefined when one of the messages is broken. Both stay the caller's.
 */
export function joinedAnswer(chain: Uint8Array, rest: Uint8Array): Uint8Array | undefined {
  const first = new DnsQuestion();
  const second = new DnsQuestion();
  if (parseDnsQuestion(chain, 0, chain.length, first) !== undefined) return undefined;
  if (parseDnsQuestion(rest, 0, rest.length, second) !== undefined) return undefined;
  const copy = new MessageCopy(chain, first);
  if (!copy.add(chain, first) || !copy.add(rest, second)) return undefined;
  return copy.finish(rest, second);
}

/** A message that grows record by record. */
class MessageCopy {
  readonly #bytes = new Uint8Array(DNS_MAX_MESSAGE_BYTES);
  /** The place of an owner, by key. */
  readonly #owners = new Map<string, number>();
  readonly #records = new DnsRecords();
  readonly #cursor = new DnsRecordCursor();
  readonly #name = new DnsName();
  readonly #end = DNS_MAX_MESSAGE_BYTES - DNS_OPT_BYTES - ERROR_BYTES;
  #at: number;
  #answers = 0;
  #authorities = 0;
  #full = false;

  constructor(from: Uint8Array, question: DnsQuestion) {
    this.#bytes.set(from.subarray(0, question.questionEnd));
    this.#at = question.questionEnd;
    this.#owners.set(dnsNameKey(question.name), DNS_HEADER_BYTES);
  }

  /**
   * Copies answers and authorities; false when the message is broken. Authorities come last, so only the last message
   * may have any.
   */
  add(message: Uint8Array, question: DnsQuestion): boolean {
    const records = this.#records;
    const cursor = this.#cursor;
    records.start(message, 0, message.length, question);
    while (records.next(cursor)) {
      if (this.#full || cursor.section === 'additional') continue;
      const at = this.#copy(message);
      if (at === 'broken') return false;
      if (at === 'no-room') {
        this.#full = true;
        continue;
      }
      this.#at = at;
      if (cursor.section === 'answer') this.#answers++;
      else this.#authorities++;
    }
    return records.fault === undefined;
  }

  /** The whole message, with the response code of `rest`. */
  finish(rest: Uint8Array, question: DnsQuestion): Uint8Array | undefined {
    const bytes = this.#bytes;
    const edns = findEdns(rest, question, rest.length);
    if (edns === 'dns-bad-edns') return undefined;
    const truncated = this.#full || question.truncated ? DNS_TC : 0;
    const asked = readU16(bytes, 2) & DNS_RD;
    // The first owner is ours, so the answer is the owner's own word (RFC 1035 §4.1.1).
    writeU16(bytes, 2, DNS_QR | DNS_AA | DNS_RA | asked | truncated | question.rcode);
    writeU16(bytes, 4, 1);
    writeU16(bytes, 6, this.#answers);
    writeU16(bytes, 8, this.#authorities);
    writeU16(bytes, 10, 0);
    const extendedError = edns === undefined ? undefined : findExtendedError(rest, edns);
    if (edns === undefined || (extendedError === undefined && edns.extendedRcode === 0))
      return bytes.slice(0, this.#at);
    const { extendedRcode, dnssecOk } = edns;
    const opt = { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode, dnssecOk };
    return bytes.slice(0, appendOpt(bytes, this.#at, extendedError === undefined ? opt : { ...opt, extendedError }));
  }

  /** Writes the cursor's record; returns where it ends. */
  #copy(message: Uint8Array): number | 'broken' | 'no-room' {
    const bytes = this.#bytes;
    const { ownerAt, type, dataAt, dataLength, ttlAt, nextAt } = this.#cursor;
    if (parseDnsName(message, 0, ownerAt, message.length, this.#name) !== undefined) return 'broken';
    let at = this.#writeOwner(this.#name.text);
    if (at < 0 || this.#end - at < 10) return 'no-room';
    const lengthAt = at + 8;
    // Type, class and TTL as they are.
    bytes.set(message.subarray(ttlAt - 4, ttlAt + 4), at);
    at += 10;
    const ownDataAt = at;
    const [before, names] = NAMES_IN_DATA.get(type) ?? [dataLength, 0];
    if (before > dataLength) return 'broken';
    if (this.#end - at < dataLength) return 'no-room';
    bytes.set(message.subarray(dataAt, dataAt + before), at);
    at += before;
    let from = dataAt + before;
    for (let i = 0; i < names; i++) {
      if (parseDnsName(message, 0, from, nextAt, this.#name) !== undefined) return 'broken';
      from = this.#name.nextAt;
      const written = writeDnsName(bytes, at, this.#end, this.#name.text);
      if (written < 0) return 'no-room';
      at += written;
    }
    if (this.#end - at < nextAt - from) return 'no-room';
    bytes.set(message.subarray(from, nextAt), at);
    at += nextAt - from;
    writeU16(bytes, lengthAt, at - ownDataAt);
    return at;
  }

  /** A pointer where the same owner stood before. */
  #writeOwner(text: string): number {
    const key = dnsNameKey(text);
    const known = this.#owners.get(key);
    if (known !== undefined && text !== '') {
      if (this.#end - this.#at < 2) return -1;
      writeU16(this.#bytes, this.#at, POINTER | known);
      return this.#at + 2;
    }
    const written = writeDnsName(this.#bytes, this.#at, this.#end, text);
    if (written < 0) return -1;
    if (this.#at <= DNS_MAX_POINTER) this.#owners.set(key, this.#at);
    return this.#at + written;
  }
}
