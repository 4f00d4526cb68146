import type { HostErrorCode } from '../env/host.ts';
import { Timer } from '../turn/timers.ts';
import type { ForwardContext } from './forward-context.ts';
import { type DialFailure, type DialOwner, GuestDial } from './guest-dial.ts';

/** Whoever asked waits no longer than this for the guest's answer. */
const PATIENCE_MS = 10_000;
/** Streams at once whose guest has not answered. */
const MAX_OPENING = 1_024;

/** Called once: with nothing when the guest accepted. */
export type GuestStreamDone = (failure: DialFailure | HostErrorCode | undefined) => void;

interface Opening {
  readonly done: GuestStreamDone;
  readonly timer: Timer;
}

/**
 * Connected streams of the control thread (one end of a pair each) joined to guests' ports: tunnels. The guest sees the
 * gateway.
 */
export class GuestStreams implements DialOwner {
  readonly #context: ForwardContext;
  readonly #opening = new Map<GuestDial, Opening>();
  readonly #open = new Set<GuestDial>();

  constructor(context: ForwardContext) {
    this.#context = context;
  }

  /** Owns `fd` from here on, also when it fails; then the stream is reset. */
  open(fd: number, address: number, port: number, done: GuestStreamDone): void {
    const { listeners, turn, counters } = this.#context;
    const dial = new GuestDial(this.#context, this, {
      address,
      port,
      source: 'gateway',
      clientAddress: -1,
      clientPort: 0,
    });
    const stream = listeners.adoptStream(fd, dial);
    if (typeof stream === 'string') {
      done(stream);
      return;
    }
    if (this.#opening.size >= MAX_OPENING) {
      counters.add('guest-stream-limit');
      stream.abort();
      done('limit');
      return;
    }
    dial.carry(stream);
    const timer = new Timer(() => this.unreached(dial, 'timeout'));
    this.#opening.set(dial, { done, timer });
    turn.timers.arm(timer, PATIENCE_MS);
    dial.begin();
  }

  /** Turns away who still waits; the others are TCP's to end. */
  close(): void {
    for (const dial of [...this.#opening.keys()]) dial.abort();
  }

  established(dial: GuestDial): void {
    this.#open.add(dial);
    this.#settle(dial, undefined);
  }

  unreached(dial: GuestDial, failure: DialFailure): void {
    this.#settle(dial, failure);
    dial.abort();
  }

  ended(dial: GuestDial): void {
    this.#settle(dial, 'refused');
    this.#open.delete(dial);
  }

  #settle(dial: GuestDial, failure: DialFailure | undefined): void {
    const opening = this.#opening.get(dial);
    if (opening === undefined) return;
    this.#opening.delete(dial);
    this.#context.turn.timers.cancel(opening.timer);
    opening.done(failure);
  }
}
