import type { Config } from '../../config/config.ts';
import type { FlowName, FlowStatus } from '../../control/flow-status.ts';
import type { NetworkStatus } from '../../control/network-status.ts';
import type { Counters } from '../../env/counters.ts';
import type { DnsLookup } from '../../services/dns/dns-service.ts';
import type { ZoneStore } from '../../services/dns/zones/zone-store.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import type { EventFeed } from './event-feed.ts';

/** Of the daemon. All but `attachments` stays the same while it runs. */
export interface DaemonFacts {
  readonly version: string;
  readonly pid: number;
  readonly engine: 'epoll' | 'node';
  /** RLIMIT_NOFILE. */
  readonly descriptors: number;
  readonly config: Pick<Config, 'network' | 'dns' | 'api' | 'hostLoopback' | 'limits'>;
  /** Where guests can attach now, as URLs. */
  readonly attachments: () => readonly string[];
}

export interface Flows {
  list(limit: number): Promise<readonly FlowStatus[]>;
  /** False when there is no such flow. */
  kill(flow: FlowName): Promise<boolean>;
}

export type Zones = Pick<ZoneStore, 'setZone' | 'removeZone' | 'addRecords' | 'removeRecords' | 'list'>;

export interface Lookups {
  lookup(lookup: DnsLookup): Promise<Uint8Array>;
  flush(): void;
}

/** What the API speaks to; each group of paths is given its own part and no other. */
export interface ControlParts {
  readonly facts: DaemonFacts;
  status(): Promise<NetworkStatus>;
  readonly flows: Flows;
  readonly forwards: Forwards;
  readonly zones: Zones;
  readonly lookups: Lookups;
  readonly events: EventFeed;
  /** 'control-…': what the API refused. */
  readonly counters: Counters;
  readonly log: {
    error(message: string, fields?: Readonly<Record<string, string>>): void;
  };
}
