import type { Arena } from '../env/arena.ts';
import type { ReadyQueue, Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';

/**
 * The memory that frames from guests are read into, shared by all attachments. Gathered payload points into it until
 * the turn's commits are over, so it is handed out front to back within a turn and starts over in the flush phase, the
 * turn's last. One busy guest therefore touches only its front.
 *
 * Whoever finds it full is served first in the next turn, before those who had their share in this one.
 */
export class ReceiveArea implements Work {
  queued = false;
  readonly #turn: Turn;
  readonly #start: number;
  readonly #end: number;
  #cursor: number;
  readonly #turnedAway: Work[] = [];
  readonly #again: Work[] = [];

  /** Throws a RangeError when the arena is full (while the network is assembled). */
  constructor(arena: Arena, turn: Turn, bytes: number) {
    this.#start = arena.allocate(bytes);
    if (this.#start < 0) throw new RangeError(`the arena has no room for a receive area of ${bytes} bytes`);
    this.#turn = turn;
    this.#end = this.#start + bytes;
    this.#cursor = this.#start;
  }

  /** Where free memory begins. */
  get at(): number {
    return this.#cursor;
  }

  /** How much is left in this turn. */
  get freeBytes(): number {
    return this.#end - this.#cursor;
  }

  /** The next `length` bytes hold data until the turn ends. */
  take(length: number): void {
    this.#cursor += length;
    this.#turn.flushes.add(this);
  }

  /** `reader` found too little room: it runs in the next turn, before the others. */
  turnAway(reader: Work): void {
    this.#turnedAway.push(reader);
    this.#turn.flushes.add(this);
  }

  /**
   * `reader` used up its quota and has more: it runs in the next turn, after those with little and those turned away.
   */
  again(reader: Work): void {
    this.#again.push(reader);
    this.#turn.flushes.add(this);
  }

  work(): void {
    this.#cursor = this.#start;
    const { ingress, backlog } = this.#turn;
    recall(this.#turnedAway, ingress);
    recall(this.#again, backlog);
  }
}

function recall(readers: Work[], queue: ReadyQueue): void {
  if (readers.length === 0) return;
  for (const reader of readers) queue.add(reader);
  readers.length = 0;
}
