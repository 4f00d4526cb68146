import type { IcmpKind } from '../wire/icmpv4.ts';
import type { Neighbor } from './neighbor.ts';
import type { Packet } from './packet.ts';

/** Facts about an earlier packet of a guest that is no longer in memory, enough to quote its header (RFC 792). */
export interface QuotedPacket {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  /**
   * First eight bytes of the L4 header: ports, then TCP sequence number or UDP length and checksum 0, or for echo
   * type/code/checksum/id/sequence.
   */
  readonly firstWord: number;
  readonly secondWord: number;
  /** IP payload length in bytes that the original had (for the quoted total length). */
  readonly length: number;
}

/**
 * ICMP errors towards guests; rate-limited per guest, counted, never about an ICMP error, a broadcast or a later
 * fragment (RFC 1122 §3.2.2).
 */
export interface IcmpErrors {
  /** About a packet being received now. `source`: the address that speaks (the gateway unless a real router did). */
  about(packet: Packet, type: number, code: number, source?: number, mtu?: number): void;
  /** About an earlier packet. */
  aboutQuoted(neighbor: Neighbor, quoted: QuotedPacket, kind: IcmpKind, source: number, mtu?: number): void;
  /**
   * Tells the guest the MTU of the way from `source` (its own address) to `destination`, without an error for the
   * socket whose datagram was too long: that one has left in fragments.
   */
  pathMtu(neighbor: Neighbor, source: number, destination: number, mtu: number): void;
}
