import { SlipwayError } from '../config/errors.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';

/** Four looks of 500 ms without a beat: the loop is stuck (2 s); an idle one beats once a second. */
const LOOK_MS = 500;
const LOOKS_UNTIL_STUCK = 4;
/** A thread that has not turned once yet is still being compiled, which takes its time on a busy computer. */
const LOOKS_UNTIL_STILLBORN = 40;
/** JavaScript that is terminated ends at once; what has not ended after this is not JavaScript. */
const TERMINATE_MS = 2000;

/**
 * Terminates a network thread whose heartbeat stops; whoever owns the thread hears of its death as of any other. A thread that
 * sits in a system call cannot be terminated: then `lost` is told, and only a new process helps.
 */
export class HeartbeatWatch {
  readonly #current: () => NetworkThreadHandle | undefined;
  readonly #lost: (error: SlipwayError) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #watched: NetworkThreadHandle | undefined;
  #seenBeats = 0;
  /** In a row, at which the heart had not beaten since the one before. */
  #idleLooks = 0;

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
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #look(): void {
    const thread = this.#current();
    if (thread === undefined) return;
    const { beats } = thread.loop;
    this.#idleLooks = thread === this.#watched && beats === this.#seenBeats ? this.#idleLooks + 1 : 0;
    this.#watched = thread;
    this.#seenBeats = beats;
    if (this.#idleLooks < (beats === 0 ? LOOKS_UNTIL_STILLBORN : LOOKS_UNTIL_STUCK)) return;
    thread.terminate(new Error(`stuck for ${(this.#idleLooks * LOOK_MS) / 1000} s`));
    this.#idleLooks = 0;
    this.#giveUpUnlessReplaced(thread);
  }

  #giveUpUnlessReplaced(thread: NetworkThreadHandle): void {
    setTimeout(() => {
      if (thread !== this.#current() || this.#stopped) return;
      const message = 'the network thread is stuck in a system call and cannot be ended';
      this.#lost(new SlipwayError('ERR_NETWORK_THREAD', message));
    }, TERMINATE_MS).unref();
  }
}
