import type { Slice } from './slice.ts';

/**
 * Something with work to do in this turn. `work` does at most its own quota and adds itself again while more remains.
 */
export interface Work {
  /** Owned by the ReadyQueue: true while it is in one. A Work is in at most one queue. */
  queued: boolean;
  work(): void;
}

/** First in, first out; what is added while it runs waits for the next run, so no one starves the rest of the turn. */
export class ReadyQueue {
  #next: Work[] = [];
  #running: Work[] = [];

  add(item: Work): void {
    if (item.queued) return;
    item.queued = true;
    this.#next.push(item);
  }

  /** True while something waits for the next run. */
  get pending(): boolean {
    return this.#next.length > 0;
  }

  /** Runs what stood in the queue when it began, as far as `slice` goes: the rest goes first in the next run. */
  run(slice: Slice): void {
    const batch = this.#next;
    if (batch.length === 0) return;
    this.#next = this.#running;
    this.#running = batch;
    for (let i = 0; i < batch.length; i++) {
      const item = batch[i] as Work;
      item.queued = false;
      slice.piece(batch.length - i);
      item.work();
      if (slice.spent() && i + 1 < batch.length) {
        this.#next.unshift(...batch.slice(i + 1));
        break;
      }
    }
    // `batch.length = 0` is a call into V8's runtime: 76 ns a queue and turn in place of 17.
    while (batch.length > 0) batch.pop();
  }
}
