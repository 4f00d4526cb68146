import type { Counters } from '../../../env/counters.ts';
import {
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_SERVFAIL,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  dnsRcodeName,
} from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { AnswerSource, LookupTrace } from '../lookup-trace.ts';
import type { ForwardResult } from '../upstream/forwarder.ts';
import type { Nameserver } from '../upstream/nameserver.ts';
import type { Timers } from '../upstream/timers.ts';
import { hostStep, ofFamily, raceForAddresses } from './address-race.ts';
import { type RawAnswer, readRawAnswer } from './agreement.ts';
import { answerLife } from './answer-life.ts';
import { type AuthoredAnswer, addressRecords, authorAnswer } from './authored-answer.ts';
import { type DomainRule, DomainRules } from './domain-rules.ts';
import type { AddressFamily, HostLookup } from './host-resolver.ts';
import { lookupNameKind } from './lookup-name.ts';

/** Clients wait for five seconds (glibc, musl, dig): the answer that nobody answers must come before. */
export const GIVE_UP_MS = 4500;

/** The zone that all such names lie in. */
const LOCALHOST = 'localhost';

/** Extended errors (RFC 8914 §4.18, §4.23, §4.24). */
const EDE_FILTERED = 17;
const EDE_NO_REACHABLE_AUTHORITY = 22;
const EDE_NETWORK_ERROR = 23;

/** Who puts raw questions to nameservers: `Forwarder`. Never rejects. */
export interface QuestionForwarder {
  ask(
    query: DnsQuery,
    nameservers: readonly Nameserver[] | 'system',
    trace: LookupTrace | undefined,
  ): Promise<ForwardResult>;
}

/** Who asks the operating system: `HostResolver`. */
export interface NameLookup {
  lookup(name: string): HostLookup;
}

export interface LiveAnswersOptions {
  /** Lifetime of what the operating system says: it tells none. */
  readonly ttlSeconds: number;
  /** AAAA answers: as the host has IPv6 or not, always, or never. */
  readonly ipv6: 'auto' | 'always' | 'never';
  /** Instead of the operating system; empty: the operating system. */
  readonly upstreams: readonly Nameserver[];
  readonly rules: readonly DomainRule[];
  readonly forwarder: QuestionForwarder;
  readonly resolver: NameLookup;
  readonly system: { hasIpv6(): boolean };
  readonly counters: Counters;
  readonly timers: Timers;
}

/** One answer, and where it comes from. */
export interface LiveAnswer {
  readonly message: Uint8Array;
  readonly rcode: number;
  readonly source: AnswerSource;
  /** A sentence for a person. */
  readonly why: string;
  /** How long it may be kept, for an answer that is ours; undefined: the TTLs of its records tell. */
  readonly lifeSeconds: number | undefined;
}

/**
 * Gets answers from the world as it is now. In this order: the rule for the longest domain; the configured upstreams; for
 * A and AAAA the operating system and its nameservers together (`decideAddresses`); its nameservers alone for all else.
 * A question without RD asks for nothing but what the nameservers know, so the operating system has no part in it.
 */
export class LiveAnswers {
  readonly #options: LiveAnswersOptions;
  readonly #rules: DomainRules;

  constructor(options: LiveAnswersOptions) {
    this.#options = options;
    this.#rules = new DomainRules(options.rules);
  }

  /** Rejects only by a defect. Settles within 4.5 s if the forwarder does. */
  async ask(query: DnsQuery, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    const answer = await this.#ask(query, trace);
    return query.question.type === DNS_TYPE_AAAA && !this.#givesIpv6() ? this.#withoutIpv6(query, answer) : answer;
  }

  #ask(query: DnsQuery, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    const rule = this.#rules.match(query.name);
    if (rule !== undefined) {
      trace?.step({ kind: 'rule', domain: rule.domain, nameservers: rule.nameservers });
      return this.#forward(query, rule.nameservers, trace, `the nameserver of the rule for ${rule.domain} says so`);
    }
    const { upstreams } = this.#options;
    if (upstreams.length > 0) return this.#forward(query, upstreams, trace, 'a configured upstream says so');
    const kind = lookupNameKind(query.name);
    const { type, recursionDesired } = query.question;
    const addresses = type === DNS_TYPE_A || type === DNS_TYPE_AAAA;
    if (kind === 'localhost') return this.#localhost(query, addresses, trace);
    if (addresses && recursionDesired && kind === 'address') {
      return Promise.resolve(this.#author(query, { rcode: DNS_NXDOMAIN }, 'slipway', 'an address is no name'));
    }
    if (addresses && recursionDesired && kind === 'host') return this.#asTheHostWould(query, trace);
    return this.#forward(query, 'system', trace, 'the host’s nameserver says so');
  }

