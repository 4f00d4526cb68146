import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import type { Config } from '../config/config.ts';
import { SlipwayError } from '../config/errors.ts';
import { fittingLimits } from '../config/limits.ts';
import { Counters } from '../env/counters.ts';
import { DnsService } from '../services/dns/dns-service.ts';
import { dnsStreamServer } from '../services/dns/dns-stream-server.ts';
import { ResolvConf } from '../services/dns/forwarder.ts';
import { LeaseBook } from '../services/leases/lease-book.ts';
import { LeaseStore } from '../services/leases/lease-store.ts';
import { type ControlLog, NetworkControl } from './network-control.ts';
import { listenPrivately, type ServiceSocket } from './service-socket.ts';

/** The soft limit of a system where it cannot be read. */
const MODEST_DESCRIPTORS = 1024;

export interface RunningNetwork {
  readonly control: NetworkControl;
  /** The configuration with the limits that this process really has. */
  readonly config: Config;
  readonly engine: 'epoll' | 'node';
  /** RLIMIT_NOFILE, soft (Node raises it to the hard one when it starts). */
  readonly descriptors: number;
  /** What the services on the control thread counted. */
  readonly counters: Counters;
  /** Ends network and services. Idempotent. */
  stop(): Promise<void>;
}

/** Starts the network thread and the gateway's services. Rejects with a SlipwayError and leaves nothing behind then. */
export async function startNetwork(
  wanted: Config,
  log: ControlLog,
  onFatal: (error: SlipwayError) => void,
): Promise<RunningNetwork> {
  const descriptors = descriptorLimit();
  const config: Config = { ...wanted, limits: fittingLimits(wanted.limits, descriptors) };
  const engine = chooseEngine(config);
  const counters = new Counters();
  const dns = new DnsService({
    subnet: config.network.subnet,
    gateway: config.network.gateway,
    hostAddress: config.network.hostAddress,
    ...config.dns,
    counters,
    nameservers: nameserversOfHost(),
  });
  const server = dnsStreamServer(dns, counters);
  const socket = await listenPrivately(server, 'dns');
  const leases = new LeaseBook(() => performance.now());
  const store = keptLeases(config, leases, log);
  const control = new NetworkControl({
    config,
    engine,
    log,
    datagramServices: {
      dns: (datagram, reply) => void dns.answer(datagram.bytes, 'udp').then((answer) => answer && reply(answer)),
    },
    streamServices: { dns: socket.path },
    leases,
    onFatal,
  });
  const stop = async (): Promise<void> => {
    await control.stop();
    await store?.stop();
    endService(server, socket);
  };
  try {
    await control.start();
  } catch (cause) {
    await stop();
    throw cause instanceof SlipwayError
      ? cause
      : new SlipwayError('ERR_NETWORK_THREAD', `the network thread cannot start: ${(cause as Error).message}`, '', {
          cause,
        });
  }
  return { control, config, engine, descriptors, counters, stop };
}

/** Who hears of leases hears of the restored ones, too, when it watches the book before. */
function keptLeases(config: Config, book: LeaseBook, log: ControlLog): LeaseStore | undefined {
  if (config.state === '') return undefined;
  return new LeaseStore({ folder: config.state, subnet: config.network.subnet, book, log });
}

function endService(server: Server, socket: ServiceSocket): void {
  socket.close();
  server.close();
  // Connections that guests left open must not hold the process.
  server.unref();
}

function nameserversOfHost(): () => ReturnType<ResolvConf['nameservers']> {
  const file = new ResolvConf();
  return () => file.nameservers();
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

function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? MODEST_DESCRIPTORS : Number(soft);
  } catch {
    return MODEST_DESCRIPTORS;
  }
}
