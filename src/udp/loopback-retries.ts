import type { Arena } from '../env/arena.ts';
import { makeDatagramBatch } from '../env/datagram-batch.ts';
import { LOOPBACK6 } from '../env/host.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';
import type { Mapping } from './mapping.ts';

/** Retries that wait for the commit; more are dropped, as any datagram may be. */
const MAX_RETRIES = 64;

/**
 * Datagrams that 127.0.0.1 refused, on their way to [::1]. They wait for the next commit, because the refusal may have
 * been heard in the middle of a send.
 */
export class LoopbackRetries implements Work {
  queued = false;
  readonly #turn: Turn;
  readonly #arena: Arena;
  /** Room for one datagram, free during commits. */
  readonly #scratchAt: number;
  readonly #batch = makeDatagramBatch(1);
  readonly #waiting: { readonly mapping: Mapping; readonly port: number; readonly payload: Uint8Array }[] = [];

  constructor(turn: Turn, arena: Arena, scratchAt: number) {
    this.#turn = turn;
    this.#arena = arena;
    this.#scratchAt = scratchAt;
  }

  /** Copies `payload`. */
  add(mapping: Mapping, port: number, payload: Uint8Array): void {
    if (this.#waiting.length === MAX_RETRIES) return;
    this.#waiting.push({ mapping, port, payload: payload.slice() });
    this.#turn.commits.add(this);
  }

  work(): void {
    const batch = this.#batch;
    for (const { mapping, port, payload } of this.#waiting.splice(0)) {
      if (!mapping.live) continue;
      this.#arena.bytes.set(payload, this.#scratchAt);
      batch.at[0] = this.#scratchAt;
      batch.length[0] = payload.length;
      batch.address[0] = LOOPBACK6;
      batch.port[0] = port;
      batch.ttl[0] = 0;
      batch.dontFragment[0] = 0;
      batch.tos[0] = 0;
      batch.count = 1;
      mapping.socket.send(batch);
    }
  }
}
