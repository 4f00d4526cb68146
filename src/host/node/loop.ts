import type { Clock } from '../../env/clock.ts';

/** What the loop turns: the network's `Turn`, or anything that does the same. */
export interface Turning {
  run(nowMs: number): void;
  waitMs(limitMs: number): number;
}

export interface NodeLoopOptions {
  readonly clock: Clock;
  /**
   * An exception that a turn let through; the loop has stopped. Thrown onwards (an uncaught exception) when left out.
   */
  readonly onCrash?: (error: unknown) => void;
  /** Longest sleep in ms; 1,000 unless told. */
  readonly limitMs?: number;
}

/**
 * Runs turns on Node's own event loop. Whatever became ready calls `wake`; one turn follows when the loop has handed
 * out all that it polled (setImmediate), so many 'data' events make one turn. When nothing is ready, a turn runs when
 * the network's next timer is due. A turn that leaves work behind is followed by another, after the sockets had their
 * say.
 */
export class NodeLoop {
  readonly #clock: Clock;
  readonly #onCrash: ((error: unknown) => void) | undefined;
  readonly #limitMs: number;
  #turn: Turning | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #turning = false;
  #wokenInTurn = false;

  constructor(options: NodeLoopOptions) {
    this.#clock = options.clock;
    this.#onCrash = options.onCrash;
    this.#limitMs = options.limitMs ?? 1000;
  }

  /** Begins: the first turn runs at the next opportunity. */
  start(turn: Turning): void {
    this.#turn = turn;
    this.wake();
  }

  /** Asks for a turn. May be called any number of times, before `start` and after `stop` too. */
  wake(): void {
    if (this.#turning) this.#wokenInTurn = true;
    else if (this.#turn !== undefined) this.#immediate ??= setImmediate(() => this.#run());
  }

  /** No turn runs any more; Node may exit if nothing else holds it. */
  stop(): void {
    this.#turn = undefined;
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
  }

  #run(): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#turning = true;
    this.#wokenInTurn = false;
    try {
      turn.run(this.#clock.nowMs());
    } catch (error) {
      this.stop();
      if (this.#onCrash === undefined) throw error;
      this.#onCrash(error);
      return;
    } finally {
      this.#turning = false;
    }
    if (this.#turn === undefined) return;
    const waitMs = this.#wokenInTurn ? 0 : turn.waitMs(this.#limitMs);
    if (waitMs <= 0) this.wake();
    else this.#timer = setTimeout(() => this.wake(), Math.ceil(waitMs));
  }
}

/** A loop that is started at once. */
export function runNodeLoop(options: NodeLoopOptions & { readonly turn: Turning }): NodeLoop {
  const loop = new NodeLoop(options);
  loop.start(options.turn);
  return loop;
}
