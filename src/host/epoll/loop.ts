import type { Clock } from '../../env/clock.ts';
import type { Turn } from '../../turn/turn.ts';
import type { Poller } from './poller.ts';

/** Longest sleep: the heartbeat is at least this fresh. */
const MAX_WAIT_MS = 1000;
const STOP_WORD = 0;
const BEAT_WORD = 1;

/**
 * What the control thread and the network thread share about the loop: a stop word and a heartbeat. A Worker that
 * sleeps in epoll_wait cannot be terminated, so it is asked: `stop`, then a write to the poller's eventfd.
 */
export class LoopControl {
  /** Given to the other thread, which makes its own LoopControl over it. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Asks the loop to end after its turn; wake the poller too. */
  stop(): void {
    Atomics.store(this.#words, STOP_WORD, 1);
  }

  get stopping(): boolean {
    return Atomics.load(this.#words, STOP_WORD) === 1;
  }

  /** One more turn began. */
  beat(): void {
    Atomics.add(this.#words, BEAT_WORD, 1);
  }

  /** Turns so far, modulo 2^32; a loop that lives moves it at least once a second. */
  get beats(): number {
    return Atomics.load(this.#words, BEAT_WORD);
  }
}

export interface LoopOptions {
  /** What has work to do: the network's Turn. */
  readonly turn: Pick<Turn, 'waitMs' | 'run'>;
  readonly poller: Poller;
  readonly clock: Clock;
  readonly control: LoopControl;
  /** Asked after each turn: whether the loop is to return, so that Node's gets its turn. Never unless given. */
  readonly pauses?: () => boolean;
}

/**
 * The network thread's loop: wait for events, hand them out, run a turn. Returns when asked to stop or to pause; what a
 * handler or the turn throws ends it, for the control thread to deal with.
 */
export function runLoop({ turn, poller, clock, control, pauses }: LoopOptions): void {
  while (!control.stopping) {
    control.beat();
    poller.wait(turn.waitMs(MAX_WAIT_MS));
    turn.run(clock.nowMs());
    if (pauses?.() === true) return;
  }
}
