import { DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { LookupPlace, QueryLimit } from '../query-limit.ts';
import { authored } from './authored-answer.ts';
import type { Answer, Ask, Source } from './source.ts';

/**
 * Limits how many questions of one guest the sources after it work on at once. Beyond its share a guest gets SERVFAIL
 * ('dns-busy').
 */
export class GuestShare implements Source {
  readonly #limit: QueryLimit;

  constructor(limit: QueryLimit) {
    this.#limit = limit;
  }

  answer(query: DnsQuery, rest: Ask): Answer | Promise<Answer> | undefined {
    if (query.guest === undefined) return undefined;
    const place = this.#limit.enter(query.guest);
    if (place !== undefined) return this.#within(place, query, rest);
    return authored(
      query,
      { rcode: DNS_SERVFAIL },
      { source: 'slipway', why: 'the guest has too many lookups in progress' },
    );
  }

  async #within(place: LookupPlace, query: DnsQuery, rest: Ask): Promise<Answer> {
    try {
      return await rest(query);
    } finally {
      this.#limit.leave(place);
    }
  }
}
