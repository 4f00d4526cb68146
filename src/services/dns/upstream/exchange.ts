import { findEdns } from '../../../wire/dns-edns.ts';
import {
  DNS_BADVERS,
  DNS_FORMERR,
  DNS_NOTIMP,
  DnsQuestion,
  dnsRcodeName,
  parseDnsQuestion,
} from '../../../wire/dns-message.ts';
import type { OwnQuery, Pending, UpstreamRequest } from './request.ts';
import type { DnsTimers } from './timers.ts';
import type { UpstreamServer } from './upstream-server.ts';

/** What one server said. */
export interface ServerAnswer {
  readonly message: Uint8Array;
  /** All 12 bits. */
  readonly rcode: number;
  /** Cut short, and there was no way to get it whole. */
  readonly truncated: boolean;
  /** A record runs past the end, there are fewer than the header says, or more than one OPT record. */
  readonly broken: boolean;
}

/** The receiver of the exchange's result, which is told once. */
interface ExchangeEnd {
  answered(answer: ServerAnswer): void;
  /** Nothing comes of it: an errno's name or 'busy', 'closed', 'timeout'. */
  failed(code: string): void;
}

interface ExchangeOptions {
  readonly server: UpstreamServer;
  readonly query: OwnQuery;
  readonly end: ExchangeEnd;
  readonly timers: DnsTimers;
}

/**
 * One question to one server, until it answered: over UDP with EDNS; without EDNS when it does not know that, or
 * never answers it; over TCP when the answer does not fit into a datagram. Knows no time limit over UDP: who started it
 * gives it up.
 */
export class Exchange {
  readonly #options: ExchangeOptions;
  #transport: 'udp' | 'tcp' = 'udp';
  #edns: boolean;
  #sentMs = 0;
  #pending: Pending | undefined;
  /** The UDP answer that was cut short. */
  #cut: ServerAnswer | undefined;
  /** What the server said to the query with EDNS, while it is asked without. */
  #ednsRefusal: ServerAnswer | undefined;
  #heard = false;
  #overdue = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#edns = options.server.takesEdns;
    this.#send('udp');
  }

  /** The server has answered the last message over UDP, or is asked over TCP now. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Milliseconds since the last message to the server. */
  get waitedMs(): number {
    return this.#options.timers.nowMs() - this.#sentMs;
  }

  /** The server should have answered by now. It may still. */
  overdue(): void {
    if (this.#overdue || this.#heard || this.#pending === undefined) return;
    this.#overdue = true;
    this.#pending.suspect();
    this.#options.server.stayedSilent(this.#edns);
  }

  /** Nobody needs the answer any more. */
  abort(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    this.#step(`no answer within ${Math.round(this.waitedMs)} ms`, 0);
    // A server that is thought dead shows in such an answer that it is not.
    if (!this.#heard && this.#options.server.silent) this.#options.server.listenOn(pending);
    else pending.forget();
  }

  #send(transport: 'udp' | 'tcp'): void {
    const { server, query, timers } = this.#options;
    this.#transport = transport;
    this.#sentMs = timers.nowMs();
    const request: UpstreamRequest = {
      message: query.message(this.#edns),
      questionEnd: query.questionEnd,
      answered: (message) => this.#answered(message),
      failed: (code) => this.#failed(code),
    };
    this.#pending = (transport === 'udp' ? server.udp : server.tcp).send(request);
  }

  #answered(message: Uint8Array): void {
    const { server } = this.#options;
    this.#heard = true;
    server.spoke(this.#edns);
    if (this.#pending === undefined) return;
    const answer = read(message);
    const flaw = answer.truncated ? ', truncated' : answer.broken ? ', broken' : '';
    this.#step(dnsRcodeName(answer.rcode) + flaw, message.length);
    if (this.#edns && refusesEdns(answer)) {
      this.#ednsRefusal = answer;
      this.#edns = false;
      this.#heard = false;
      this.#send(this.#transport);
    } else if (answer.truncated && this.#transport === 'udp') {
      this.#cut = answer;
      this.#send('tcp');
    } else {
      if (this.#ednsRefusal !== undefined && !refusesEdns(answer)) server.knowsNoEdns();
      this.#pending = undefined;
      this.#options.end.answered(answer);
    }
  }

  #failed(code: string): void {
    if (this.#pending === undefined) return;
    this.#step(code === 'timeout' ? `no answer within ${Math.round(this.waitedMs)} ms` : code, 0);
    // A server without TCP: a part of the answer is better than none.
    const answer = this.#cut ?? this.#ednsRefusal;
    this.#pending = undefined;
    if (answer !== undefined) this.#options.end.answered(answer);
    else this.#options.end.failed(code);
  }

  #step(outcome: string, bytes: number): void {
    this.#options.query.trace?.step({
      kind: 'upstream',
      nameserver: this.#options.server.nameserver,
      transport: this.#transport,
      outcome,
      bytes,
      ms: this.waitedMs,
    });
  }
}

const question = new DnsQuestion();

/** `message` has been found to answer the question. */
function read(message: Uint8Array): ServerAnswer {
  parseDnsQuestion(message, 0, message.length, question);
  const { rcode, truncated } = question;
  const edns = findEdns(message, question, message.length);
  // Only an empty answer may have a code whose lower bits are those of NOERROR (BADVERS is 16).
  const upper = typeof edns === 'object' && rcode === 0 && question.answerCount === 0 ? edns.extendedRcode : 0;
  return { message, rcode: (upper << 4) | rcode, truncated, broken: edns === 'dns-bad-edns' };
}

/** RFC 6891 §7: who does not know EDNS says FORMERR or NOTIMP, and has no OPT record in the answer. */
function refusesEdns({ message, rcode }: ServerAnswer): boolean {
  if (rcode === DNS_BADVERS) return true;
  if (rcode !== DNS_FORMERR && rcode !== DNS_NOTIMP) return false;
  parseDnsQuestion(message, 0, message.length, question);
  return typeof findEdns(message, question, message.length) !== 'object';
}
