import type { DnsData } from '../wire/dns-data.ts';

/** A zone that Slipway answers for itself, as the configuration or the API gives it. Plain data. */
export interface ZoneDescription {
  /** In lower case, no last dot. */
  readonly name: string;
  /** IPv4 of every name of the zone that has no record of its own. */
  readonly defaultAddress?: number | undefined;
  /** The zone's own name has the default address too. */
  readonly defaultAtApex?: boolean | undefined;
  /** Of records without their own. */
  readonly ttlSeconds?: number | undefined;
  readonly records: readonly ZoneRecord[];
  /** For names without a record of their own, in order; before '*' and the default address. gvproxy's zones have them. */
  readonly patterns?: readonly ZonePattern[] | undefined;
}

/** Names that a regular expression (Go's syntax, looked for in what stands before the zone's name) gives an IPv4 address. */
export interface ZonePattern {
  readonly expression: string;
  readonly address: number;
}

export interface ZoneRecord {
  /** Below the zone's name: 'api', '_sip._tcp', '*.k8s'; '@' is the zone itself, '*' whatever has no record of its own. */
  readonly name: string;
  readonly ttlSeconds?: number | undefined;
  readonly data: DnsData;
}
