import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';

/**
 * An address that is nobody's is asked for again after a pause that doubles from the first to the last, or later where
 * there are many.
 */
const FIRST_MS = 50;
const LAST_MS = 2_000;
/** Questions are at least so far apart: 20 a second, however many addresses are missed. */
const APART_MS = 50;

/**
 * Addresses of forwards that no guest has. A guest that speaks is heard by itself; these are asked for, one after the
 * other, because a guest may be given another address without saying anything from it. As many as forwards at most.
 */
export class AwaitedGuests {
  readonly #turn: Turn;
  readonly #ask: (address: number) => void;
  /** The forward's target → its address. */
  readonly #addresses = new Map<object, number>();
  /** What is left of this round. */
  #order: number[] = [];
  #gapMs = FIRST_MS;
  #pauseMs = FIRST_MS;
  readonly #timer: Timer = new Timer(() => this.#next());

  constructor(turn: Turn, ask: (address: number) => void) {
    this.#turn = turn;
    this.#ask = ask;
  }

  add(who: object, address: number): void {
    this.#addresses.set(who, address);
    if (this.#timer.armed) return;
    this.#pauseMs = FIRST_MS;
    this.#turn.timers.arm(this.#timer, FIRST_MS);
  }

  /** Somebody came who may be one of them: all are asked for at once. */
  soon(): void {
    if (this.#addresses.size === 0) return;
    this.#order = [];
    this.#pauseMs = FIRST_MS;
    this.#next();
  }

  remove(who: object): void {
    if (!this.#addresses.delete(who) || this.#addresses.size > 0) return;
    this.#order = [];
    this.#turn.timers.cancel(this.#timer);
  }

  close(): void {
    this.#addresses.clear();
    this.#turn.timers.cancel(this.#timer);
  }

  #next(): void {
    if (this.#order.length === 0) {
      this.#order = [...new Set(this.#addresses.values())];
      this.#gapMs = Math.max(APART_MS, this.#pauseMs / this.#order.length);
      this.#pauseMs = Math.min(LAST_MS, this.#pauseMs * 2);
    }
    const address = this.#order.pop();
    if (address === undefined) return;
    this.#turn.timers.arm(this.#timer, this.#gapMs);
    this.#ask(address);
  }
}
