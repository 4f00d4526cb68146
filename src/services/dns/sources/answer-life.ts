import { readU32 } from '../../../wire/bytes.ts';
import {
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_TYPE_ANY,
  DNS_TYPE_OPT,
  DNS_TYPE_SOA,
  DnsQuestion,
  parseDnsQuestion,
} from '../../../wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../../wire/dns-record.ts';

/** Nothing is kept longer, whatever its TTL says. */
const MAX_LIFE_SECONDS = 86_400;
/** RFC 2308 §5 calls one to three hours sensible. */
const MAX_NEGATIVE_LIFE_SECONDS = 10_800;
/** Two names of at least an octet, and five numbers of which the minimum is the last (RFC 1035 §3.3.13). */
const MIN_SOA_BYTES = 22;

/** What a cache has to know of a message. */
export interface AnswerLife {
  /** How long it may be kept; 0: not at all. */
  readonly seconds: number;
  /** The smallest TTL in it; a day when there is none. */
  readonly ttlSeconds: number;
  /** Offsets of the TTLs of all records but OPT, which has flags in that place. */
  readonly ttlAt: Uint16Array;
  /** Where the records end; what follows them is ignored. */
  readonly endAt: number;
  /** Offset of the OPT record if it is the last one, `endAt` if there is none, −1 if other records follow it. */
  readonly optAt: number;
  readonly rcode: number;
}

const question = new DnsQuestion();
const records = new DnsRecords();
const cursor = new DnsRecordCursor();

/**
 * Reads how long a message may live: the smallest TTL in it; for a negative answer at most the SOA's minimum (RFC
 * 2308 §5), and not at all without an SOA. Failures, truncated and broken messages have no life. Never throws.
 */
export function answerLife(message: Uint8Array): AnswerLife {
  const endAt = message.length;
  const broken = { seconds: 0, ttlSeconds: 0, ttlAt: new Uint16Array(0), endAt, optAt: -1, rcode: 0 };
  if (parseDnsQuestion(message, 0, message.length, question) !== undefined) return broken;
  const ttlAt: number[] = [];
  let ttlSeconds = MAX_LIFE_SECONDS;
  let negativeSeconds = 0;
  let positive = false;
  let optAt = -1;
  let optEnd = -1;
  let end = question.questionEnd;
  let upperRcode = 0;
  records.start(message, 0, message.length, question);
  while (records.next(cursor)) {
    end = cursor.nextAt;
    if (cursor.type === DNS_TYPE_OPT) {
      upperRcode = message[cursor.ttlAt]!;
      optAt = cursor.ownerAt;
      optEnd = end;
      continue;
    }
    ttlAt.push(cursor.ttlAt);
    ttlSeconds = Math.min(ttlSeconds, cursor.ttlSeconds);
    if (cursor.section === 'answer') positive ||= cursor.type === question.type || question.type === DNS_TYPE_ANY;
    if (cursor.section === 'authority' && cursor.type === DNS_TYPE_SOA && cursor.dataLength >= MIN_SOA_BYTES) {
      negativeSeconds = Math.min(MAX_NEGATIVE_LIFE_SECONDS, readU32(message, cursor.nextAt - 4));
    }
  }
  if (records.fault !== undefined) return broken;
  const rcode = (upperRcode << 4) | question.rcode;
  const usable = (rcode === DNS_NOERROR || rcode === DNS_NXDOMAIN) && question.response && !question.truncated;
  const negative = rcode === DNS_NXDOMAIN || !positive;
  const seconds = usable ? Math.min(ttlSeconds, negative ? negativeSeconds : ttlSeconds) : 0;
  if (optEnd < 0) optAt = end;
  else if (optEnd !== end) optAt = -1;
  return { seconds, ttlSeconds, ttlAt: Uint16Array.from(ttlAt), endAt: end, optAt, rcode };
}
