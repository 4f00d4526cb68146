import { readU16, readU32, writeU16, writeU32 } from './bytes.ts';
import { DNS_HEADER_BYTES, DNS_TYPE_OPT, DNS_UDP_MAX_BYTES, type DnsQuestion } from './dns-message.ts';
import { DnsRecordCursor, DnsRecords } from './dns-record.ts';
import { textFromUtf8, utf8From } from './utf8.ts';

/**
 * EDNS (RFC 6891): the OPT record, a pseudo-record of the additional section that says what the header has no room for.
 */

/** An OPT record without options: root, type, size, extended rcode and flags, length of the options. */
export const DNS_OPT_BYTES = 11;
/** What we take over UDP: no fragment at the smallest MTU in use (RFC 6891 §6.2.5). */
export const DNS_OWN_UDP_BYTES = 1232;

/** The DO bit among version and flags, which lie where other records have the TTL (RFC 6891 §6.1.3, RFC 3225 §3). */
const DO = 0x8000;
/** Extended DNS Errors (RFC 8914 §2). */
const OPTION_EXTENDED_ERROR = 15;
const OPTION_HEADER_BYTES = 4;

/** What the OPT record of a message says. */
export interface DnsEdns {
  /** Bytes of UDP payload that the sender takes, at least 512 (RFC 6891 §6.2.3). */
  readonly udpBytes: number;
  readonly version: number;
  /** The upper 8 of the 12 bits of the response code. */
  readonly extendedRcode: number;
  /** The DO bit: the sender wants signatures (RFC 3225). */
  readonly dnssecOk: boolean;
  /** The OPT record is at [optAt, optEnd). */
  readonly optAt: number;
  readonly optEnd: number;
  /** Options in it. */
  readonly optCount: number;
}

/**
 * Why there is no answer, or no good one (RFC 8914): a code of the IANA registry "Extended DNS Error Codes", and text
 * for people.
 */
export interface DnsExtendedError {
  readonly code: number;
  readonly text: string;
}

const records = new DnsRecords();
const cursor = new DnsRecordCursor();

/**
 * The OPT record of the message that `question` begins and `end` ends; undefined when there is none. 'dns-bad-edns' (to
 * be answered with FORMERR) when a record is broken, and for a second OPT record, one whose owner is not the root, one
 * outside of the additional section, and one whose options do not fill it (RFC 6891 §6.1.1, §6.1.2). Never throws,
 * never reads past `end`.
 */
export function findEdns(bytes: Uint8Array, question: DnsQuestion, end: number): DnsEdns | 'dns-bad-edns' | undefined {
  if (question.additionalCount === 0 && question.answerCount === 0 && question.authorityCount === 0) return undefined;
  let edns: DnsEdns | undefined;
  records.start(bytes, question.questionAt - DNS_HEADER_BYTES, end, question);
  while (records.next(cursor)) {
    if (cursor.type !== DNS_TYPE_OPT) continue;
    if (edns !== undefined || cursor.section !== 'additional' || bytes[cursor.ownerAt] !== 0) return 'dns-bad-edns';
    const optCount = countOptions(bytes, cursor.dataAt, cursor.nextAt);
    if (optCount < 0) return 'dns-bad-edns';
    const flags = readU32(bytes, cursor.ttlAt);
    edns = {
      udpBytes: Math.max(DNS_UDP_MAX_BYTES, cursor.class),
      version: (flags >>> 16) & 0xff,
      extendedRcode: flags >>> 24,
      dnssecOk: (flags & DO) !== 0,
      optAt: cursor.ownerAt,
      optEnd: cursor.nextAt,
      optCount,
    };
  }
  return records.fault === undefined ? edns : 'dns-bad-edns';
}

/** −1 when an option runs past `end`. */
function countOptions(bytes: Uint8Array, at: number, end: number): number {
  let count = 0;
  while (at < end) {
    if (end - at < OPTION_HEADER_BYTES) return -1;
    at += OPTION_HEADER_BYTES + readU16(bytes, at + 2);
    count++;
  }
  return at === end ? count : -1;
}

/**
 * The first extended error among the options of `edns`, which `findEdns` found in `bytes`. Octets that are no UTF-8
 * become U+FFFD.
 */
export function findExtendedError(bytes: Uint8Array, edns: DnsEdns): DnsExtendedError | undefined {
  let at = edns.optAt + DNS_OPT_BYTES;
  for (let i = 0; i < edns.optCount; i++) {
    const dataAt = at + OPTION_HEADER_BYTES;
    const dataEnd = dataAt + readU16(bytes, at + 2);
    if (readU16(bytes, at) === OPTION_EXTENDED_ERROR && dataEnd - dataAt >= 2) {
      // The text may end with a zero that is no part of it (RFC 8914 §2).
      const textEnd = dataEnd > dataAt + 2 && bytes[dataEnd - 1] === 0 ? dataEnd - 1 : dataEnd;
      return { code: readU16(bytes, dataAt), text: textFromUtf8(bytes, dataAt + 2, textEnd) };
    }
    at = dataEnd;
  }
  return undefined;
}

/** What `appendOpt` writes. */
export interface DnsOpt {
  /** Bytes of UDP payload that we take. */
  readonly udpBytes: number;
  /** The upper 8 bits of the response code; the lower four are the header's. */
  readonly extendedRcode: number;
  readonly dnssecOk: boolean;
  readonly extendedError?: DnsExtendedError;
}

/**
 * Appends an OPT record of version 0 to the finished message [0, length) and counts it there. Returns the new length.
 * Where `bytes` ends sooner, the extended error's text is left out, then the error, then the record.
 */
export function appendOpt(bytes: Uint8Array, length: number, opt: DnsOpt): number {
  const room = bytes.length - length - DNS_OPT_BYTES;
  if (room < 0) return length;
  bytes[length] = 0;
  writeU16(bytes, length + 1, DNS_TYPE_OPT);
  writeU16(bytes, length + 3, opt.udpBytes);
  writeU32(bytes, length + 5, (opt.extendedRcode << 24) | (opt.dnssecOk ? DO : 0));
  const optionsAt = length + DNS_OPT_BYTES;
  const optionsEnd = opt.extendedError === undefined ? optionsAt : appendError(bytes, optionsAt, opt.extendedError);
  writeU16(bytes, length + 9, optionsEnd - optionsAt);
  writeU16(bytes, 10, readU16(bytes, 10) + 1);
  return optionsEnd;
}

function appendError(bytes: Uint8Array, at: number, error: DnsExtendedError): number {
  const textAt = at + OPTION_HEADER_BYTES + 2;
  if (textAt > bytes.length) return at;
  const text = utf8From(error.text);
  const textBytes = textAt + text.length <= bytes.length ? text.length : 0;
  writeU16(bytes, at, OPTION_EXTENDED_ERROR);
  writeU16(bytes, at + 2, 2 + textBytes);
  writeU16(bytes, at + 4, error.code);
  for (let i = 0; i < textBytes; i++) bytes[textAt + i] = text[i]!;
  return textAt + textBytes;
}
