import { readU16, writeU16 } from '../../wire/bytes.ts';
import {
  appendOpt,
  DNS_OPT_BYTES,
  DNS_OWN_UDP_BYTES,
  type DnsEdns,
  type DnsOpt,
  findEdns,
  findExtendedError,
} from '../../wire/dns-edns.ts';
import {
  DNS_AA,
  DNS_AD,
  DNS_CD,
  DNS_HEADER_BYTES,
  DNS_MAX_MESSAGE_BYTES,
  DNS_QR,
  DNS_RA,
  DNS_RD,
  DNS_SERVFAIL,
  DNS_TC,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_OPT,
  DNS_UDP_MAX_BYTES,
  DnsQuestion,
  repeatsQuestion,
} from '../../wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../wire/dns-record.ts';
import { utf8From } from '../../wire/utf8.ts';
import type { DnsTransport } from './dns-query.ts';

/** Largest that we send in one datagram, whatever the asker takes: what most servers send, and askers say. */
const DATAGRAM_MAX_BYTES = 4096;
/** Option code, length and error code before the text (RFC 8914 §2). */
const ERROR_FIXED_BYTES = 6;
const RCODE = 0x000f;
const POINTER = 0xc0;

/** Of the header's four counts: that of questions, then answers, authorities and additional records. */
const QUESTION_COUNT_AT = 4;
const COUNTS_AT = 6;

/** What an answer is fitted to: a `DnsQuery` has it all. */
export interface Asked {
  readonly bytes: Uint8Array;
  readonly question: DnsQuestion;
  readonly edns: DnsEdns | undefined;
}

/**
 * The most bytes that the asker takes, OPT record included: what it said itself, 512 when it said nothing (RFC 6891
 * §6.2.3).
 */
export function answerBytes(edns: DnsEdns | undefined, transport: DnsTransport): number {
  if (transport === 'tcp') return DNS_MAX_MESSAGE_BYTES;
  return Math.min(edns?.udpBytes ?? DNS_UDP_MAX_BYTES, DATAGRAM_MAX_BYTES);
}

const head = new DnsQuestion();
const records = new DnsRecords();
const cursor = new DnsRecordCursor();

/**
 * Makes an answer this asker's: its id, its spelling of the question, RD and CD as it sent them, AD only if it wants
 * to know (RFC 6840 §5.7, §5.8), an OPT record of ours exactly if it sent one, and no more bytes than it takes. The
 * response code's upper bits and the extended error (RFC 8914) of the answer's own OPT record are kept.
 *
 * What does not fit a datagram is cut at a record: answers and authorities with TC, additional records without (RFC
 * 2181 §9). The answers that do fit stay, for resolvers that know no TCP (musl before 1.2.4).
 *
 * `message` belongs to the answer from here on and is changed in place where it has the room. Undefined when it does
 * not answer the question, or is broken.
 */
export function fitAnswer(message: Uint8Array, asked: Asked, transport: DnsTransport): Uint8Array | undefined {
  const { question, edns } = asked;
  if (!repeatsQuestion(message, asked.bytes, question.questionEnd) || readU16(message, QUESTION_COUNT_AT) !== 1)
    return undefined;
  readHead(message, question);
  const found = findEdns(message, head, message.length);
  if (found === 'dns-bad-edns') return undefined;
  const error = found === undefined ? undefined : findExtendedError(message, found);
  if (found !== undefined) removeOpt(message, found);
  let length = recordsEnd(message);

  let flags = readU16(message, 2);
  const wantsAd = edns?.dnssecOk === true || (question.flags & DNS_AD) !== 0;
  flags = DNS_QR | DNS_RA | (flags & (DNS_AA | DNS_TC | RCODE | (wantsAd ? DNS_AD : 0)));
  flags |= question.flags & (DNS_RD | DNS_CD);
  const upperRcode = found?.extendedRcode ?? 0;
  // Twelve bits cannot be said without EDNS; the lower four alone would say something else.
  if (upperRcode !== 0 && edns === undefined) flags = (flags & ~RCODE) | DNS_SERVFAIL;

  const most = answerBytes(edns, transport);
  const optBytes = edns === undefined ? 0 : DNS_OPT_BYTES;
  if (length + optBytes > most) {
    // The bytes of a stream need not fit anything; the OPT record is left out where there is no room for it.
    if (transport === 'udp') {
      length = cut(message, most - optBytes);
      if (head.truncated) flags |= DNS_TC;
    }
  }
  copyQuestion(message, asked);
  writeU16(message, 0, question.id);
  writeU16(message, 2, flags);
  if (edns === undefined) return message.subarray(0, length);
  const opt = { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: upperRcode, dnssecOk: edns.dnssecOk };
  return withOpt(message, length, most, error === undefined ? opt : { ...opt, extendedError: error });
}

