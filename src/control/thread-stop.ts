import { setTimeout } from 'node:timers/promises';
import type { NetworkThreadHandle } from './network-thread-handle.ts';
import { ThreadProgress } from './thread-progress.ts';

const LOOK_MS = 100;
/**
 * Looks in one and the same system call (5 s): a thread that was woken leaves it as soon as it gets a processor, unless
 * it waits for helpers of V8 (garbage collection, compilation) that have none themselves.
 */
const BLOCKED_LOOKS = 50;
/**
 * A thread that has not turned yet waits for its source to be read, by threads that may have no processor either (20
 * s).
 */
const FIRST_BLOCKED_LOOKS = 200;
/** Processor time for the last turn and the resets of all flows: 65,536 take about one second. */
const BUSY_MS = 2000;

/**
 * Asks a network thread to end and waits for it. It is given all the time that it uses to get on: only one that is
 * stuck in a system call is given up, and one whose JavaScript never comes back is terminated.
 */
export class ThreadStop {
  readonly #thread: NetworkThreadHandle;
  readonly #progress: ThreadProgress;

  constructor(thread: NetworkThreadHandle) {
    this.#thread = thread;
    this.#progress = new ThreadProgress(() => thread.state.thread);
    thread.stop();
    // Nothing holds it yet that cannot be ended, and there is nothing to end gently.
    if (thread.loop.beats === 0) thread.abort(new Error('stopped before its first turn'));
  }

  /** False when it sits in a system call that nothing ends. */
  async wait(): Promise<boolean> {
    const { gone } = this.#thread;
    const ended = gone.then(() => true);
    for (;;) {
      if (await Promise.race([ended, setTimeout(LOOK_MS, false, { ref: false })])) return true;
      const verdict = this.#look();
      if (verdict === 'blocked') return false;
      if (verdict === 'busy') this.#thread.abort(new Error('stuck: it does not end'));
    }
  }

  /**
   * The same without promises. One whose JavaScript never comes back is left to Node, which terminates it as the
   * process exits.
   */
  waitNow(): boolean {
    // Terminated already, and Node waits for it.
    if (this.#thread.loop.beats === 0) return true;
    while (!this.#thread.state.waitForEnd(LOOK_MS)) {
      const verdict = this.#look();
      if (verdict !== 'slow') return verdict !== 'blocked';
    }
    return true;
  }

  #look(): 'blocked' | 'busy' | 'slow' | 'gone' {
    const { busyMs, blockedLooks, gone } = this.#progress.look(0);
    if (gone) return 'gone';
    const most = this.#thread.loop.beats === 0 ? FIRST_BLOCKED_LOOKS : BLOCKED_LOOKS;
    if (blockedLooks >= most) return 'blocked';
    return busyMs >= BUSY_MS ? 'busy' : 'slow';
  }
}
