import {
  DEFAULT_DNS_CACHE_ENTRIES,
  DEFAULT_DNS_CACHE_MEGABYTES,
  DEFAULT_DNS_LOOKUPS,
  DEFAULT_DNS_QUERIES_PER_SECOND,
  DEFAULT_DNS_STALE_SECONDS,
  DEFAULT_DNS_TTL_SECONDS,
} from './defaults.ts';
import type { ZoneDescription } from './zone-description.ts';
import { DEFAULT_GATEWAY_NAMES, DEFAULT_HOST_NAMES } from '../facts/own-names.ts';

/** AAAA answers: as the host has IPv6 or not, always, or never. */
export const IPV6_ANSWERS = ['auto', 'always', 'never'] as const;
export type Ipv6Answers = (typeof IPV6_ANSWERS)[number];

/** A nameserver as `services/dns/upstream` takes it. */
export interface ConfiguredNameserver {
  /** IPv4 or IPv6 as text; IPv6 perhaps with a zone ("fe80::1%eth0"). */
  readonly address: string;
  readonly port: number;
}

/** Questions at `domain` and below it go to these nameservers and nowhere else. */
export interface DnsRule {
  /** In lower case, no last dot. */
  readonly domain: string;
  readonly nameservers: readonly ConfiguredNameserver[];
}

/** What the hosts file would say, for guests only. */
export interface DnsHost {
  /** In lower case, no last dot. */
  readonly name: string;
  /** IPv4 and IPv6 as text. */
  readonly addresses: readonly string[];
}

/** The key `dns`, complete. */
export interface DnsConfig {
  /** Of what the host's resolver says, and of zone records without their own. */
  readonly ttlSeconds: number;
  /** Lookups at once. */
  readonly lookups: number;
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
  readonly ipv6: Ipv6Answers;
  /** Instead of the host's own; empty: the host's own. */
  readonly upstreams: readonly ConfiguredNameserver[];
  readonly rules: readonly DnsRule[];
  readonly hosts: readonly DnsHost[];
  readonly zones: readonly ZoneDescription[];
  /** Of one guest. */
  readonly queriesPerSecond: number;
  readonly cache: DnsCacheConfig;
}

export interface DnsCacheConfig {
  /** 0 keeps nothing. */
  readonly entries: number;
  readonly megabytes: number;
  /** How long after its end an answer may stand in when nobody answers (RFC 8767). */
  readonly staleSeconds: number;
}

/** The key `dns` as a person said it. */
export type DnsInput = {
  readonly [Key in Exclude<keyof DnsConfig, 'cache'>]?: DnsConfig[Key] | undefined;
} & { readonly cache?: { readonly [Key in keyof DnsCacheConfig]?: DnsCacheConfig[Key] | undefined } | undefined };

/** Fills in the defaults; what one value takes was checked where it was read. */
export function resolveDns(input: DnsInput): DnsConfig {
  return {
    ttlSeconds: input.ttlSeconds ?? DEFAULT_DNS_TTL_SECONDS,
    lookups: input.lookups ?? DEFAULT_DNS_LOOKUPS,
    hostNames: [...(input.hostNames ?? DEFAULT_HOST_NAMES)],
    gatewayNames: [...(input.gatewayNames ?? DEFAULT_GATEWAY_NAMES)],
    ipv6: input.ipv6 ?? 'auto',
    upstreams: [...(input.upstreams ?? [])],
    rules: [...(input.rules ?? [])],
    hosts: [...(input.hosts ?? [])],
    zones: [...(input.zones ?? [])],
    queriesPerSecond: input.queriesPerSecond ?? DEFAULT_DNS_QUERIES_PER_SECOND,
    cache: {
      entries: input.cache?.entries ?? DEFAULT_DNS_CACHE_ENTRIES,
      megabytes: input.cache?.megabytes ?? DEFAULT_DNS_CACHE_MEGABYTES,
      staleSeconds: input.cache?.staleSeconds ?? DEFAULT_DNS_STALE_SECONDS,
    },
  };
}
