import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices } from '../env/gateway-services.ts';
import type { Host } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { FlowProtocol } from '../flow/protocol.ts';
import type { Target } from '../flow/route.ts';
import type { IcmpErrors } from '../ip/icmp-errors.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { Ipv4Output } from '../ip/output.ts';
import type { Packet } from '../ip/packet.ts';
import type { Turn } from '../turn/turn.ts';

export interface UdpLimits {
  /** Mappings in all; each holds a host socket. */
  readonly mappings: number;
  /** Mappings of one guest, so that one cannot take all. */
  readonly mappingsPerGuest: number;
}

export const DEFAULT_UDP_LIMITS: UdpLimits = { mappings: 16_384, mappingsPerGuest: 4_096 };

export interface UdpOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log?: Log;
  readonly host: Host;
  readonly output: Ipv4Output;
  readonly errors: IcmpErrors;
  readonly services: GatewayServices;
  /** Pure: where a datagram to this destination goes. */
  readonly decide: (protocol: FlowProtocol, destination: number, port: number) => Target;
  /** The guest at an address, to answer it for a gateway service. */
  readonly neighborOf: (address: number) => Neighbor | undefined;
  readonly gatewayAddress: number;
  /** Directed broadcast of the subnet. */
  readonly broadcastAddress: number;
  readonly limits?: UdpLimits;
  /** Seeds the table of forwards' clients, so that no guest can choose ports that collide. 0 unless told. */
  readonly seed?: number;
}

/**
 * Takes datagrams to a local port (DHCP): sent to the gateway or broadcast. The payload is valid only during the call.
 */
export type UdpServiceHandler = (packet: Packet, payloadAt: number, payloadLength: number) => void;

/** A mapping, for status pages. */
export interface UdpMappingStatus {
  readonly guestAddress: number;
  readonly guestPort: number;
  /** Remote addresses that may answer; of many those last spoken to. */
  readonly remotes: readonly number[];
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
  readonly state: 'unanswered' | 'answered';
}
