import type { Counters } from '../../../env/counters.ts';
import { DNS_SERVFAIL, dnsRcodeName } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import { EDE_NETWORK_ERROR, EDE_NO_REACHABLE_AUTHORITY } from '../protocol.ts';
import type { ForwardResult } from '../upstream/forwarder.ts';
import type { Nameserver } from '../../../facts/nameserver.ts';
import { authored } from './authored-answer.ts';
import { type RawAnswer, readRawAnswer } from './raw-answer.ts';
import type { Answer } from './source.ts';

/** Asks nameservers: `Forwarder`. Never rejects. */
export interface QuestionForwarder {
  ask(query: DnsQuery, nameservers: readonly Nameserver[] | 'system'): Promise<ForwardResult>;
}

/** Why no nameserver's message is there. */
export type NoMessage = 'no-answer' | 'no-nameservers';

/** Makes answers of what nameservers say, for all sources that ask them. */
export class NameserverAnswers {
  readonly #forwarder: QuestionForwarder;
  readonly #counters: Counters;

  constructor(forwarder: QuestionForwarder, counters: Counters) {
    this.#forwarder = forwarder;
    this.#counters = counters;
  }

  /** Their message, whatever it says; SERVFAIL when nobody answers. `why` explains their message. */
  async ask(query: DnsQuery, nameservers: readonly Nameserver[] | 'system', why: string): Promise<Answer> {
    const raw = await this.raw(query, nameservers);
    return typeof raw === 'string' ? this.none(query, raw) : whole(raw, why);
  }

  /** Their message, read. */
  async raw(query: DnsQuery, nameservers: readonly Nameserver[] | 'system'): Promise<RawAnswer | NoMessage> {
    const result = await this.#forwarder.ask(query, nameservers);
    if (typeof result === 'string') return result;
    const raw = readRawAnswer(result.message);
    if (raw === undefined) this.#counters.add('dns-upstream-broken-message');
    return raw ?? 'no-answer';
  }

  /** SERVFAIL, as no nameserver answered. */
  none(query: DnsQuery, reason: NoMessage | 'late', told?: string): Answer {
    const nobody = reason === 'no-nameservers';
    this.#counters.add(nobody ? 'dns-no-nameservers' : 'dns-no-nameserver-answered');
    const why = told ?? (nobody ? 'the host has no nameserver' : 'no nameserver answered');
    const code = nobody ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY;
    const failure = { rcode: DNS_SERVFAIL, extendedError: { code, text: why } };
    return authored(query, failure, { source: 'slipway', why });
  }
}

/** A nameserver's message as it came. */
export function whole({ message, rcode }: RawAnswer, why: string): Answer {
  return { message, rcode, source: 'upstream', why: `${why} (${dnsRcodeName(rcode)})` };
}
