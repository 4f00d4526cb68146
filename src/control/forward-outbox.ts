import type { ForwardChange } from '../forward/forward-request.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';
import type { FromNetwork } from './messages.ts';

/** Changes of forwards on their way to the control thread: one message carries all of a turn, however many forwards one guest had. */
export class ForwardOutbox {
  readonly #tell: (message: FromNetwork) => void;
  readonly #flush: Work = { queued: false, work: () => this.#send() };
  #turn: Turn | undefined;
  #changes: ForwardChange[] = [];

  constructor(tell: (message: FromNetwork) => void) {
    this.#tell = tell;
  }

  /** The turn at whose end the batch leaves. */
  flushWith(turn: Turn): void {
    this.#turn = turn;
  }

  add(change: ForwardChange): void {
    this.#changes.push(change);
    this.#turn?.flushes.add(this.#flush);
  }

  #send(): void {
    const changes = this.#changes;
    this.#changes = [];
    this.#tell({ type: 'forward-state', changes });
  }
}
