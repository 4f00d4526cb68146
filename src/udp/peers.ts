import type { DatagramBatch } from '../env/host.ts';
import { TupleTable } from '../flow/tuple-table.ts';

/** Who gets what a guest sends to one address and port that stand for a client of the host's side. */
export interface UdpPeer {
  /** A datagram of the guest: the payload at [at, at + length), valid until the turn's commit is over. */
  datagram(at: number, length: number): void;
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

/** Peers by the guest's address and port and by their own, as the guest knows them. Their owner bounds them. */
export type UdpPeers = TupleTable<UdpPeer>;

export function makeUdpPeers(seed: number): UdpPeers {
  return new TupleTable<UdpPeer>(seed);
}
