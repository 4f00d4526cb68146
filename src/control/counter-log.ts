import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';

const DESCRIPTORS = 'ulimit -n';
/** A bound of the source, which no key moves. */
const FIXED = '';

/** Counters of limits that people can do something about: what is short, and the key that moves it. */
export const LIMITS: Readonly<Record<string, readonly [what: string, key: string]>> = {
  'tcp-flow-evicted': ['TCP connections', 'limits.flows'],
  'tcp-flow-limit': ['TCP connections', 'limits.flows'],
  'tcp-flow-limit-of-guest': ['TCP connections of one guest', 'limits.flows'],
  'tcp-dial-evicted': ['TCP connections being opened', 'limits.dialsInFlight'],
  'tcp-dial-limit': ['TCP connections being opened', 'limits.dialsInFlight'],
  'tcp-dial-limit-of-guest': ['TCP connections of one guest being opened', 'limits.dialsInFlight'],
  'tcp-dial-no-descriptor': ['descriptors for TCP connections', DESCRIPTORS],
  'tcp-chunk-pool-exhausted': ['memory for data that guests sent and the host does not take', FIXED],
  'udp-evicted-table-limit': ['UDP mappings', 'limits.udpMappings'],
  'udp-evicted-guest-limit': ['UDP mappings of one guest', 'limits.udpMappings'],
  'udp-evicted-descriptors': ['descriptors for UDP mappings', DESCRIPTORS],
  'udp-no-socket': ['sockets for UDP mappings', DESCRIPTORS],
  'attachment-accept-failed': ['descriptors for guests', DESCRIPTORS],
  'forward-accept-failed': ['descriptors for clients of published ports', DESCRIPTORS],
  'forward-waiting-limit': ['clients of published ports that wait for their guest', 'limits.flows'],
  'forward-waiting-evicted': ['clients of published ports that wait for their guest', 'limits.flows'],
  'forward-loopback-limit': ['clients of listeners at 127.0.0.1 of the namespace', FIXED],
  'forward-udp-client-limit': ['clients of published UDP ports', FIXED],
  'icmp-echo-host-full': ['pings in flight', FIXED],
  'reassembly-full': ['datagrams in fragments', FIXED],
  'switch-port-address-limit': ['MAC addresses behind one attachment', FIXED],
  'dhcp-pool-exhausted': ['addresses for guests', 'dhcp.range'],
  'dns-lookup-queue-full': ['DNS lookups', 'dns.lookups'],
  'dns-too-many-leases': ['names of guests', FIXED],
};

/** A limit that bites goes on biting: a person is told once a minute. */
const WARN_EVERY_MS = 60_000;

/**
 * Says in the log what the counters say: a warning when a limit bites, and with debug logs each second's counts by
 * word. The packet path counts and knows nothing of it. Look about once a second.
 */
export class CounterLog {
  readonly #counters: Counters;
  readonly #log: Log;
  /** Of the limits that have bitten: the count of the last warning, and when that was. Bounded by LIMITS. */
  readonly #warned = new Map<string, { count: number; atMs: number }>();
  /** As of the last look, kept for debug logs only. */
  #before: Readonly<Record<string, number>> = {};

  constructor(counters: Counters, log: Log) {
    this.#counters = counters;
    this.#log = log;
  }

  look(nowMs: number): void {
    for (const counter in LIMITS) {
      const count = this.#counters.get(counter);
      if (count > 0) this.#warn(counter, count, nowMs);
    }
    if (this.#log.debug !== undefined) this.#tellCounts();
  }

  #warn(counter: string, count: number, nowMs: number): void {
    const last = this.#warned.get(counter);
    if (last !== undefined && (count === last.count || nowMs - last.atMs < WARN_EVERY_MS)) return;
    this.#warned.set(counter, { count, atMs: nowMs });
    const [what, key] = LIMITS[counter]!;
    this.#log.warn(`a limit is reached: there is no room for more ${what}`, {
      ...(key !== FIXED && { key }),
      counter,
      times: count - (last?.count ?? 0),
    });
  }

  #tellCounts(): void {
    const now = this.#counters.snapshot();
    const news = Object.entries(now)
      .map(([word, count]) => [word, count - (this.#before[word] ?? 0)] as const)
      .filter(([, more]) => more > 0);
    this.#before = now;
    if (news.length > 0) this.#log.debug?.('counted', Object.fromEntries(news));
  }
}
