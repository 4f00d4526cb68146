import { readU16, readU32 } from './bytes.ts';
import { DNS_HEADER_BYTES, type DnsFault, type DnsQuestion } from './dns-message.ts';
import { DnsName, parseDnsName, skipDnsName } from './dns-name.ts';

export type DnsSection = 'answer' | 'authority' | 'additional';

/** Type, class, TTL and length of the data: what follows a record's owner (RFC 1035 §4.1.3). */
export const DNS_RECORD_FIXED_BYTES = 10;
/** A TTL with the top bit set counts as 0 (RFC 2181 §8). */
export const DNS_MAX_TTL_SECONDS = 0x7fff_ffff;

/** The faults of names and questions, and a record that runs past the end of the message. */
export type DnsRecordFault = DnsFault | 'dns-record-truncated';

/** One record of a message, as offsets into its bytes. Filled by `DnsRecords.next`. */
export class DnsRecordCursor {
  section: DnsSection = 'answer';
  ownerAt = 0;
  type = 0;
  class = 0;
  /** 0 when the top bit was set. An OPT record has flags in this place: read them at `ttlAt`. */
  ttlSeconds = 0;
  ttlAt = 0;
  dataAt = 0;
  dataLength = 0;
  /** Offset after the record. */
  nextAt = 0;
}

const EMPTY = new Uint8Array(0);
const name = new DnsName();

/**
 * Walks over the records behind the question, section after section, and allocates nothing. It never throws and never
 * reads past `end`. It sees to it that each record lies inside the message whole; what its data holds is not looked at.
 * Where the pointer of an owner leads is not followed.
 */
export class DnsRecords {
  /** Why the walk ended early; undefined while it has not, and when it has come to the end of the message. */
  fault: DnsRecordFault | undefined;
  #bytes: Uint8Array = EMPTY;
  #messageAt = 0;
  #at = 0;
  #end = 0;
  #answersLeft = 0;
  #authoritiesLeft = 0;
  #additionalsLeft = 0;

  /**
   * Goes to the first record of the message at [at, end), whose `question` was parsed without a fault. Keeps `bytes`,
   * not `question`.
   */
  start(bytes: Uint8Array, at: number, end: number, question: DnsQuestion): void {
    this.fault = undefined;
    this.#bytes = bytes;
    this.#messageAt = at;
    this.#at = Math.max(question.questionEnd, at + DNS_HEADER_BYTES);
    this.#end = end;
    this.#answersLeft = question.answerCount;
    this.#authoritiesLeft = question.authorityCount;
    this.#additionalsLeft = question.additionalCount;
  }

  /** Fills `cursor` with the next record; false at the end or at a fault, and from then on. */
  next(cursor: DnsRecordCursor): boolean {
    if (this.fault !== undefined) return false;
    if (this.#answersLeft > 0) {
      this.#answersLeft--;
      cursor.section = 'answer';
    } else if (this.#authoritiesLeft > 0) {
      this.#authoritiesLeft--;
      cursor.section = 'authority';
    } else if (this.#additionalsLeft > 0) {
      this.#additionalsLeft--;
      cursor.section = 'additional';
    } else {
      return false;
    }
    return this.#read(cursor);
  }

  #read(cursor: DnsRecordCursor): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    const ownerAt = this.#at;
    const fixedAt = skipDnsName(bytes, this.#messageAt, ownerAt, end);
    if (fixedAt < 0) {
      this.fault = parseDnsName(bytes, this.#messageAt, ownerAt, end, name) ?? 'dns-record-truncated';
      return false;
    }
    const dataAt = fixedAt + DNS_RECORD_FIXED_BYTES;
    const dataLength = dataAt <= end ? readU16(bytes, fixedAt + 8) : 0;
    if (dataAt + dataLength > end) {
      this.fault = 'dns-record-truncated';
      return false;
    }
    const ttl = readU32(bytes, fixedAt + 4);
    cursor.ownerAt = ownerAt;
    cursor.type = readU16(bytes, fixedAt);
    cursor.class = readU16(bytes, fixedAt + 2);
    cursor.ttlAt = fixedAt + 4;
    cursor.ttlSeconds = ttl > DNS_MAX_TTL_SECONDS ? 0 : ttl;
    cursor.dataAt = dataAt;
    cursor.dataLength = dataLength;
    cursor.nextAt = dataAt + dataLength;
    this.#at = cursor.nextAt;
    return true;
  }
}
