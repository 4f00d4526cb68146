import inspector from 'node:inspector';
import type { Server } from 'node:net';
import type { Config } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { ForwardSpec } from '../config/forward.ts';
import { fittingLimits } from '../config/limits.ts';
import type { LeaseChange } from '../dhcp/lease-record.ts';
import { Counters } from '../env/counters.ts';
import type { LogFields } from '../env/log.ts';
import type { DnsLookup } from '../services/dns/dns-service.ts';
import { type DnsStack, dnsStack } from '../services/dns/dns-stack.ts';
import type { DnsServerName } from '../services/dns/dns-stream-server.ts';
import type { ZoneStore } from '../services/dns/zones/zone-store.ts';
import type { Forwards } from '../services/forward/forwards.ts';
import { LeaseBook } from '../services/leases/lease-book.ts';
import { LeaseStore } from '../services/leases/lease-store.ts';
import { nameGuests } from '../services/leases/name-guests.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { formatMac } from '../wire/mac.ts';
import { BatchedRandom } from './batched-random.ts';
import { CounterLog } from './counter-log.ts';
import type { DatagramService } from './datagram-services.ts';
import { type ControlLog, NetworkControl } from './network-control.ts';
import type { NetworkStatus } from './network-status.ts';
import { type OwnPlace, ownPort } from './own-places.ts';
import { assertLimits, descriptorLimit } from './process-limits.ts';
import { runningForwards } from './running-forwards.ts';
import { listenPrivately, type ServiceSocket } from './service-socket.ts';
import { SubnetOverlap } from './subnet-overlap.ts';
import type { GatewayServiceName } from '../facts/gateway-ports.ts';

/** Between two looks at what the services counted. */
const COUNTERS_MS = 1000;

export interface RunningNetwork {
  readonly control: NetworkControl;
  /** The configuration with the limits that this process really has. */
  readonly config: Config;
  readonly engine: 'epoll' | 'node';
  /** RLIMIT_NOFILE, soft (Node raises it to the hard one when it starts). */
  readonly descriptors: number;
  /** What the services on the control thread counted. */
  readonly counters: Counters;
  readonly dns: RunningDns;
  /** Ports of the host that reach guests, and what guests reach of the host. */
  readonly forwards: Forwards;
  /** `tell` hears of every lease that begins, is renewed or ends from now on. */
  watchLeases(tell: (change: LeaseChange) => void): void;
  /** A picture of the network now, with what the services counted. */
  status(): Promise<NetworkStatus>;
  /** Ends network and services. Idempotent. */
  stop(): Promise<void>;
}

/**
 * A TCP service at the gateway. The server is not listening yet; connections begin with a PROXY v2 header that names
 * the guest.
 */
export interface GatewayService {
  readonly name: GatewayServiceName;
  readonly server: Server;
  /** Ends listening and every connection. */
  close(): void;
}

/** Makes a service on top of what the network offers. */
export type GatewayServiceMaker = (parts: {
  readonly forwards: Forwards;
  readonly counters: Counters;
}) => GatewayService;

interface StreamSockets {
  /** Service → path of its socket. */
  readonly paths: Readonly<Record<string, string>>;
  close(): void;
}

/** The names while the network runs. */
export interface RunningDns {
  /** What the internal server answers: zones and records can be added, replaced and removed. */
  readonly zones: ZoneStore;
  /** Forgets every answer that the cache holds. */
  flush(): void;
  /** The whole answer to a question, as a guest would get it. Rejects with ERR_USAGE for an invalid name. */
  lookup(lookup: DnsLookup): Promise<Uint8Array>;
}

/**
 * Starts the network thread and the gateway's services, those of `makers` among them. Forwards that an earlier process
 * kept make room for `published`, which the caller adds. Rejects with a SlipwayError and leaves nothing behind then.
 */
