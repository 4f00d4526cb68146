import type { Random } from '../env/random.ts';

/** One call into the system for so many numbers; getRandomValues takes at most 65,536 bytes. */
const BATCH = 1024;

/** Numbers of the system's generator, fetched in batches: one costs nanoseconds then. */
export class BatchedRandom implements Random {
  readonly #batch = new Uint32Array(BATCH);
  #next = BATCH;

  u32(): number {
    if (this.#next === BATCH) {
      crypto.getRandomValues(this.#batch);
      this.#next = 0;
    }
    const value = this.#batch[this.#next] as number;
    // A number is handed out once: whoever reads this memory later learns no sequence number that is in use.
    this.#batch[this.#next++] = 0;
    return value;
  }
}
