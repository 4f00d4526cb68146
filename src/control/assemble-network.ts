import { realpathSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { ServiceForward } from '../config/forward.ts';
import type { LeaseChange, LeaseRecord } from '../dhcp/lease-record.ts';
import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices } from '../env/gateway-services.ts';
import type { GuestSockets } from '../env/guest-sockets.ts';
import type { Host, HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import type { OwnListener } from '../flow/own-listeners.ts';
import type { ServiceRoute } from '../flow/route.ts';
import type { ForwardChange, ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import type { ForwardDone } from '../forward/open-forwards.ts';
import { VirtualNetwork } from '../network/virtual-network.ts';
import type { Turn } from '../turn/turn.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { UDP_HEADER_BYTES, UDP_MAX_PAYLOAD_BYTES } from '../wire/udp.ts';
import type {
  FlowName,
  FlowStatus,
  GuestStatus,
  GuestStreamRequest,
  LeaseStatus,
  NetworkStatus,
  ServiceDatagram,
  TapGuest,
} from './messages.ts';
import type { HostListeners } from '../env/host-listener.ts';

/** What the network is made of. */
export interface NetworkParts {
  readonly arena: Arena;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly counters: Counters;
  readonly host: Host & HostListeners;
  readonly services: GatewayServices;
  readonly beat: () => void;
  readonly config: Config;
  readonly onLease: (change: LeaseChange) => void;
  readonly onForward: (change: ForwardChange) => void;
}

/** The network as the thread that runs it sees it. */
export interface Network {
  readonly turn: Turn;
  /** `heard`: an earlier network thread has heard the guest. */
  attachQemu(pipe: HostPipe, name: string, heard: boolean): HostPipeHandler | undefined;
  attachTap(pipe: HostPipe, tap: TapGuest, sockets: GuestSockets | undefined): HostPipeHandler | undefined;
  reply(reply: ServiceDatagram): void;
  reserveLease(mac: number, address: number): void;
  /** Returns the addresses whose leases are in force afterwards. */
  restoreLeases(leases: readonly LeaseRecord[]): readonly number[];
  openForward(forward: ForwardRequest, done: ForwardDone): void;
  closeForward(id: number, connections: boolean): void;
  forwards(): readonly ForwardReport[];
  /** `done` gets the error, or undefined when the guest accepted. */
  openGuestStream(stream: GuestStreamRequest, done: (error: SlipwayError | undefined) => void): void;
  /** Sockets of the host are named by `socketService`. */
  setServices(services: readonly ServiceForward[]): void;
  /** Guests do not get there any more. Unix sockets are named by `socketService`. */
  addOwnListener(listener: OwnListener): void;
  flows(limit: number): readonly FlowStatus[];
  killFlow(flow: FlowName): boolean;
  status(): NetworkStatus;
  /** Ends every flow with a reset. */
  destroy(): void;
}

/** Joins the core to this thread's engine. */
export function assembleNetwork(parts: NetworkParts): Network {
  const { arena, config, counters } = parts;
  const network = new VirtualNetwork(parts, {
    ...config.network,
    hostLoopback: config.hostLoopback,
    limits: config.limits,
    dhcp: config.dhcp,
    onLease: parts.onLease,
    onForward: parts.onForward,
  });
  const replyAt = arena.allocate(UDP_HEADER_BYTES + UDP_MAX_PAYLOAD_BYTES) + UDP_HEADER_BYTES;
  if (replyAt < UDP_HEADER_BYTES) throw new RangeError('the arena has no room for answers of gateway services');
  return {
    turn: network.turn,
    attachQemu: (pipe, name, heard) => network.attachQemu(pipe, name, { heard }),
    attachTap: (pipe, tap, sockets) => network.attachTap(pipe, tap.name, tap.offloads, { sockets }),
    reply: ({ guestAddress, guestPort, gatewayAddress, gatewayPort, bytes }) => {
      if (bytes.length > UDP_MAX_PAYLOAD_BYTES) {
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
    openForward: (forward, done) => network.openForward(forward, done),
    closeForward: (id, connections) => void network.closeForward(id, connections),
    forwards: () => network.forwards(),
    openGuestStream: ({ fd, address, port }, done) =>
      network.openGuestStream(fd, address, port, (failure) =>
        done(failure === undefined ? undefined : guestStreamError(failure, address, port)),
      ),
    setServices: (services) => network.setServices(services.map(routeOf)),
    addOwnListener: (listener) => network.addOwnListener(listener),
    flows: (limit) => flowsOf(network, limit),
    killFlow: (flow) => killFlow(network, flow),
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
  return {
    guests,
    leases,
    flows: network.flowCount,
    counters: { ...counters.snapshot(), ...network.gauges, ...network.traffic },
  };
}

function leasesInForce(network: VirtualNetwork): LeaseRecord[] {
  return network.leases().filter(({ remainingMs }) => remainingMs > 0);
}

/** What a unix socket of the host is called in the engine's table of services: the same by whichever links it is reached. */
export function socketService(file: string): string {
  return `socket ${realPath(file)}`;
}

/** The file itself may be missing yet, and may be a link. */
function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    try {
      return path.join(realpathSync(path.dirname(file)), path.basename(file));
    } catch {
      return file;
    }
  }
}

function routeOf({ protocol, address, port, target }: ServiceForward): ServiceRoute {
  return {
    protocol,
    address,
    port,
    target:
      target.kind === 'unix'
        ? { kind: 'socket', service: socketService(target.path) }
        : { kind: 'host', address: target.address, port: target.port },
  };
}

function guestStreamError(failure: string, address: number, port: number): SlipwayError {
  const guest = address === 0 ? 'the first guest' : formatIpv4Address(address);
  switch (failure) {
    case 'refused':
      return new SlipwayError('ERR_GUEST_REFUSED', `${guest} refuses connections at port ${port}`);
    case 'no-guest':
      return new SlipwayError(
        'ERR_GUEST_UNREACHABLE',
        address === 0 ? 'no guest is there' : `no guest has the address ${guest}`,
      );
    case 'timeout':
      return new SlipwayError('ERR_GUEST_TIMEOUT', `${guest} does not answer at port ${port}`);
    case 'limit':
      return new SlipwayError('ERR_GUEST_UNREACHABLE', `there are too many connections for another one to ${guest}`);
    default:
      return new SlipwayError('ERR_SYSTEM_CALL', `the stream for ${guest} cannot be used: ${failure}`);
  }
}

function flowsOf(network: VirtualNetwork, limit: number): FlowStatus[] {
  const flows: FlowStatus[] = network.tcpFlows(limit).map((flow) => ({ protocol: 'tcp', ...flow }));
  for (const mapping of network.udpMappings()) {
    if (flows.length >= limit) break;
    const { guestAddress, guestPort, remotes, state, bytesFromGuest, bytesToGuest } = mapping;
    flows.push({
      protocol: 'udp',
      openedBy: 'guest',
      guestAddress,
      guestPort,
      remoteAddress: remotes.at(-1) ?? 0,
      remotePort: 0,
      state,
      bytesFromGuest,
      bytesToGuest,
    });
  }
  return flows;
}

function killFlow(network: VirtualNetwork, flow: FlowName): boolean {
  const { protocol, guestAddress, guestPort, remoteAddress, remotePort } = flow;
  if (protocol === 'udp') return network.killUdpMapping(guestAddress, guestPort);
  return network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort);
}
