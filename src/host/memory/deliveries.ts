/** Bound of one `deliver`: an endless ping-pong between scripted peers is a fault of the script, not a hang. */
const MAX_STEPS = 10_000_000;

/**
 * What is under way in the in-memory host, first in, first out: nothing happens by itself, only by `step` or `deliver`.
 */
export class Deliveries {
  #queue: (() => void)[] = [];
  #next = 0;
  /** Called when something is queued while nothing was; where a loop is woken. */
  onQueued: (() => void) | undefined;

  get pending(): number {
    return this.#queue.length - this.#next;
  }

  add(delivery: () => void): void {
    this.#queue.push(delivery);
    if (this.pending === 1) this.onQueued?.();
  }

  /** Runs the oldest; false when nothing is under way. */
  step(): boolean {
    const delivery = this.#queue[this.#next];
    if (delivery === undefined) return false;
    this.#next++;
    if (this.#next > 1024 && this.#next * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    delivery();
    return true;
  }

  /** Runs all that is under way and all that follows from it; returns how many steps that took. */
  deliver(): number {
    for (let steps = 0; steps < MAX_STEPS; steps++) if (!this.step()) return steps;
    throw new Error(
      `The in-memory host did not come to rest in ${MAX_STEPS} steps: two peers answer each other for ever.`,
    );
  }
}
