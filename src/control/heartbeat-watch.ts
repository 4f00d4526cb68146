import { SlipwayError } from '../facts/errors.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';
import { ThreadProgress } from './thread-progress.ts';

const LOOK_MS = 500;
/** Processor time without a beat: a turn is milliseconds of work, and an idle loop beats once a second. */
const BUSY_MS = 2000;
/** Looks without a beat before /proc is asked: the loop sleeps for a second, and idle it costs nothing to watch. */
const QUIET_LOOKS = 2;
/**
 * Looks in one and the same system call (4 s), behind those: the longest that the loop means to sleep in is one second.
 */
const BLOCKED_LOOKS = 8;
/** A thread that has not turned once yet is still being compiled, which takes its time. */
const FIRST_BUSY_MS = 20_000;
const FIRST_BLOCKED_LOOKS = 40;
/** JavaScript that is terminated ends at once; what has not ended after so much is not JavaScript. */
const ABORTED_BUSY_MS = 2000;
const ABORTED_BLOCKED_LOOKS = 4;

/**
 * Terminates a network thread that is stuck; whoever owns the thread hears of its death as of any other. Slow is not
 * stuck: a thread that waits for a processor is waited for (`ThreadProgress`). A thread that sits in a system call
 * cannot be terminated: then `lost` is told, and only a new process helps.
 */
export class HeartbeatWatch {
  readonly #current: () => NetworkThreadHandle | undefined;
  readonly #lost: (error: SlipwayError) => void;
  #timer: NodeJS.Timeout | undefined;
  #watched: NetworkThreadHandle | undefined;
  #progress: ThreadProgress = new ThreadProgress(() => 0);
  #beats = -1;
  /** In a row, without a beat. */
  #quietLooks = 0;
  #aborted = false;

  /** `current` is the thread to watch; it may change at any time. */
  constructor(current: () => NetworkThreadHandle | undefined, lost: (error: SlipwayError) => void) {
    this.#current = current;
    this.#lost = lost;
  }

  get started(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const thread = this.#current();
    if (thread === undefined) return;
    if (thread !== this.#watched) {
      this.#watched = thread;
      this.#aborted = false;
      this.#progress = progressOf(thread);
      this.#beats = -1;
    }
    const { beats } = thread.loop;
    this.#quietLooks = beats === this.#beats ? this.#quietLooks + 1 : 0;
    this.#beats = beats;
    if (this.#quietLooks < QUIET_LOOKS && !this.#aborted) return;
    const { busyMs, blockedLooks } = this.#progress.look(beats);
    if (this.#aborted) {
      if (busyMs < ABORTED_BUSY_MS && blockedLooks < ABORTED_BLOCKED_LOOKS) return;
      this.stop();
      const message = 'the network thread is stuck in a system call and cannot be ended';
      this.#lost(new SlipwayError('ERR_NETWORK_THREAD', message));
      return;
    }
    if (busyMs >= (beats === 0 ? FIRST_BUSY_MS : BUSY_MS)) {
      this.#abort(thread, `stuck: ${busyMs / 1000} s of processor time without a turn`);
    } else if (blockedLooks >= (beats === 0 ? FIRST_BLOCKED_LOOKS : BLOCKED_LOOKS)) {
      this.#abort(thread, `stuck in a system call for ${(blockedLooks * LOOK_MS) / 1000} s`);
    }
  }

  #abort(thread: NetworkThreadHandle, why: string): void {
    thread.abort(new Error(why));
    this.#aborted = true;
    this.#progress = progressOf(thread);
  }
}

function progressOf({ state }: NetworkThreadHandle): ThreadProgress {
  return new ThreadProgress(() => state.thread);
}
