import type { DnsConfig } from '../../config/dns.ts';
import type { Counters } from '../../env/counters.ts';
import type { QueryLimit } from './query-limit.ts';
import { addressLiterals } from './sources/address-literal.ts';
import { Cache, type CacheOptions } from './sources/cache.ts';
import { ConfiguredHosts } from './sources/configured-hosts.ts';
import { DomainRules } from './sources/domain-rules.ts';
import { guarded } from './sources/guarded.ts';
import { GuestShare } from './sources/guest-share.ts';
import { HeldBackIpv6, type HeldBackIpv6Options } from './sources/held-back-ipv6.ts';
import { hostNameservers } from './sources/host-nameservers.ts';
import { Localhost } from './sources/localhost.ts';
import { NameserverAnswers, type QuestionForwarder } from './sources/nameserver-answers.ts';
import { OneAsking } from './sources/one-asking.ts';
import { type NameLookup, OperatingSystem } from './sources/operating-system.ts';
import { OwnZones } from './sources/own-zones.ts';
import { type Ask, chain, type Source } from './sources/source.ts';
import { traced } from './sources/traced.ts';
import { configuredUpstreams } from './sources/upstreams.ts';
import { ZONES_ALONE } from './sources/zones-alone.ts';
import { type DnsTimers, systemTimers } from './upstream/timers.ts';
import type { ZoneStore } from './zones/zone-store.ts';

export interface DnsSourcesOptions
  extends Pick<DnsConfig, 'hosts' | 'cache' | 'rules' | 'upstreams' | 'ipv6' | 'ttlSeconds'> {
  readonly zones: Pick<ZoneStore, 'answer'>;
  readonly forwarder: QuestionForwarder;
  readonly resolver: NameLookup;
  /** The computer that Slipway runs on: `SystemConfigWatch`. */
  readonly system: CacheOptions['system'] & HeldBackIpv6Options['system'];
  readonly limit: QueryLimit;
  readonly counters: Counters;
  /** The process's own unless told. */
  readonly timers?: DnsTimers;
}

export interface DnsSources {
  /** Everything, and zones alone. */
  readonly servers: { readonly all: Ask; readonly internal: Ask };
  /** Everything but the zones. */
  readonly elsewhere: Ask;
  readonly cache: Cache;
}

/** All sources, in the order in which they are asked. */
export function dnsSources(options: DnsSourcesOptions): DnsSources {
  const { zones, ttlSeconds, forwarder, resolver, counters, timers = systemTimers } = options;
  const cache = new Cache({ ...options, timers });
  const nameservers = new NameserverAnswers(forwarder, counters);
  const sources: readonly Source[] = [
    new ConfiguredHosts(options.hosts, ttlSeconds),
    cache,
    new GuestShare(options.limit),
    new OneAsking({ cache, timers, counters }),
    new HeldBackIpv6(options),
    new DomainRules(options.rules, nameservers),
    configuredUpstreams(options.upstreams, nameservers),
    new Localhost({ resolver, timers, ttlSeconds }),
    addressLiterals(ttlSeconds),
    new OperatingSystem({ resolver, nameservers, timers, ttlSeconds }),
    hostNameservers(nameservers),
  ];
  const elsewhere = guarded(chain(sources), counters);
  const server = (asked: readonly Source[]): Ask => traced(guarded(chain(asked), counters));
  const ownZones = (others: 'internal' | 'system', why: string): Source =>
    new OwnZones({ zones, elsewhere, counters, passed: { kind: 'server', server: others, why } });
  return {
    servers: {
      all: server([ownZones('system', 'no zone of Slipway has the name'), ...sources]),
      internal: server([ownZones('internal', 'the question came to it'), ZONES_ALONE]),
    },
    elsewhere,
    cache,
  };
}
