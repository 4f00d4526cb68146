import type { Port } from '../link/port.ts';

/**
 * A guest's address and where it is on the link. Kept by flows: updated in place when ARP or traffic shows that the
 * guest moved.
 */
export class Neighbor {
  /** IPv4 address. */
  readonly address: number;
  /** MAC as a 48-bit number. */
  mac: number;
  port: Port;
  /** Turn time when it was last heard. */
  seenMs: number;
  /** Turn time when it was asked whether it is there, of which it has not been heard since; −1 otherwise. */
  askedMs = -1;

  constructor(address: number, mac: number, port: Port, seenMs: number) {
    this.address = address;
    this.mac = mac;
    this.port = port;
    this.seenMs = seenMs;
  }
}

/**
 * A guest that moved to another port, or took another MAC, is itself; one that did both is not to be told from another.
 */
export function isSameGuest(one: Pick<Neighbor, 'mac' | 'port'>, other: Pick<Neighbor, 'mac' | 'port'>): boolean {
  return one.mac === other.mac || one.port === other.port;
}
