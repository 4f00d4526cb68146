import type { Clock } from '../env/clock.ts';

/** What keeps turns short and shows that they go on. */
export interface Pace {
  /** Read within turns; without one only numbers bound them. */
  readonly clock?: Clock | undefined;
  /** Called between any two pieces of work: the loop lives, however long the turn. */
  readonly beat?: (() => void) | undefined;
}

/**
 * A phase's share of a turn: so much time, so many pieces of work. What is left over goes first in the next turn. A
 * piece that looks at the time (`late`) has an equal part of it, and what those before it left: many that begin at once
 * wait for each other's part, not for each other's whole work.
 */
export class Slice {
  readonly #pace: Pace;
  /** When it was looked at last. */
  #nowMs = 0;
  #untilMs = 0;
  #pieceUntilMs = 0;
  #left = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** A phase begins that has `ms` and at most `pieces` of work; one piece is always done. */
  begin(ms: number, pieces: number): this {
    this.#left = pieces;
    this.#nowMs = this.#pace.clock?.nowMs() ?? 0;
    this.#untilMs = this.#nowMs + ms;
    return this;
  }

  /** A phase begins that has what the last one left of its time, `ms` at least, and at most `pieces` of work. */
  goOn(ms: number, pieces: number): this {
    const untilMs = this.#untilMs;
    this.begin(ms, pieces);
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    return this;
  }

  /** A phase begins that must end within this turn: what others left for it is bounded. */
  whole(): this {
    this.#left = Number.POSITIVE_INFINITY;
    this.#untilMs = Number.POSITIVE_INFINITY;
    return this;
  }

  /** A piece of work begins, one of `waiting`. */
  piece(waiting: number): void {
    this.#pieceUntilMs = this.#nowMs + (this.#untilMs - this.#nowMs) / waiting;
  }

  /** The running piece has had its part of the phase's time: it may stop short. */
  get late(): boolean {
    const { clock } = this.#pace;
    return clock !== undefined && clock.nowMs() >= this.#pieceUntilMs;
  }

  /** One piece of work is done. True when the phase has had its share. */
  spent(): boolean {
    const { clock, beat } = this.#pace;
    beat?.();
    if (--this.#left <= 0) return true;
    if (clock === undefined || this.#untilMs === Number.POSITIVE_INFINITY) return false;
    this.#nowMs = clock.nowMs();
    return this.#nowMs >= this.#untilMs;
  }
}
