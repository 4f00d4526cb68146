import { DNS_NOERROR, DNS_NXDOMAIN, DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { DnsTimers } from '../upstream/timers.ts';
import { hostStep, ofFamily } from './address-race.ts';
import { addressRecords, authored } from './authored-answer.ts';
import type { HostAnswer } from './host-resolver.ts';
import { addressFamily, lookupNameKind } from './lookup-name.ts';
import type { NameLookup } from './operating-system.ts';
import type { Answer, Source } from './source.ts';

/** The zone that all such names lie in. */
const LOCALHOST = 'localhost';

const RCODES: Readonly<Record<Exclude<HostAnswer, readonly string[]>, number>> = {
  'no-address': DNS_NOERROR,
  'no-such-name': DNS_NXDOMAIN,
  failed: DNS_SERVFAIL,
  busy: DNS_SERVFAIL,
};

interface LocalhostOptions {
  readonly resolver: NameLookup;
  readonly timers: DnsTimers;
  readonly ttlSeconds: number;
}

/** localhost and the names below it: they have addresses only, and no nameserver hears of them (RFC 6761 §6.3). */
export class Localhost implements Source {
  readonly #options: LocalhostOptions;

  constructor(options: LocalhostOptions) {
    this.#options = options;
  }

  answer(query: DnsQuery): Answer | Promise<Answer> | undefined {
    if (lookupNameKind(query.name) !== 'localhost') return undefined;
    const family = addressFamily(query);
    if (family !== undefined) return this.#addresses(query, family);
    const { ttlSeconds } = this.#options;
    const provenance = { source: 'slipway', why: 'localhost has addresses only', lifeSeconds: ttlSeconds } as const;
    return authored(query, { rcode: DNS_NOERROR, ttlSeconds, zone: LOCALHOST }, provenance);
  }

  async #addresses(query: DnsQuery, family: 4 | 6): Promise<Answer> {
    const { resolver, timers, ttlSeconds } = this.#options;
    const startMs = timers.nowMs();
    const lookup = resolver.lookup(query.name);
    // No nameserver will ever vouch for it, and it needs none.
    lookup.nameIsAlive();
    const said = ofFamily(await lookup.answer, family);
    query.trace?.step(hostStep(family, said, timers.nowMs() - startMs));
    const why = 'the operating system alone knows localhost';
    const provenance = { source: 'operating-system', why, lifeSeconds: ttlSeconds } as const;
    const none = { ttlSeconds, zone: LOCALHOST };
    if (typeof said === 'string') return authored(query, { ...none, rcode: RCODES[said] }, provenance);
    return authored(query, { ...none, rcode: DNS_NOERROR, records: addressRecords(said) }, provenance);
  }
}