  async #forward(
    query: DnsQuery,
    nameservers: readonly Nameserver[] | 'system',
    trace: LookupTrace | undefined,
    why: string,
  ): Promise<LiveAnswer> {
    const raw = await this.#raw(query, nameservers, trace);
    return typeof raw === 'string' ? this.#nobody(query, raw) : whole(raw, why);
  }

  async #raw(
    query: DnsQuery,
    nameservers: readonly Nameserver[] | 'system',
    trace: LookupTrace | undefined,
  ): Promise<RawAnswer | 'no-answer' | 'no-nameservers'> {
    const result = await this.#options.forwarder.ask(query, nameservers, trace);
    if (typeof result === 'string') return result;
    const raw = readRawAnswer(result.message);
    if (raw === undefined) this.#options.counters.add('dns-upstream-broken-message');
    return raw ?? 'no-answer';
  }

  async #asTheHostWould(query: DnsQuery, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    const { timers, resolver } = this.#options;
    const family = familyOf(query);
    const decision = await raceForAddresses({
      family,
      lookup: resolver.lookup(query.name),
      raw: this.#raw(query, 'system', trace),
      wantsRaw: query.dnssecOk || query.checkingDisabled,
      giveUpMs: GIVE_UP_MS,
      timers,
      trace,
    });
    switch (decision.from) {
      case 'upstream':
        return whole(decision.raw, decision.why);
      case 'operating-system':
        return this.#authorAddresses(query, decision.addresses, decision.why);
      case 'nobody':
        return this.#nobody(query, decision.raw, decision.why);
    }
  }

  /** Such names have addresses only, and no nameserver hears of them (RFC 6761 §6.3). */
  async #localhost(query: DnsQuery, addresses: boolean, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    const { timers, resolver, ttlSeconds } = this.#options;
    const none = { rcode: DNS_NOERROR, ttlSeconds, zone: LOCALHOST };
    if (!addresses) return this.#author(query, none, 'slipway', 'localhost has addresses only');
    const startMs = timers.nowMs();
    const family = familyOf(query);
    const lookup = resolver.lookup(query.name);
    // No nameserver will ever vouch for it, and it needs none.
    lookup.nameIsAlive();
    const answer = ofFamily(await lookup.answer, family);
    trace?.step(hostStep(family, answer, timers.nowMs() - startMs));
    const why = 'the operating system alone knows localhost';
    if (typeof answer !== 'string') {
      return this.#author(query, { ...none, records: addressRecords(answer) }, 'operating-system', why);
    }
    const rcode = { 'no-address': DNS_NOERROR, 'no-such-name': DNS_NXDOMAIN, failed: DNS_SERVFAIL, busy: DNS_SERVFAIL }[
      answer
    ];
    return this.#author(query, { ...none, rcode }, 'operating-system', why);
  }

  #authorAddresses(query: DnsQuery, addresses: readonly string[], why: string): LiveAnswer {
    const { ttlSeconds } = this.#options;
    const answer = { rcode: DNS_NOERROR, ttlSeconds, records: addressRecords(addresses) };
    return this.#author(query, answer, 'operating-system', why);
  }

  #author(query: DnsQuery, answer: AuthoredAnswer, source: AnswerSource, why: string): LiveAnswer {
    const lifeSeconds = answer.rcode === DNS_SERVFAIL ? 0 : this.#options.ttlSeconds;
    return { message: authorAnswer(query, answer), rcode: answer.rcode, source, why, lifeSeconds };
  }

  #nobody(query: DnsQuery, raw: 'no-answer' | 'no-nameservers' | 'late', told?: string): LiveAnswer {
    const none = raw === 'no-nameservers';
    this.#options.counters.add(none ? 'dns-no-nameservers' : 'dns-no-nameserver-answered');
    const why = told ?? (none ? 'the host has no nameserver' : 'no nameserver answered');
    const code = none ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY;
    return this.#author(query, { rcode: DNS_SERVFAIL, extendedError: { code, text: why } }, 'slipway', why);
  }

  #givesIpv6(): boolean {
    const { ipv6, system } = this.#options;
    return ipv6 === 'always' || (ipv6 === 'auto' && system.hasIpv6());
  }

  /** A guest that hears of IPv6 addresses tries them first, and waits. Whoever says that the name does not exist is right anyway. */
  #withoutIpv6(query: DnsQuery, answer: LiveAnswer): LiveAnswer {
    if (answer.rcode !== DNS_NOERROR || (readRawAnswer(answer.message)?.addresses.size ?? 0) === 0) return answer;
    const text = this.#options.ipv6 === 'never' ? 'dns.ipv6 is never' : 'the host has no IPv6 (dns.ipv6)';
    return {
      message: authorAnswer(query, { rcode: DNS_NOERROR, extendedError: { code: EDE_FILTERED, text } }),
      rcode: DNS_NOERROR,
      source: 'slipway',
      why: `the AAAA records are held back: ${text}`,
      lifeSeconds: answer.lifeSeconds ?? answerLife(answer.message).seconds,
    };
  }
}

function whole(raw: RawAnswer, why: string): LiveAnswer {
  const { message, rcode } = raw;
  return { message, rcode, source: 'upstream', why: `${why} (${dnsRcodeName(rcode)})`, lifeSeconds: undefined };
}

function familyOf(query: DnsQuery): AddressFamily {
  return query.question.type === DNS_TYPE_A ? 4 : 6;
}
