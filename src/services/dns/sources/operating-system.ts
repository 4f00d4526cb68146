import { DNS_NOERROR } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { DnsTimers } from '../upstream/timers.ts';
import { raceForAddresses } from './address-race.ts';
import { addressRecords, authored } from './authored-answer.ts';
import type { AddressFamily, HostLookup } from './host-resolver.ts';
import { addressFamily, asksTheHost, lookupNameKind } from './lookup-name.ts';
import { type NameserverAnswers, whole } from './nameserver-answers.ts';
import type { Answer, Source } from './source.ts';

/** Asks the operating system: `HostResolver`. */
export interface NameLookup {
  lookup(name: string): HostLookup;
}

interface OperatingSystemOptions {
  readonly resolver: NameLookup;
  readonly nameservers: NameserverAnswers;
  readonly timers: DnsTimers;
  /** Lifetime of what the operating system says: it tells none. */
  readonly ttlSeconds: number;
}

/**
 * Addresses as every program of the host gets them: the operating system's resolver beside its nameservers
 * (`decideAddresses`).
 */
export class OperatingSystem implements Source {
  readonly #options: OperatingSystemOptions;

  constructor(options: OperatingSystemOptions) {
    this.#options = options;
  }

  answer(query: DnsQuery): Promise<Answer> | undefined {
    const family = addressFamily(query);
    if (family === undefined || !asksTheHost(query) || lookupNameKind(query.name) !== 'host') return undefined;
    return this.#race(query, family);
  }

  async #race(query: DnsQuery, family: AddressFamily): Promise<Answer> {
    const { resolver, nameservers, timers, ttlSeconds } = this.#options;
    const decision = await raceForAddresses({
      family,
      lookup: resolver.lookup(query.name),
      raw: nameservers.raw(query, 'system'),
      wantsRaw: query.dnssecOk || query.checkingDisabled,
      timers,
      trace: query.trace,
    });
    const { why } = decision;
    switch (decision.from) {
      case 'upstream':
        return whole(decision.raw, why);
      case 'operating-system': {
        const records = addressRecords(decision.addresses);
        const provenance = { source: 'operating-system', why, lifeSeconds: ttlSeconds } as const;
        return authored(query, { rcode: DNS_NOERROR, ttlSeconds, records }, provenance);
      }
      case 'nobody':
        return nameservers.none(query, decision.raw, why);
    }
  }
}
