import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { HostListeners } from '../env/host-listener.ts';
import type { Log } from '../env/log.ts';
import type { Tcp } from '../tcp/tcp.ts';
import type { Turn } from '../turn/turn.ts';
import type { Udp } from '../udp/udp.ts';
import type { Allowance } from './allowance.ts';
import type { ForwardChange } from './forward-request.ts';
import type { GuestFinder } from './guest-finder.ts';
import type { LoopbackRelays } from './loopback-relay.ts';
import type { PublishedPorts } from './published-sockets.ts';
import type { SourceAddresses } from './source-addresses.ts';
import type { SourceRoutes } from './source-routes.ts';

/** What all forwards of one network share. */
export interface ForwardContext {
  readonly arena: Arena;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log: Log;
  readonly tcp: Tcp;
  readonly udp: Udp;
  readonly listeners: HostListeners;
  readonly guests: GuestFinder;
  readonly sources: SourceAddresses;
  /** To who listens only at a guest's loopback. */
  readonly relays: LoopbackRelays;
  readonly routes: SourceRoutes;
  readonly published: PublishedPorts;
  /** Clients whose guest has not accepted yet. */
  readonly waiting: Allowance;
  /** Clients of UDP forwards. */
  readonly udpClients: Allowance;
  /** A forward changed its state. */
  readonly changed: (change: ForwardChange) => void;
}
