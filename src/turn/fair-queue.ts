import type { Work } from './ready-queue.ts';
import type { Slice } from './slice.ts';

/** Work for somebody: of those who share a queue each gets its turn. */
export interface FairWork extends Work {
  /** The owner: a guest's port. */
  readonly lane: object;
}

/** What one lane has to do, oldest first from `at` on. */
class Lane {
  readonly items: FairWork[] = [];
  at = 0;
}

/**
 * A ReadyQueue whose work is of several guests, some with thousands of flows and some with one ping: the lanes take
 * turns, one piece of work each, so who has little waits for one piece of each other at most.
 */
export class FairQueue {
  readonly #added: FairWork[] = [];
  readonly #lanes = new WeakMap<object, Lane>();
  /** Lanes with work of this run or left from the last, the next one first. */
  #ring: Lane[] = [];
  #other: Lane[] = [];

  add(item: FairWork): void {
    if (item.queued) return;
    item.queued = true;
    this.#added.push(item);
  }

  /** True while something waits for the next run. */
  get pending(): boolean {
    return this.#added.length > 0 || this.#ring.length > 0;
  }

  /** Runs what stood in the queue when it began, as far as `slice` goes. */
  run(slice: Slice): void {
    const added = this.#added;
    for (let i = 0; i < added.length; i++) this.#enqueue(added[i] as FairWork);
    while (added.length > 0) added.pop();
    while (this.#ring.length > 0) {
      const round = this.#ring;
      const next = this.#other;
      for (let i = 0; i < round.length; i++) {
        const lane = round[i] as Lane;
        const item = lane.items[lane.at++] as FairWork;
        if (lane.at < lane.items.length) next.push(lane);
        else this.#empty(lane);
        item.queued = false;
        item.work();
        if (slice.spent()) {
          next.unshift(...round.slice(i + 1));
          this.#turnRing(round, next);
          return;
        }
      }
      this.#turnRing(round, next);
    }
  }

  #enqueue(item: FairWork): void {
    let lane = this.#lanes.get(item.lane);
    if (lane === undefined) {
      lane = new Lane();
      this.#lanes.set(item.lane, lane);
    }
    if (lane.items.length === 0) this.#ring.push(lane);
    lane.items.push(item);
  }

  #empty(lane: Lane): void {
    while (lane.items.length > 0) lane.items.pop();
    lane.at = 0;
  }

  #turnRing(round: Lane[], next: Lane[]): void {
    this.#ring = next;
    this.#other = round;
    while (round.length > 0) round.pop();
  }
}
