import type { Config } from '../config/config.ts';
import type { LeaseChange, LeaseRecord } from '../dhcp/lease-record.ts';
import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices } from '../env/gateway-services.ts';
import type { Host, HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import { VirtualNetwork } from '../network/virtual-network.ts';
import type { Turn } from '../turn/turn.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import type { GuestStatus, LeaseStatus, NetworkStatus, ServiceDatagram, TapGuest } from './messages.ts';

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
  readonly onLease: (change: LeaseChange) => void;
}

/** The network as the thread that runs it sees it. */
export interface Network {
  readonly turn: Turn;
  attachQemu(pipe: HostPipe, name: string): HostPipeHandler | undefined;
  attachTap(pipe: HostPipe, tap: TapGuest): HostPipeHandler | undefined;
  reply(reply: ServiceDatagram): void;
  reserveLease(mac: number, address: number): void;
  /** Returns the addresses whose leases are in force afterwards. */
  restoreLeases(leases: readonly LeaseRecord[]): readonly number[];
  status(): NetworkStatus;
  /** Ends every flow with a reset. */
  destroy(): void;
}

/** The largest answer of a UDP service, and the header that goes before it. */
const REPLY_BYTES = 65_507;

/** Joins the core to this thread's engine. */
export function assembleNetwork(parts: NetworkParts): Network {
  const { arena, config, counters } = parts;
  const network = new VirtualNetwork(parts, {
    ...config.network,
    hostLoopback: config.hostLoopback,
    limits: config.limits,
    dhcp: config.dhcp,
    onLease: parts.onLease,
  });
  const replyAt = arena.allocate(UDP_HEADER_BYTES + REPLY_BYTES) + UDP_HEADER_BYTES;
  if (replyAt < UDP_HEADER_BYTES) throw new RangeError('the arena has no room for answers of gateway services');
  return {
    turn: network.turn,
    attachQemu: (pipe, name) => network.attachQemu(pipe, name),
    attachTap: (pipe, tap) => network.attachTap(pipe, tap.name, tap.offloads),
    reply: ({ guestAddress, guestPort, gatewayAddress, gatewayPort, bytes }) => {
      if (bytes.length > REPLY_BYTES) {
        counters.add('service-reply-too-big');
        return;
      }
      arena.bytes.set(bytes, replyAt);
      network.replyFromService(guestAddress, guestPort, gatewayAddress, gatewayPort, replyAt, bytes.length);
    },
    reserveLease: (mac, address) => network.reserveLease(mac, address),
    restoreLeases: (leases) => {
      network.restoreLeases(leases);
      return leasesInForce(network).map(({ address }) => address);
    },
    status: () => statusOf(network, counters),
    destroy: () => network.destroy(),
  };
}

function statusOf(network: VirtualNetwork, counters: Counters): NetworkStatus {
  const guests = network.ports.map((port): GuestStatus => {
    const [address] = port.addresses;
    return {
      name: port.name,
      ...(address !== undefined && { address }),
      ...(port.mac !== undefined && { mac: port.mac }),
    };
  });
  const leases = leasesInForce(network).map(
    ({ address, mac, hostName, remainingMs }): LeaseStatus => ({ address, mac, name: hostName, remainingMs }),
  );
  return { guests, leases, flows: network.flowCount, counters: { ...counters.snapshot(), ...network.gauges } };
}

function leasesInForce(network: VirtualNetwork): LeaseRecord[] {
  return network.leases().filter(({ remainingMs }) => remainingMs > 0);
}
