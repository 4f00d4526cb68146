import { seqGte } from '../wire/seqnum.ts';

/** RFC 6298 with its constants; times in ms. */
const ALPHA = 1 / 8;
const BETA = 1 / 4;
const K = 4;
/**
 * The link to a guest has microseconds of delay; below 200 ms a descheduled VM would be taken for loss (Linux's
 * TCP_RTO_MIN).
 */
const MIN_RTO_MS = 200;
/** §2.5: an upper bound may be placed, at least 60 s. */
const MAX_RTO_MS = 60_000;
/** §2.1 */
const INITIAL_RTO_MS = 1_000;

/** Round-trip time estimation and the retransmission timeout (RFC 6298). */
export class RttEstimator {
  #srttMs = -1;
  #rttvarMs = 0;
  #rtoMs: number = INITIAL_RTO_MS;
  #backoff = 0;
  /** The number whose acknowledgment is being timed, −1 for none; and when it was sent. */
  #timed = -1;
  #timedAtMs = 0;

  /** The timeout to arm now, back-off included. */
  get rtoMs(): number {
    return Math.min(MAX_RTO_MS, this.#rtoMs * 2 ** this.#backoff);
  }

  /** Timeouts in a row without an acknowledgement. */
  get timeouts(): number {
    return this.#backoff;
  }

  /** What was sent now ends before `until`: its acknowledgment is timed, unless another is already. */
  sent(until: number, nowMs: number): void {
    if (this.#timed >= 0) return;
    this.#timed = until;
    this.#timedAtMs = nowMs;
  }

  /** Something is sent again: its acknowledgment says nothing (Karn's algorithm, §3). */
  sentAgain(): void {
    this.#timed = -1;
  }

  /** New data was acknowledged. */
  acknowledged(acknowledgment: number, nowMs: number): void {
    this.progressed();
    if (this.#timed < 0 || !seqGte(acknowledgment, this.#timed)) return;
    this.#sample(nowMs - this.#timedAtMs);
    this.#timed = -1;
  }

  #sample(rttMs: number): void {
    if (this.#srttMs < 0) {
      this.#srttMs = rttMs;
      this.#rttvarMs = rttMs / 2;
    } else {
      this.#rttvarMs = (1 - BETA) * this.#rttvarMs + BETA * Math.abs(this.#srttMs - rttMs);
      this.#srttMs = (1 - ALPHA) * this.#srttMs + ALPHA * rttMs;
    }
    this.#rtoMs = Math.max(MIN_RTO_MS, this.#srttMs + K * this.#rttvarMs);
  }

  /** The timer expired (§5.5). */
  timedOut(): void {
    this.#backoff++;
    this.#timed = -1;
  }

  /** The guest is heard again: the back-off ends. */
  progressed(): void {
    this.#backoff = 0;
  }
}
