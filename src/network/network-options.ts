import type { DhcpOptions } from '../dhcp/dhcp-options.ts';
import type { LeaseChange } from '../dhcp/lease-record.ts';
import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices } from '../env/gateway-services.ts';
import type { Host } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import type { ForwardChange } from '../forward/forward-request.ts';
import type { Cidr } from '../wire/cidr.ts';
import type { HostListeners } from '../env/host-listener.ts';

/** What the world gives the network. */
export interface NetworkWorld {
  readonly arena: Arena;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly counters: Counters;
  readonly host: Host & HostListeners;
  /** Takes datagrams to UDP services of the gateway (DNS). */
  readonly services: GatewayServices;
  /** Called all through each turn: the loop lives. */
  readonly beat?: () => void;
}

/** How the network is set up; consistent (`config/network` checks it) and frozen while it runs. */
export interface NetworkOptions {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
  /** MTU of guests' interfaces in bytes, 576 to 65,520. */
  readonly mtu: number;
  /** Whether the host address reaches the host's own loopback services. */
  readonly hostLoopback: boolean;
  readonly limits: NetworkLimits;
  readonly dhcp: DhcpOptions;
  /**
   * A lease was given, renewed or is over. What is kept outside comes back by `CoreNetwork.restoreLeases`. Called
   * within a turn.
   */
  readonly onLease?: (change: LeaseChange) => void;
  /** The guest of a forward came, went or changed its mind. Called within a turn, or as a listener's client comes. */
  readonly onForward?: (change: ForwardChange) => void;
}

export interface NetworkLimits {
  readonly guests: number;
  readonly flows: number;
  readonly dialsInFlight: number;
  readonly udpMappings: number;
}

/** The gateway's MAC: locally administered, the same in every Slipway network (each is a link of its own). */
export const GATEWAY_MAC = 0x5a_94_ef_e4_0c_dd;
/** Receive windows that all flows together may have promised, and the memory behind them (touched only as used). */
export const WINDOW_BYTES: number = 256 * 2 ** 20;
