import type { ZodType } from 'zod';
import type { Nameserver } from '../facts/nameserver.ts';
import { DEFAULT_GATEWAY_NAMES, DEFAULT_HOST_NAMES } from '../facts/own-names.ts';
import { DNS_PORT } from '../wire/dns-message.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { parseIpv6Address } from '../wire/ipv6-address.ts';
import { ttlSeconds, type ZoneDescription, zonesSchema } from './dns-zones.ts';
import type { SchemaParts } from './schema-parts.ts';
import { hostName, integer, Mismatch, oneOf, type ValueParser } from './values.ts';

const MAX_NAMES = 1_024;
const MAX_NAMESERVERS = 16;

/** AAAA answers: as the host has IPv6 or not, always, or never. */
const IPV6_ANSWERS = ['auto', 'always', 'never'] as const;
export type Ipv6Answers = (typeof IPV6_ANSWERS)[number];

/** Questions at `domain` and below it go to these nameservers and nowhere else. */
export interface DnsRule {
  /** In lower case, no last dot. */
  readonly domain: string;
  readonly nameservers: readonly Nameserver[];
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
  readonly upstreams: readonly Nameserver[];
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

const NAMESERVER = 'a nameserver such as 10.0.0.53, 127.0.0.1:5353, fd00::1 or "[fd00::1]:5353"';

/** An address, perhaps with a port; an IPv6 address with a port is in brackets. */
export const nameserver: ValueParser<Nameserver> = (raw) => {
  const text = typeof raw === 'string' ? raw : '';
  const match = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text) ?? /^([\d.]+)(?::(\d{1,5}))?$/.exec(text) ?? [text, text];
  const [, address = '', digits] = match;
  const port = digits === undefined ? DNS_PORT : Number(digits);
  if (!isAddress(address) || port < 1 || port > 65_535) return new Mismatch(NAMESERVER);
  return { address, port };
};

/** IPv4, or IPv6 perhaps with the zone of a link-local one ("fe80::1%eth0"). */
function isAddress(text: string): boolean {
  if (parseIpv4Address(text) !== undefined) return true;
  const [address = '', zone] = text.split('%', 2);
  return parseIpv6Address(address) !== undefined && (zone === undefined || /^[\w.-]+$/.test(zone));
}

/** An address of either family as text, IPv6 in lower case. */
const ipAddress: ValueParser<string> = (raw) =>
  typeof raw === 'string' && (parseIpv4Address(raw) !== undefined || parseIpv6Address(raw) !== undefined)
    ? raw.toLowerCase()
    : new Mismatch('an address such as 192.168.1.9 or fd00::5');

export function dnsSchema(parts: SchemaParts): ZodType<DnsInput> {
  const { entries, list, oneOrMore, value, z } = parts;
  return z
    .strictObject({
      ttlSeconds: value(ttlSeconds),
      lookups: value(integer(1, 4096)),
      hostNames: z.array(value(hostName)),
      gatewayNames: z.array(value(hostName)),
      ipv6: value(oneOf(...IPV6_ANSWERS)),
      upstreams: list(nameserver, MAX_NAMESERVERS),
      rules: entries(hostName, oneOrMore(nameserver), MAX_NAMES).transform((rules) =>
        rules.map(([domain, nameservers]) => ({ domain, nameservers })),
      ),
      hosts: entries(hostName, oneOrMore(ipAddress), MAX_NAMES).transform((hosts) =>
        hosts.map(([name, addresses]) => ({ name, addresses })),
      ),
      zones: zonesSchema(parts),
      queriesPerSecond: value(integer(1, 10_000_000)),
      cache: z
        .strictObject({
          entries: value(integer(0, 1_000_000)),
          megabytes: value(integer(1, 4_096)),
          staleSeconds: value(ttlSeconds),
        })
        .partial(),
    })
    .partial();
}

/** 10 s: the host's resolver does not tell a TTL, and a VPN that comes up must show soon. */
const DEFAULT_TTL_SECONDS = 10;
/**
 * 4,096 lookups at once, about 16 MB at the worst: one guest, which has half of them, may be a thousand containers that
 * ask for A and AAAA at the same moment, or may ask thirty dead names a second, each of which is on its way for 4.5 s.
 */
export const DEFAULT_DNS_LOOKUPS = 4096;
/** 50,000 queries a second of one guest: what two cores answer from the cache; more is a loop in the guest. */
const DEFAULT_QUERIES_PER_SECOND = 50_000;
/**
 * 10,000 answers or 16 MiB: a build farm's day of names. An hour: a nameserver that is away for longer has taken its
 * names along.
 */
const DEFAULT_CACHE: DnsCacheConfig = { entries: 10_000, megabytes: 16, staleSeconds: 3_600 };

/** Fills in the defaults; what one value takes was checked where it was read. */
export function resolveDns(input: DnsInput): DnsConfig {
  return {
    ttlSeconds: input.ttlSeconds ?? DEFAULT_TTL_SECONDS,
    lookups: input.lookups ?? DEFAULT_DNS_LOOKUPS,
    hostNames: [...(input.hostNames ?? DEFAULT_HOST_NAMES)],
    gatewayNames: [...(input.gatewayNames ?? DEFAULT_GATEWAY_NAMES)],
    ipv6: input.ipv6 ?? 'auto',
    upstreams: [...(input.upstreams ?? [])],
    rules: [...(input.rules ?? [])],
    hosts: [...(input.hosts ?? [])],
    zones: [...(input.zones ?? [])],
    queriesPerSecond: input.queriesPerSecond ?? DEFAULT_QUERIES_PER_SECOND,
    cache: {
      entries: input.cache?.entries ?? DEFAULT_CACHE.entries,
      megabytes: input.cache?.megabytes ?? DEFAULT_CACHE.megabytes,
      staleSeconds: input.cache?.staleSeconds ?? DEFAULT_CACHE.staleSeconds,
    },
  };
}