function copyQuestion(message: Uint8Array, { bytes, question }: Asked): void {
  for (let i = DNS_HEADER_BYTES; i < question.questionEnd; i++) message[i] = bytes[i]!;
}

function readHead(message: Uint8Array, question: DnsQuestion): void {
  head.flags = readU16(message, 2);
  head.questionAt = DNS_HEADER_BYTES;
  head.questionEnd = question.questionEnd;
  head.answerCount = readU16(message, COUNTS_AT);
  head.authorityCount = readU16(message, COUNTS_AT + 2);
  head.additionalCount = readU16(message, COUNTS_AT + 4);
}

/** Where the last record ends; what follows it is ignored. */
function recordsEnd(message: Uint8Array): number {
  let end = head.questionEnd;
  records.start(message, 0, message.length, head);
  while (records.next(cursor)) end = cursor.nextAt;
  return end;
}

/**
 * Takes the OPT record out. Almost always it is the last one and nothing moves. Addresses behind it move up, with the
 * pointers of their owners; other records there are left out, as their data may hold pointers too.
 */
function removeOpt(message: Uint8Array, { optAt, optEnd }: DnsEdns): void {
  const gap = optEnd - optAt;
  let kept = 0;
  let to = optAt;
  let behind = false;
  records.start(message, 0, message.length, head);
  // A cursor is read before its record moves, and records move only to where the walk has been.
  while (records.next(cursor)) {
    const { section, type, ownerAt, nextAt, dataAt } = cursor;
    if (type === DNS_TYPE_OPT) behind = true;
    else if (!behind) kept += section === 'additional' ? 1 : 0;
    else if (type !== DNS_TYPE_A && type !== DNS_TYPE_AAAA) break;
    else {
      // An owner that points into the OPT record's data points to nothing afterwards.
      if (!movePointer(message, ownerAt, dataAt, optAt, gap)) break;
      message.copyWithin(to, ownerAt, nextAt);
      to += nextAt - ownerAt;
      kept++;
    }
  }
  head.additionalCount = kept;
  writeU16(message, COUNTS_AT + 4, kept);
}

/** Turns the pointer that ends an owner to where its target will be; false when the target is in what goes. */
function movePointer(message: Uint8Array, ownerAt: number, end: number, movedFrom: number, gap: number): boolean {
  let at = ownerAt;
  while (at < end && message[at]! !== 0 && message[at]! < POINTER) at += 1 + message[at]!;
  if (at + 1 >= end || message[at]! < POINTER) return true;
  const target = readU16(message, at) & 0x3fff;
  if (target < movedFrom) return true;
  if (target < movedFrom + gap) return false;
  writeU16(message, at, (POINTER << 8) | (target - gap));
  return true;
}

/** Cuts the message at `most` and sets TC in `head` if an answer or authority was lost. Returns the new length. */
function cut(message: Uint8Array, most: number): number {
  const counts = { answer: 0, authority: 0, additional: 0 };
  let end = head.questionEnd;
  let additionalAt = -1;
  records.start(message, 0, message.length, head);
  while (records.next(cursor)) {
    const { section, ownerAt, nextAt } = cursor;
    if (section === 'additional' && additionalAt < 0) additionalAt = ownerAt;
    if (nextAt > most) {
      if (section === 'additional') {
        // Part of a set of records would look like the whole; none of them is missed.
        end = additionalAt;
        counts.additional = 0;
      } else {
        head.flags |= DNS_TC;
      }
      break;
    }
    counts[section]++;
    end = nextAt;
  }
  writeU16(message, COUNTS_AT, counts.answer);
  writeU16(message, COUNTS_AT + 2, counts.authority);
  writeU16(message, COUNTS_AT + 4, counts.additional);
  return end;
}

/**
 * Class and version as RFC 6891 §6.1 wants them, DO as asked (RFC 3225 §3); the extended error goes where it has room.
 */
function withOpt(message: Uint8Array, length: number, most: number, opt: DnsOpt): Uint8Array {
  const { extendedError: error } = opt;
  const errorBytes = error === undefined ? 0 : ERROR_FIXED_BYTES + utf8From(error.text).length;
  const bytes = Math.min(length + DNS_OPT_BYTES + errorBytes, most);
  let room = message;
  if (room.length < bytes) {
    room = new Uint8Array(bytes);
    room.set(message.subarray(0, length));
  }
  return room.subarray(0, appendOpt(room.subarray(0, bytes), length, opt));
}
