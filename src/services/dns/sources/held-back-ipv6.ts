import type { Ipv6Answers } from '../../../config/dns.ts';
import { DNS_NOERROR, DNS_TYPE_AAAA } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import { EDE_FILTERED } from '../protocol.ts';
import { answerLife } from './answer-life.ts';
import { authored } from './authored-answer.ts';
import { readRawAnswer } from './raw-answer.ts';
import type { Answer, Ask, Source } from './source.ts';

export interface HeldBackIpv6Options {
  readonly ipv6: Ipv6Answers;
  readonly system: { hasIpv6(): boolean };
}

/**
 * Holds back the AAAA records of the sources after it where the host has no IPv6 (`dns.ipv6`): a guest that hears of
 * IPv6 addresses tries them first, and waits. Whoever says that the name does not exist is right anyway.
 */
export class HeldBackIpv6 implements Source {
  readonly #options: HeldBackIpv6Options;

  constructor(options: HeldBackIpv6Options) {
    this.#options = options;
  }

  answer(query: DnsQuery, rest: Ask): Promise<Answer> | undefined {
    return query.question.type === DNS_TYPE_AAAA ? this.#hold(query, rest) : undefined;
  }

  async #hold(query: DnsQuery, rest: Ask): Promise<Answer> {
    const answer = await rest(query);
    const { message, rcode, lifeSeconds = answerLife(message).seconds } = answer;
    const found = rcode === DNS_NOERROR && (readRawAnswer(message)?.addresses.size ?? 0) > 0;
    if (!found || this.#isGiven()) return answer;
    const text = this.#options.ipv6 === 'never' ? 'dns.ipv6 is never' : 'the host has no IPv6 (dns.ipv6)';
    const why = `the AAAA records are held back: ${text}`;
    const none = { rcode: DNS_NOERROR, extendedError: { code: EDE_FILTERED, text } };
    // Kept as long as the records that it hides.
    return authored(query, none, { source: 'slipway', why, lifeSeconds });
  }

  #isGiven(): boolean {
    const { ipv6, system } = this.#options;
    return ipv6 === 'always' || (ipv6 === 'auto' && system.hasIpv6());
  }
}
