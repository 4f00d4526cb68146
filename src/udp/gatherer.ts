import type { Counters } from '../env/counters.ts';
import { makeDatagramBatch } from '../env/datagram-batch.ts';
import type { DatagramBatch, HostAddress, HostDatagram } from '../env/host.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';

/** Datagrams in one call to the host: the bound of `HostDatagram.receive`, and enough that the call itself costs little. */
export const BATCH_DATAGRAMS = 64;
/** Sockets gathered for at the same time. Beyond, everything gathered is sent early: it costs calls, not datagrams. */
const MAX_BATCHES = 64;

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

  /** The payload at [at, at + length) leaves in this turn's commit, or now when there is no room to gather. `ttl` 0: the host's default. */
  add(
    owner: GatherOwner,
    at: number,
    length: number,
    address: HostAddress,
    port: number,
    ttl: number,
    dontFragment: boolean,
    tos: number,
  ): void {
    const batch = owner.batch ?? this.#begin(owner);
    const i = batch.count++;
    batch.at[i] = at;
    batch.length[i] = length;
    batch.address[i] = address;
    batch.port[i] = port;
    batch.ttl[i] = ttl;
    batch.dontFragment[i] = dontFragment ? 1 : 0;
    batch.tos[i] = tos;
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
