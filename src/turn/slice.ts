import type { Clock } from '../env/clock.ts';

/** What keeps turns short and shows that they go on. */
export interface Pace {
  /** Read within turns; without one only numbers bound them. */
  readonly clock?: Clock | undefined;
  /** Called between any two pieces of work: the loop lives, however long the turn. */
  readonly beat?: (() => void) | undefined;
}

/** A phase's share of a turn: so much time, so many pieces of work. What is left over goes first in the next turn. */
export class Slice {
  readonly #pace: Pace;
  #untilMs = 0;
  #left = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** A phase begins that has `ms` and at most `pieces` of work; one piece is always done. */
  begin(ms: number, pieces: number): this {
    this.#left = pieces;
    this.#untilMs = (this.#pace.clock?.nowMs() ?? 0) + ms;
    return this;
  }

  /** A phase begins that must end within this turn: what others left for it is bounded. */
  whole(): this {
    this.#left = Number.POSITIVE_INFINITY;
    this.#untilMs = Number.POSITIVE_INFINITY;
    return this;
  }

  /** The phase's time is over: a long piece of work may stop short. */
  get late(): boolean {
    const { clock } = this.#pace;
    return clock !== undefined && clock.nowMs() >= this.#untilMs;
  }

  /** One piece of work is done. True when the phase has had its share. */
  spent(): boolean {
    this.#pace.beat?.();
    if (--this.#left <= 0) return true;
    return this.#untilMs !== Number.POSITIVE_INFINITY && this.late;
  }
}
