import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';

/**
 * What the network thread tells the control thread about one turn, as one event: a guest that makes up a thousand
 * clients, or has a thousand forwards, costs one event a turn and not a thousand. Without a turn (`flushWith`) it only
 * collects.
 */
export class TurnBatch<T> {
  readonly #tell: (items: readonly T[]) => void;
  readonly #flush: Work = { queued: false, work: () => this.#send() };
  #turn: Turn | undefined;
  #items: T[] = [];

  /** `tell` is called at the end of each turn in which something was added. */
  constructor(tell: (items: readonly T[]) => void) {
    this.#tell = tell;
  }

  /** The turn at whose end the batch leaves; it exists only once the network has been assembled. */
  flushWith(turn: Turn): void {
    this.#turn = turn;
  }

  add(item: T): void {
    this.#items.push(item);
    this.#turn?.flushes.add(this.#flush);
  }

  #send(): void {
    const items = this.#items;
    this.#items = [];
    this.#tell(items);
  }
}
