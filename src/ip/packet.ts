import type { Frame } from '../link/frame.ts';
import type { Neighbor } from './neighbor.ts';

/**
 * An IPv4 packet from a guest, parsed and checked (version, lengths, header checksum, source in the subnet,
 * reassembled). One record is reused: valid only during `ProtocolHandler.receive`. The payload's bytes stay in place
 * until the turn's commit phase is over, so gather lists may point at them.
 */
export interface Packet {
  /** The frame it came in; its offload facts hold for the payload (for a reassembled packet: a plain record). */
  readonly frame: Frame;
  /** Who sent it, and where answers go. */
  readonly neighbor: Neighbor;
  /**
   * Offset of the IP header and of the payload, and the offset after the payload's last byte (Ethernet padding cut
   * off).
   */
  readonly headerAt: number;
  readonly payloadAt: number;
  readonly payloadEnd: number;
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly ttl: number;
  /** Type of service: DSCP (RFC 2474) and, in the two lowest bits, ECN (RFC 3168). */
  readonly tos: number;
  readonly dontFragment: boolean;
  /**
   * Don't Fragment and no identification: the program asked for it to find out the path's MTU. Linux sets the bit on
   * every datagram that its own MTU has room for, but then gives it an identification, for it means to cut later ones
   * (RFC 6864 §4).
   */
  readonly probesPath: boolean;
}

/** What a transport registers with the interface under its protocol number. */
export interface ProtocolHandler {
  /** Never throws on guest bytes. */
  receive(packet: Packet): void;
}
