import { Timer, type Timers } from '../turn/timers.ts';
import type { Sender } from './sender.ts';

/** RFC 6298 §2.1 */
const SYN_TIMEOUT_MS = 1_000;
/** A half-open handshake is given up after this many SYNs (RFC 9293 §3.8.3, R2 for SYN). */
const MAX_SYN_TIMEOUTS = 6;
/** RFC 9293 §3.8.3, R2: with the RTO's cap of 60 s about eleven minutes, so a paused VM survives. */
const MAX_TIMEOUTS = 16;
/**
 * A shut window keeps what a host left behind that has reset no longer than this: 50 s where the RTO is the least
 * (Linux's tcp_orphan_retries: 100 s).
 */
const RESET_HOST_TIMEOUTS = 7;
/** RFC 9293 §3.8.4: no probe before two hours without a segment; nine unanswered ones 75 s apart end it. */
const KEEPALIVE_IDLE_MS = 7_200_000;
/**
 * For connections that the host side opened, and half-closed ones: somebody waits for a guest that may have gone
 * without a word (a VM that was reset, or a kernel that no longer keeps what its program left behind, answers the first
 * probe by a RST). With the probes that follow a silent guest is given up after thirteen minutes, about as long as one
 * that owes an acknowledgement. An idle connection whose guest answers lives for ever.
 */
export const AWAITED_IDLE_MS = 120_000;
const KEEPALIVE_INTERVAL_MS = 75_000;
const KEEPALIVE_PROBES = 9;

/** What is to be done when the timer has expired on an open connection. 'gone': the guest answers no more. */
export type Expiry = 'retransmit' | 'probe' | 'gone';

/**
 * How long a connection waits for its guest. One timer serves handshake, retransmission, persist and keepalive:
 * they exclude each other. It also counts the tries that stayed without answer.
 */
export class GuestTimer {
  /** Silence before the first keepalive. */
  idleMs: number = KEEPALIVE_IDLE_MS;
  readonly #timers: Timers;
  readonly #timer: Timer;
  /** SYNs before establishment, probes after, since something was heard. */
  #attempts = 0;
  /** When something last came from the guest: the turn's time. */
  heardMs: number;
  /** Something came since the last expiry. */
  #heard = false;
  /** sndUna when it was armed for retransmission, −1 when it stands for something else. */
  #timedUna = -1;
  /** It is armed for a probe of what is stalled. */
  #persisting = false;

  constructor(timers: Timers, nowMs: number, expired: () => void) {
    this.#timers = timers;
    this.heardMs = nowMs;
    this.#timer = new Timer(expired);
  }

  /** Our SYN or SYN-ACK was sent: it is sent again, at doubled intervals. */
  armSyn(): void {
    this.#timers.arm(this.#timer, SYN_TIMEOUT_MS * 2 ** this.#attempts);
  }

  /** The SYN stayed without answer. Returns whether it was the last. */
  synExpired(): boolean {
    return ++this.#attempts > MAX_SYN_TIMEOUTS;
  }

  /** The handshake is over. */
  established(): void {
    this.#attempts = 0;
  }

  cancel(): void {
    this.#timers.cancel(this.#timer);
  }

  /** A segment came. Returns true when it answers a probe, so that `rearm` goes back to the long interval. */
  heard(nowMs: number): boolean {
    this.heardMs = nowMs;
    this.#heard = true;
    if (this.#attempts === 0) return false;
    this.#attempts = 0;
    return true;
  }

  /**
   * A probe was sent before its time, and counts. Returns true when it is the first, so that `rearm` takes the short
   * interval.
   */
  asked(): boolean {
    if (this.#attempts > 0) return false;
    this.#attempts = 1;
    return true;
  }

  /** Times what is in flight anew, as if it had just been sent. */
  restart(): void {
    this.#timedUna = -1;
    this.#persisting = false;
  }

  /** Arms it for what the connection waits for now. `stalled`: something waits for the guest and cannot go. */
  rearm(sender: Sender, stalled: boolean): void {
    if (sender.inFlight > 0) {
      // RFC 6298 §5.1 and §5.3: running since the oldest segment went out, restarted by progress.
      if (this.#timedUna === sender.sndUna && this.#timer.armed) return;
      this.#timedUna = sender.sndUna;
      this.#persisting = false;
      this.#timers.arm(this.#timer, sender.rtt.rtoMs);
      return;
    }
    this.#timedUna = -1;
    // What else the host sends meanwhile does not put the probe off.
    if (stalled && this.#persisting && this.#timer.armed) return;
    this.#persisting = stalled;
    if (stalled) this.#timers.arm(this.#timer, sender.rtt.rtoMs);
    else this.#timers.arm(this.#timer, this.#attempts === 0 ? this.idleMs : KEEPALIVE_INTERVAL_MS);
  }

  /** Whether the guest has kept its window shut for too long for a host that has reset. */
  isTooLateForReset(sender: Sender): boolean {
    return sender.window.bytes === 0 && sender.rtt.timeouts >= RESET_HOST_TIMEOUTS;
  }

  /** It expired on an open connection. */
  expiry(sender: Sender, stalled: boolean): Expiry {
    if (sender.inFlight > 0) {
      // A guest that shut its window over what is in flight and still answers is alive (RFC 9293 §3.8.6.1).
      if (sender.rtt.timeouts >= MAX_TIMEOUTS && !(this.#heard && sender.window.bytes === 0)) return 'gone';
      this.#heard = false;
      return 'retransmit';
    }
    // RFC 9293 §3.8.6.1 and §3.8.4: probing a shut window or an idle guest goes on as long as it answers.
    return ++this.#attempts > (stalled ? MAX_TIMEOUTS : KEEPALIVE_PROBES) ? 'gone' : 'probe';
  }
}