export async function startNetwork(
  wanted: Config,
  log: ControlLog,
  onFatal: (error: SlipwayError) => void,
  makers: readonly GatewayServiceMaker[] = [],
  published: readonly ForwardSpec[] = [],
): Promise<RunningNetwork> {
  assertLimits();
  const descriptors = descriptorLimit();
  const config: Config = { ...wanted, limits: fittingLimits(wanted.limits, descriptors) };
  const engine = chooseEngine(config);
  const counters = new Counters();
  const dns = dnsStack({ dns: config.dns, network: config.network, counters, log, random: new BatchedRandom() });
  const leases = new LeaseBook(() => performance.now());
  nameGuests(leases, config.dhcp.reservations, dns.zones);
  const store = keptLeases(config, leases, log);
  const overlap = new SubnetOverlap(config.network.subnet, log);
  const control: NetworkControl = new NetworkControl({
    config,
    engine,
    log,
    datagramServices: { dns: datagrams(dns, 'all'), 'dns-internal': datagrams(dns, 'internal') },
    leases,
    forwards: {
      changed: (changes) => forwards.changed(changes),
      lost: (id, errno) => forwards.lost(id, errno),
    },
    onNetworkChange: () => {
      overlap.look();
      dns.addressesChanged();
      forwards.networkChanged();
    },
    onFatal,
  });
  const forwards = runningForwards({ config, engine, zones: dns.zones, log, control });
  const sockets = await listenForStreams(
    dns,
    makers.map((make) => make({ forwards, counters })),
  );
  const counterLog = new CounterLog(counters, log);
  const looking = setInterval(() => counterLog.look(performance.now()), COUNTERS_MS).unref();
  leases.watch((change) => log.debug?.(...leaseLine(change)));
  const removeFiles = (): void => forwards.abort();
  process.on('exit', removeFiles);
  const stop = async (): Promise<void> => {
    process.off('exit', removeFiles);
    clearInterval(looking);
    await forwards.stop();
    await control.stop();
    await store?.stop();
    sockets.close();
    dns.close();
  };
  try {
    await control.start(sockets.paths);
    overlap.look();
    await control.requests.ask('addOwnPlaces', ownPlaces(config));
    await forwards.start(config.forwards, config.services, published);
  } catch (cause) {
    await stop();
    throw cause instanceof SlipwayError
      ? cause
      : new SlipwayError('ERR_NETWORK_THREAD', `the network thread cannot start: ${(cause as Error).message}`, '', {
          cause,
        });
  }
  return {
    control,
    config,
    engine,
    descriptors,
    counters,
    dns: running(dns),
    forwards,
    watchLeases: (tell) => leases.watch(tell),
    status: () => status(control, counters),
    stop,
  };
}

/** What this process listens at from its start, and the helper, which would take a guest's dial for this user's. */
function ownPlaces({ helper }: Config): readonly OwnPlace[] {
  const debuggers = debuggerPlace(inspector.url());
  return [...(helper === '' ? [] : [{ kind: 'unix', path: helper } as const]), ...debuggers];
}

/** Of Node's inspector, which `--inspect` and NODE_OPTIONS open. */
function debuggerPlace(url: string | undefined): readonly OwnPlace[] {
  if (url === undefined) return [];
  const { hostname, port } = new URL(url);
  return [ownPort(hostname, Number(port))];
}

function leaseLine({ kind, lease }: LeaseChange): readonly [string, LogFields] {
  const { address, mac, hostName, remainingMs } = lease;
  const facts = { address: formatIpv4Address(address), mac: formatMac(mac), name: hostName };
  return kind === 'ended' ? ['lease ended', facts] : ['lease', { ...facts, seconds: Math.round(remainingMs / 1000) }];
}

/** Who hears of leases hears of the restored ones, too, when it watches the book before. */
function keptLeases(config: Config, book: LeaseBook, log: ControlLog): LeaseStore | undefined {
  if (config.state === '') return undefined;
  return new LeaseStore({ folder: config.state, subnet: config.network.subnet, book, log });
}

/** The sockets of all TCP services; a failure leaves none behind. */
async function listenForStreams(
  { streams, close }: DnsStack,
  services: readonly GatewayService[],
): Promise<StreamSockets> {
  const listening: ServiceSocket[] = [];
  const closeAll = (): void => {
    for (const service of services) service.close();
    for (const socket of listening) socket.close();
  };
  const paths: Record<string, string> = {};
  const listen = async (name: string, server: Server): Promise<void> => {
    const socket = await listenPrivately(server, name);
    listening.push(socket);
    paths[name] = socket.path;
  };
  try {
    await listen('dns', streams.all.server);
    await listen('dns-internal', streams.internal.server);
    for (const { name, server } of services) await listen(name, server);
    return { paths, close: closeAll };
  } catch (error) {
    closeAll();
    close();
    throw error;
  }
}

function datagrams({ service }: DnsStack, server: DnsServerName): DatagramService {
  return ({ bytes, attachment }, reply) => {
    const replyAlone = (answer: Uint8Array | undefined): void => {
      // What crosses to the network thread is copied with all the memory that it is a part of.
      if (answer !== undefined) reply(answer.length === answer.buffer.byteLength ? answer : new Uint8Array(answer));
    };
    const answer = service.answer(bytes, attachment, 'udp', server);
    if (answer instanceof Promise) void answer.then(replyAlone);
    else replyAlone(answer);
  };
}

function running({ service, zones, cache }: DnsStack): RunningDns {
  return { zones, flush: () => cache.flush(), lookup: (lookup) => service.lookup(lookup) };
}

async function status(control: NetworkControl, counters: Counters): Promise<NetworkStatus> {
  const network = await control.ask('status');
  return { ...network, counters: { ...network.counters, ...counters.snapshot() } };
}

function chooseEngine(config: Config): 'epoll' | 'node' {
  const able = process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64');
  if (config.engine === 'epoll' && !able) {
    throw new SlipwayError(
      'ERR_ENGINE_UNAVAILABLE',
      `the epoll engine needs Linux on x64 or arm64; this is ${process.platform} on ${process.arch}`,
      'Use --host-engine node, or leave the choice to Slipway.',
    );
  }
  if (config.engine !== 'auto') return config.engine;
  return able ? 'epoll' : 'node';
}
