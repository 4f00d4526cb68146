import type { DatagramBatch } from '../env/host.ts';
import { TupleTable } from '../flow/tuple-table.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { Packet } from '../ip/packet.ts';
import { UDP_HEADER_BYTES, type UdpHeader } from '../wire/udp.ts';

/** Who gets what a guest sends to one address and port that stand for a client of the host's side. */
export interface UdpPeer {
  /** A datagram of the guest: the payload at [at, at + length), valid until the turn's commit is over. */
  datagram(at: number, length: number): void;
}

/** Sockets of the host that are published for guests' ports: what a guest sends from there leaves by them. */
export interface PublishedSockets {
  /**
   * Who takes what `guest` sends from `guestPort` to an address of the outside; undefined where an ordinary mapping
   * does.
   */
  peerFor(guest: Neighbor, guestPort: number, address: number, port: number): UdpPeer | undefined;
}

/** Where datagrams are received into before they go to a guest; free for one batch at a time. */
export interface ReceiveSlots {
  readonly batch: DatagramBatch;
  /** Slot i is at `at + i * slotBytes`; the eight bytes before each payload are free for its header. */
  readonly at: number;
  readonly slotBytes: number;
  /** Slots there are. */
  readonly count: number;
}

/**
 * Clients of forwards, by the guest's address and port and by their own as the guest knows them. Whoever adds them
 * bounds them.
 */
export class UdpPeers {
  /** Asked for a guest's datagram to somebody new. */
  published: PublishedSockets | undefined;
  readonly #table: TupleTable<UdpPeer>;

  /** @param seed so that no guest can choose ports that collide */
  constructor(seed: number) {
    this.#table = new TupleTable(seed);
  }

  /** False when someone has these four numbers. */
  add(guestAddress: number, guestPort: number, address: number, port: number, peer: UdpPeer): boolean {
    if (this.#table.get(guestAddress, guestPort, address, port) !== undefined) return false;
    this.#table.set(guestAddress, guestPort, address, port, peer);
    return true;
  }

  remove(guestAddress: number, guestPort: number, address: number, port: number): void {
    this.#table.delete(guestAddress, guestPort, address, port);
  }

  /** Who has these four numbers. */
  get(guestAddress: number, guestPort: number, address: number, port: number): UdpPeer | undefined {
    return this.#table.get(guestAddress, guestPort, address, port);
  }

  /** The peer that a guest's datagram is for, if it is one of them. */
  find(packet: Packet, header: UdpHeader): UdpPeer | undefined {
    if (this.#table.size === 0) return undefined;
    return this.#table.get(packet.source, header.sourcePort, packet.destination, header.destinationPort);
  }
}

/** Hands `peer` the packet's payload, in datagrams of `step` bytes. */
export function deliverToPeer(peer: UdpPeer, packet: Packet, header: UdpHeader, step: number): void {
  const at = packet.payloadAt + UDP_HEADER_BYTES;
  const length = header.length - UDP_HEADER_BYTES;
  let from = 0;
  do {
    peer.datagram(at + from, Math.min(step, length - from));
    from += step;
  } while (from < length);
}
