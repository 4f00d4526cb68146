import type { Counters } from '../env/counters.ts';
import type { Nameserver } from '../facts/nameserver.ts';
import { readU16, writeU16 } from '../wire/bytes.ts';
import { DNS_HEADER_BYTES, DNS_QR, DNS_RD, DNS_SERVFAIL, DnsQuestion, parseDnsQuestion } from '../wire/dns-message.ts';
import type { DnsRoutes, GatewayServer } from './dns-routes.ts';

/** Of the header's second word: what an answer of ours repeats (the opcode and RD). */
const REPEATED_FLAGS = 0x7800 | DNS_RD;
/**
 * Questions on their way to a server, over all askers: each holds a message and a timer. What comes beyond is answered
 * with SERVFAIL.
 */
const MAX_IN_FLIGHT = 2048;

/** Puts a whole message to a server, by UDP or by TCP. */
export interface DnsExchange {
  /**
   * The server's answer to exactly this question, whole, with any id; undefined when it said nothing in time or cannot
   * be reached. Never rejects. Neither side changes `message`, whose question ends at `questionEnd`.
   */
  ask(server: Nameserver, message: Uint8Array, questionEnd: number): Promise<Uint8Array | undefined>;
}

export interface DnsFrontOptions {
  readonly routes: DnsRoutes;
  /** Where a server is now; undefined while it is unknown (there is no default route yet). */
  readonly servers: (name: GatewayServer) => Nameserver | undefined;
  readonly counters: Counters;
}

/**
 * Between the sockets of askers and those to the servers: every message that can be answered is, and only its id
 * changes.
 */
export class DnsFront {
  readonly #options: DnsFrontOptions;
  readonly #question = new DnsQuestion();
  #inFlight = 0;

  constructor(options: DnsFrontOptions) {
    this.#options = options;
  }

  /**
   * The answer to a message; undefined for what must not be answered. `exchange` says by which transport the server is
   * asked. Never throws, never rejects. The caller may not change `message` until then.
   */
  answer(message: Uint8Array, exchange: DnsExchange): Promise<Uint8Array> | Uint8Array | undefined {
    const { routes, servers, counters } = this.#options;
    const route = routes.route(message, this.#question);
    if (route === 'dropped') {
      counters.add('dropped');
      return undefined;
    }
    if (typeof route === 'object') {
      counters.add('not-understood');
      return failure(message, route.rcode);
    }
    counters.add(`to-${route}`);
    const server = servers(route);
    if (server === undefined || this.#inFlight >= MAX_IN_FLIGHT) {
      counters.add(server === undefined ? 'no-server' : 'too-many');
      return failure(message, DNS_SERVFAIL);
    }
    return this.#ask(server, message, exchange);
  }

  async #ask(server: Nameserver, message: Uint8Array, exchange: DnsExchange): Promise<Uint8Array> {
    this.#inFlight++;
    const answer = await exchange.ask(server, message, this.#question.questionEnd);
    this.#inFlight--;
    if (answer === undefined) {
      this.#options.counters.add('no-answer');
      return failure(message, DNS_SERVFAIL);
    }
    this.#options.counters.add('answered');
    writeU16(answer, 0, readU16(message, 0));
    return answer;
  }
}

/** An answer without records: header, and the question if it is one. `message` has a whole header. */
export function failure(message: Uint8Array, rcode: number): Uint8Array {
  const question = new DnsQuestion();
  const readable = parseDnsQuestion(message, 0, message.length, question) === undefined;
  const answer = new Uint8Array(message.subarray(0, readable ? question.questionEnd : DNS_HEADER_BYTES));
  writeU16(answer, 2, DNS_QR | (question.flags & REPEATED_FLAGS) | rcode);
  writeU16(answer, 4, readable ? 1 : 0);
  answer.fill(0, 6, DNS_HEADER_BYTES);
  return answer;
}
