import type { DnsConfig } from '../../config/dns.ts';
import type { Counters } from '../../env/counters.ts';
import type { Log } from '../../env/log.ts';
import type { Random } from '../../env/random.ts';
import type { Cidr } from '../../wire/cidr.ts';
import { DnsService } from './dns-service.ts';
import { type DnsSources, dnsSources } from './dns-sources.ts';
import { DnsStreamServer } from './dns-stream-server.ts';
import { QueryLimit } from './query-limit.ts';
import { HostResolver } from './sources/host-resolver.ts';
import { Forwarder } from './upstream/forwarder.ts';
import { SystemConfigWatch } from './upstream/system-config.ts';
import { systemTimers } from './upstream/timers.ts';
import { builtinZones } from './zones/builtin-zones.ts';
import { ZoneStore } from './zones/zone-store.ts';

interface DnsStackOptions {
  readonly dns: DnsConfig;
  readonly network: { readonly subnet: Cidr; readonly gateway: number; readonly hostAddress: number };
  readonly counters: Counters;
  readonly log: Log;
  readonly random: Random;
  /** The process's own host unless told. */
  readonly host?: SystemConfigWatch;
}

/** The parts of the DNS servers, built from the configuration. Nothing listens yet. */
export interface DnsStack {
  readonly service: DnsService;
  readonly zones: ZoneStore;
  readonly cache: DnsSources['cache'];
  /** Streams for gateway:53, which answers everything, and for gateway:5301, which answers zones. */
  readonly streams: { readonly all: DnsStreamServer; readonly internal: DnsStreamServer };
  /** The computer's addresses or routes changed: what was learned before may be wrong. */
  addressesChanged(): void;
  /** Ends questions that are on their way, and every connection. */
  close(): void;
}

/** Throws SlipwayError ERR_DNS_ZONE for a zone or a name of the configuration that cannot be. */
export function dnsStack(options: DnsStackOptions): DnsStack {
  const { dns, network, counters, log, random } = options;
  const host = options.host ?? new SystemConfigWatch();
  const builtIn = builtinZones({ ...network, ...dns });
  const zones = new ZoneStore({ defaultTtlSeconds: dns.ttlSeconds, builtIn, counters });
  for (const zone of dns.zones) zones.setZone(zone);
  const forwarder = new Forwarder({ system: host, counters, random });
  const resolver = new HostResolver(counters, () => host.generation);
  const { lookups, queriesPerSecond } = dns;
  const limit = new QueryLimit({ queriesPerSecond, lookups, clock: systemTimers, counters, log });
  const { servers, cache } = dnsSources({ ...dns, zones, forwarder, resolver, system: host, limit, counters });
  const service = new DnsService({ servers, limit, counters });
  const streams = {
    all: new DnsStreamServer(service, 'all', counters),
    internal: new DnsStreamServer(service, 'internal', counters),
  };
  return {
    service,
    zones,
    cache,
    streams,
    addressesChanged: () => host.addressesChanged(),
    close: () => {
      streams.all.close();
      streams.internal.close();
      forwarder.close();
    },
  };
}
