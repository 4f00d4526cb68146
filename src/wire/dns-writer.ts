import { writeU16, writeU32 } from './bytes.ts';
import { DNS_MAX_TEXT_BYTES, type DnsData, type DnsSoa, dataTypeNumber } from './dns-data.ts';
import {
  DNS_CD,
  DNS_CLASS_IN,
  DNS_HEADER_BYTES,
  DNS_OPCODE_MASK,
  DNS_QR,
  DNS_RD,
  DNS_TC,
  type DnsQuestion,
} from './dns-message.ts';
import { DNS_MAX_NAME_BYTES, DNS_MAX_POINTER, dnsNameKey, encodeDnsName } from './dns-name.ts';
import { DNS_RECORD_FIXED_BYTES } from './dns-record.ts';

/** Why a record cannot be written, in place of the offset after it. */
const NO_ROOM = -1;
const NOT_WRITABLE = -2;

/**
 * Names that a later one may end with. 512: more than an answer over UDP has; the names after them are only written
 * longer.
 */
const MAX_SUFFIXES = 512;

const SOA_FIXED_BYTES = 20;

/** Sections in their order; also the index of their counts. */
const ANSWER = 0;
const AUTHORITY = 1;
const ADDITIONAL = 2;

const encoded = new Uint8Array(DNS_MAX_NAME_BYTES);

/**
 * Writes one answer: `start`, records section after section, `finish`; then the next one may start. Owners and the
 * names in CNAME, NS, PTR, MX and SOA data are compressed against all names before them, the target of SRV is not (RFC
 * 2782, RFC 3597 §4). A record is written whole or not at all. An answer or authority that does not fit sets TC, and
 * nothing follows it; an additional that does not fit is left out in silence (RFC 2181 §9).
 */
export class DnsWriter {
  readonly #bytes: Uint8Array;
  #start = 0;
  #at = 0;
  #end = 0;
  #flags = 0;
  #section = ANSWER;
  readonly #counts = [0, 0, 0];
  #questionKey = '';
  /**
   * The place in the message of each name and each parent of one, by key. The question's are in it from the first name
   * that needs them.
   */
  readonly #suffixes = new Map<string, number>();

