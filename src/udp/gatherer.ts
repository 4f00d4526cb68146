import type { Counters } from '../env/counters.ts';
import { makeDatagramBatch } from '../env/datagram-batch.ts';
import type { DatagramBatch, HostAddress, HostDatagram } from '../env/host.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';

/**
 * Datagrams in one call to the host: the bound of `HostDatagram.receive`, and enough that the call itself costs little.
 */
export const BATCH_DATAGRAMS = 64;
/** Sockets gathered for at the same time. Beyond, everything gathered is sent early: it costs calls, not datagrams. */
const MAX_BATCHES = 64;

/** A guest's datagram on its way to the host. The gatherer keeps one and refills it for each. */
export class GatheredDatagram {
  /** The payload is at [at, at + length). */
  at = 0;
  length = 0;
  address: HostAddress = 0;
  port = 0;
  /** 0: the host's default. */
  ttl = 0;
  dontFragment = false;
  tos = 0;
}

/** Whose datagrams are gathered. */
export interface GatherOwner {
  readonly socket: HostDatagram;
  /** Owned by the Gatherer: the batch that is being filled. */
  batch: DatagramBatch | undefined;
}

/**
 * Collects what guests send during a turn, one batch for each socket, and hands each batch to the host in one call when
 * the turn commits. Batches are few and shared: a mapping holds one only between its first datagram and the commit.
 */
export class Gatherer implements Work {
  queued = false;
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #owners: GatherOwner[] = [];
  readonly #free: DatagramBatch[] = [];

  constructor(turn: Turn, counters: Counters) {
    this.#turn = turn;
    this.#counters = counters;
  }

  /** `datagram` leaves in this turn's commit, or now when there is no room to gather. Its payload is not copied. */
  add(owner: GatherOwner, datagram: GatheredDatagram): void {
    const batch = owner.batch ?? this.#begin(owner);
    const i = batch.count++;
    batch.at[i] = datagram.at;
    batch.length[i] = datagram.length;
    batch.address[i] = datagram.address;
    batch.port[i] = datagram.port;
    batch.ttl[i] = datagram.ttl;
    batch.dontFragment[i] = datagram.dontFragment ? 1 : 0;
    batch.tos[i] = datagram.tos;
    if (batch.count === BATCH_DATAGRAMS) this.#send(owner, batch);
  }

  /** Sends what is gathered for `owner`, whose socket is about to close. */
  flush(owner: GatherOwner): void {
    if (owner.batch !== undefined) this.#send(owner, owner.batch);
  }

  work(): void {
    for (const owner of this.#owners) {
      const { batch } = owner;
      if (batch === undefined) continue;
      this.#send(owner, batch);
      owner.batch = undefined;
      this.#free.push(batch);
    }
    this.#owners.length = 0;
  }

  #begin(owner: GatherOwner): DatagramBatch {
    if (this.#owners.length === MAX_BATCHES) this.work();
    const batch = this.#free.pop() ?? makeDatagramBatch(BATCH_DATAGRAMS);
    owner.batch = batch;
    this.#owners.push(owner);
    this.#turn.commits.add(this);
    return batch;
  }

  #send(owner: GatherOwner, batch: DatagramBatch): void {
    if (batch.count === 0) return;
    const dropped = owner.socket.send(batch);
    batch.count = 0;
    if (dropped > 0) this.#counters.add('udp-host-full', dropped);
  }
}
