import type { Config } from '../config/config.ts';
import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices } from '../env/gateway-services.ts';
import type { Host, HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import { Turn } from '../turn/turn.ts';
import type { KeptLease, NetworkStatus, ServiceDatagram, TapGuest } from './messages.ts';

/** What the network is made of. */
export interface NetworkParts {
  readonly arena: Arena;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly counters: Counters;
  readonly host: Host;
  readonly services: GatewayServices;
  readonly config: Config;
  readonly onLease: (lease: KeptLease) => void;
}

/** The network as the thread that runs it sees it. */
export interface Network {
  readonly turn: Turn;
  attachQemu(pipe: HostPipe, name: string): HostPipeHandler | undefined;
  attachTap(pipe: HostPipe, tap: TapGuest): HostPipeHandler | undefined;
  reply(reply: ServiceDatagram): void;
  reserveLease(mac: number, address: number): void;
  status(): NetworkStatus;
}

/** Joins the core to this thread's engine. */
export function assembleNetwork(parts: NetworkParts): Network {
  // Until src/network is there: a network without a guest.
  const turn = new Turn(parts.clock.nowMs());
  return {
    turn,
    attachQemu: () => undefined,
    attachTap: () => undefined,
    reply: () => {},
    reserveLease: () => {},
    status: () => ({ guests: [], flows: 0, counters: parts.counters.snapshot() }),
  };
}
