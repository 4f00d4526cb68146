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
}

export interface ZoneRecord {
  /** Below the zone's name: 'api', '_sip._tcp', '*.k8s'; '@' is the zone itself, '*' whatever has no record of its own. */
  readonly name: string;
  readonly ttlSeconds?: number | undefined;
  readonly data: DnsData;
}
