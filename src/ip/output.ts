import type { Neighbor } from './neighbor.ts';

/**
 * Where a packet goes: a neighbor, or a MAC and an address that belong to none (DHCP answers guests without an
 * address).
 */
export type Destination = Pick<Neighbor, 'address' | 'mac' | 'port'>;

/** What `Ipv4Output.send` sends. Its sender keeps one for all that it sends: nobody else does, once `send` returns. */
export class OutgoingPacket {
  readonly protocol: number;
  readonly ttl: number;
  source = 0;
  tos = 0;
  /** The L4 header and its payload lie at [at, at + length), the checksum in place. */
  at = 0;
  length = 0;

  constructor(protocol: number, ttl: number) {
    this.protocol = protocol;
    this.ttl = ttl;
  }
}

/** Sends IPv4 packets to guests. */
export interface Ipv4Output {
  /** MAC of the gateway as a 48-bit number: the source of every frame. */
  readonly gatewayMac: number;
  /**
   * Sends one packet, in fragments when it exceeds the guest's MTU. Copies at once. Returns false when the outlet had
   * no room for all of it (then nothing was sent; the caller counts the drop).
   */
  send(to: Destination, packet: OutgoingPacket): boolean;
  /** The next IPv4 identification. */
  nextIdentification(): number;
}
