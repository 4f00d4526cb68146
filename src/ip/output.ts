import type { Neighbor } from './neighbor.ts';

/** Sends IPv4 packets to guests. */
export interface Ipv4Output {
  /** MAC of the gateway as a 48-bit number: the source of every frame. */
  readonly gatewayMac: number;
  /**
   * Sends one datagram (L4 header and payload at [at, at + length), checksum already in place) to `neighbor`, in
   * fragments when it exceeds the guest's MTU. Copies at once. Returns false when the outlet had no room for all of it (then nothing was
   * sent; the caller counts the drop).
   */
  send(
    neighbor: Neighbor,
    source: number,
    protocol: number,
    ttl: number,
    at: number,
    length: number,
    tos?: number,
  ): boolean;
  /** The next IPv4 identification. */
  nextIdentification(): number;
}
