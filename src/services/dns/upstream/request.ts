import { readU16, writeU16 } from '../../../wire/bytes.ts';
import { appendOpt, DNS_OPT_BYTES, DNS_OWN_UDP_BYTES } from '../../../wire/dns-edns.ts';
import {
  DNS_AD,
  DNS_CD,
  DNS_FORMERR,
  DNS_HEADER_BYTES,
  DNS_NOTIMP,
  DNS_OPCODE_MASK,
  DNS_QR,
  DNS_RD,
  DNS_REFUSED,
  DNS_SERVFAIL,
  repeatsQuestion,
  writeDnsQuery,
} from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { LookupTrace } from '../lookup-trace.ts';

/**
 * Why a message is ignored; the answer may still come. 'dns-upstream-unasked': nobody waits for its id, mostly
 * because another server was faster.
 */
export type AnswerFault = 'dns-upstream-garbage' | 'dns-upstream-unasked' | 'dns-upstream-other-question';

/** Header, a name of 255 bytes, type and class, OPT. */
const MAX_QUERY_BYTES = DNS_HEADER_BYTES + 255 + 4 + DNS_OPT_BYTES;
const RCODE_MASK = 15;

/**
 * One message to a nameserver, and who waits for its answer. A transport calls back once, and never while it is being
 * called.
 */
export interface UpstreamRequest {
  /** The transport's from here on; it sets the id. */
  readonly message: Uint8Array;
  /** Where the question ends in it. */
  readonly questionEnd: number;
  answered(answer: Uint8Array): void;
  /** `code`: an errno's name, or a word of Slipway's ('busy', 'closed', 'timeout'). */
  failed(code: string): void;
}

/** A request that was sent. */
export interface Pending {
  /** The answer is not waited for any more. Idempotent; harmless after the answer. */
  forget(): void;
  /** No answer came for a long time: the socket that this request took is not used for others, but still read. */
  suspect(): void;
}

/**
 * Our own query in place of the guest's: question, RD, CD and DO are as asked. AD is set, so that the answer's AD
 * says whether it was validated (RFC 6840 §5.7); the guest's EDNS options stay here, most are for one hop only (RFC
 * 7873).
 */
export class OwnQuery {
  /** Who hears of its exchanges. */
  readonly trace: LookupTrace | undefined;
  /** The question without OPT record; undefined when its name cannot be written. */
  readonly #plain: Uint8Array;
  readonly #dnssecOk: boolean;

  constructor(query: DnsQuery) {
    const { question } = query;
    const bytes = new Uint8Array(MAX_QUERY_BYTES);
    const length = writeDnsQuery(bytes, 0, bytes.length, 0, question.name, question.type);
    const flags = (question.recursionDesired ? DNS_RD : 0) | DNS_AD | (query.checkingDisabled ? DNS_CD : 0);
    writeU16(bytes, 2, flags);
    this.#plain = bytes.subarray(0, Math.max(length, DNS_HEADER_BYTES));
    this.#dnssecOk = query.dnssecOk;
    this.trace = query.trace;
  }

  /** Where the question ends in the message. */
  get questionEnd(): number {
    return this.#plain.length;
  }

  /** A new copy with id 0. `edns`: with an OPT record. */
  message(edns: boolean): Uint8Array {
    const length = this.#plain.length;
    const bytes = new Uint8Array(edns ? length + DNS_OPT_BYTES : length);
    bytes.set(this.#plain);
    if (edns) appendOpt(bytes, length, { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: 0, dnssecOk: this.#dnssecOk });
    return bytes;
  }
}

/**
 * The answer that `message`, which has the request's id, is to it: a response with the same question, in any case of
 * its letters (RFC 5452 §9.1). Comes back in memory of its own.
 */
export function readAnswer(request: UpstreamRequest, message: Uint8Array): Uint8Array | AnswerFault {
  if (message.length < DNS_HEADER_BYTES) return 'dns-upstream-garbage';
  const flags = readU16(message, 2);
  if ((flags & DNS_QR) === 0 || (flags & DNS_OPCODE_MASK) !== 0) return 'dns-upstream-garbage';
  const questions = readU16(message, 4);
  if (questions === 0 && isBareRefusal(flags & RCODE_MASK)) return withQuestion(request, flags);
  if (questions !== 1) return 'dns-upstream-garbage';
  if (!repeatsQuestion(message, request.message, request.questionEnd)) return 'dns-upstream-other-question';
  // A copy: what a socket delivers may be a piece of a larger block.
  const answer = new Uint8Array(message.length);
  answer.set(message);
  return answer;
}

/**
 * Servers from before EDNS repeat no question when they do not understand one, and small ones none in any refusal.
 * Id, port and server are right, and it names no data that somebody else's could be taken for.
 */
function isBareRefusal(rcode: number): boolean {
  return rcode === DNS_FORMERR || rcode === DNS_NOTIMP || rcode === DNS_SERVFAIL || rcode === DNS_REFUSED;
}

function withQuestion(request: UpstreamRequest, flags: number): Uint8Array {
  const answer = request.message.slice(0, request.questionEnd);
  writeU16(answer, 2, flags);
  answer.fill(0, 6, DNS_HEADER_BYTES);
  return answer;
}