  /** Answers are written into `bytes`, which the caller keeps. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * Begins the answer to `question` at `at`, at most `maxBytes` (at least 512), and repeats the question from `from`,
   * the bytes it was parsed from. `flags`: DNS_AA, DNS_RA, …; QR is set, opcode, RD and CD are the question's. `rcode`:
   * the lower 4 bits.
   */
  start(at: number, maxBytes: number, from: Uint8Array, question: DnsQuestion, rcode: number, flags: number): void {
    const bytes = this.#bytes;
    const { questionAt, questionEnd } = question;
    const copyAt = at + DNS_HEADER_BYTES - questionAt;
    for (let i = at; i < at + DNS_HEADER_BYTES; i++) bytes[i] = 0;
    writeU16(bytes, at, question.id);
    writeU16(bytes, at + 4, questionEnd > questionAt ? 1 : 0);
    for (let i = questionAt; i < questionEnd; i++) bytes[copyAt + i] = from[i]!;
    this.#start = at;
    this.#at = copyAt + questionEnd;
    this.#end = Math.min(at + maxBytes, bytes.length);
    this.#flags = DNS_QR | (question.flags & (DNS_OPCODE_MASK | DNS_RD | DNS_CD)) | flags | (rcode & 15);
    this.#section = ANSWER;
    this.#counts.fill(0);
    this.#questionKey = questionEnd > questionAt ? dnsNameKey(question.name) : '';
    // Clearing an empty map costs an allocation.
    if (this.#suffixes.size > 0) this.#suffixes.clear();
  }

  /**
   * Adds a record; false when it does not fit, or cannot be: a name that is none, a text of more than 255 octets. TTL:
   * below 2^31.
   */
  answer(owner: string, ttlSeconds: number, data: DnsData): boolean {
    return this.#record(ANSWER, owner, ttlSeconds, data);
  }

  /** As `answer`, after all answers. */
  authority(owner: string, ttlSeconds: number, data: DnsData): boolean {
    return this.#record(AUTHORITY, owner, ttlSeconds, data);
  }

  /** As `answer`, after all authorities. */
  additional(owner: string, ttlSeconds: number, data: DnsData): boolean {
    return this.#record(ADDITIONAL, owner, ttlSeconds, data);
  }

  /** Sets TC: the asker is to come back over TCP. */
  truncate(): void {
    this.#flags |= DNS_TC;
  }

  /** Ends the message; returns its length in bytes. */
  finish(): number {
    writeU16(this.#bytes, this.#start + 2, this.#flags);
    writeU16(this.#bytes, this.#start + 6, this.#counts[ANSWER]!);
    writeU16(this.#bytes, this.#start + 8, this.#counts[AUTHORITY]!);
    writeU16(this.#bytes, this.#start + 10, this.#counts[ADDITIONAL]!);
    return this.#at - this.#start;
  }

  #record(section: number, owner: string, ttlSeconds: number, data: DnsData): boolean {
    if (section < this.#section) throw new Error('a record of a section that is written already');
    this.#section = section;
    if ((this.#flags & DNS_TC) !== 0) return false;
    const recordAt = this.#at;
    const fixedAt = this.#name(recordAt, owner);
    const dataAt = fixedAt + DNS_RECORD_FIXED_BYTES;
    const recordEnd = fixedAt < 0 ? fixedAt : dataAt > this.#end ? NO_ROOM : this.#data(dataAt, data);
    if (recordEnd < 0) {
      this.#forgetFrom(recordAt);
      if (recordEnd === NO_ROOM && section !== ADDITIONAL) this.truncate();
      return false;
    }
    writeU16(this.#bytes, fixedAt, dataTypeNumber(data));
    writeU16(this.#bytes, fixedAt + 2, DNS_CLASS_IN);
    writeU32(this.#bytes, fixedAt + 4, ttlSeconds);
    writeU16(this.#bytes, fixedAt + 8, recordEnd - dataAt);
    this.#counts[section]!++;
    this.#at = recordEnd;
    return true;
  }

  /** Each of these writes at `at` and returns the offset after it, or NO_ROOM or NOT_WRITABLE. */
  #data(at: number, data: DnsData): number {
    switch (data.type) {
      case 'A':
        if (this.#end - at < 4) return NO_ROOM;
        writeU32(this.#bytes, at, data.address);
        return at + 4;
      case 'AAAA':
        if (data.address.length !== 16) return NOT_WRITABLE;
        return this.#octets(at, data.address);
      case 'CNAME':
      case 'PTR':
      case 'NS':
        return this.#name(at, data.target);
      case 'TXT':
        return this.#texts(at, data.texts);
      case 'SRV':
        if (this.#end - at < 6) return NO_ROOM;
        writeU16(this.#bytes, at, data.priority);
        writeU16(this.#bytes, at + 2, data.weight);
        writeU16(this.#bytes, at + 4, data.port);
        return this.#plainName(at + 6, data.target);
      case 'MX':
        if (this.#end - at < 2) return NO_ROOM;
        writeU16(this.#bytes, at, data.preference);
        return this.#name(at + 2, data.exchange);
      case 'SOA':
        return this.#soa(at, data.soa);
    }
  }

  #octets(at: number, octets: Uint8Array): number {
    if (this.#end - at < octets.length) return NO_ROOM;
    this.#bytes.set(octets, at);
    return at + octets.length;
  }

  #texts(at: number, texts: readonly Uint8Array[]): number {
    if (texts.length === 0) return NOT_WRITABLE;
    for (const text of texts) {
      if (text.length > DNS_MAX_TEXT_BYTES) return NOT_WRITABLE;
      if (this.#end - at < 1 + text.length) return NO_ROOM;
      this.#bytes[at] = text.length;
      at = this.#octets(at + 1, text);
    }
    return at;
  }

  #soa(at: number, soa: DnsSoa): number {
    const rnameAt = this.#name(at, soa.mname);
    const fixedAt = rnameAt < 0 ? rnameAt : this.#name(rnameAt, soa.rname);
    if (fixedAt < 0) return fixedAt;
    if (this.#end - fixedAt < SOA_FIXED_BYTES) return NO_ROOM;
    writeU32(this.#bytes, fixedAt, soa.serial);
    writeU32(this.#bytes, fixedAt + 4, soa.refreshSeconds);
    writeU32(this.#bytes, fixedAt + 8, soa.retrySeconds);
    writeU32(this.#bytes, fixedAt + 12, soa.expireSeconds);
    writeU32(this.#bytes, fixedAt + 16, soa.minimumSeconds);
    return fixedAt + SOA_FIXED_BYTES;
  }

  /** A name, its end as a pointer to the longest part of it that is in the message already. */
  #name(at: number, text: string): number {
    const key = dnsNameKey(text);
    if (key === '') return this.#plainName(at, '');
    if (key === this.#questionKey) return this.#pointer(at, this.#start + DNS_HEADER_BYTES);
    if (this.#suffixes.size === 0) this.#rememberQuestion();
    if (encodeDnsName(text, encoded) < 0) return NOT_WRITABLE;
    let keyAt = 0;
    for (let from = 0; encoded[from] !== 0; from += 1 + encoded[from]!) {
      const suffix = key.slice(keyAt);
      const known = this.#suffixes.get(suffix);
      if (known !== undefined) return this.#pointer(at, known);
      const labelEnd = at + 1 + encoded[from]!;
      if (labelEnd > this.#end) return NO_ROOM;
      this.#remember(suffix, at);
      for (let i = from; at < labelEnd; i++) this.#bytes[at++] = encoded[i]!;
      keyAt = nextLabel(key, keyAt);
    }
    if (at >= this.#end) return NO_ROOM;
    this.#bytes[at] = 0;
    return at + 1;
  }

  #pointer(at: number, target: number): number {
    if (this.#end - at < 2) return NO_ROOM;
    writeU16(this.#bytes, at, 0xc000 | (target - this.#start));
    return at + 2;
  }

  #plainName(at: number, text: string): number {
    const length = encodeDnsName(text, encoded);
    return length < 0 ? NOT_WRITABLE : this.#octets(at, encoded.subarray(0, length));
  }

  #rememberQuestion(): void {
    const key = this.#questionKey;
    let at = this.#start + DNS_HEADER_BYTES;
    for (let keyAt = 0; keyAt < key.length; keyAt = nextLabel(key, keyAt)) {
      this.#remember(key.slice(keyAt), at);
      at += 1 + this.#bytes[at]!;
    }
  }

  #remember(suffix: string, at: number): void {
    if (at - this.#start > DNS_MAX_POINTER || this.#suffixes.size >= MAX_SUFFIXES) return;
    this.#suffixes.set(suffix, at);
  }

  /** Takes back what a record left behind that did not come to be. */
  #forgetFrom(at: number): void {
    for (const [suffix, suffixAt] of this.#suffixes) if (suffixAt >= at) this.#suffixes.delete(suffix);
  }
}

/** Where the label after the one at `at` begins in a name's text: behind the next dot that is not escaped. */
function nextLabel(text: string, at: number): number {
  while (at < text.length && text[at] !== '.') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
