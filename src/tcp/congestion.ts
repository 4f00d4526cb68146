/**
 * Congestion control towards a guest. The link is a queue in memory, so it starts wide open and only a loss narrows it:
 * a guest's ring that overflowed says how much it holds. Reno's additive growth afterwards (RFC 5681 §3.1) with a
 * multiplicative decrease of 0.7 (RFC 9438 §4.6).
 */
const DECREASE = 0.7;
/** Many segments at once, yet fewer than a tap's default queue of 1,000 at MTU 1500. */
const INITIAL_WINDOW_BYTES = 512 * 1024;
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

export class CongestionWindow {
  /** Bytes that may be in flight. */
  bytes: number;
  #threshold: number = Number.POSITIVE_INFINITY;
  readonly #size: { readonly mss: number };

  constructor(size: { readonly mss: number }) {
    this.#size = size;
    this.bytes = Math.max(INITIAL_WINDOW_BYTES, 10 * size.mss);
  }

  /** `acked` bytes left the network while the window was what limited. */
  acknowledged(acked: number): void {
    if (this.bytes < this.#threshold) this.bytes += acked;
    else this.bytes += Math.max(1, (this.#size.mss * acked) / this.bytes);
    if (this.bytes > MAX_WINDOW_BYTES) this.bytes = MAX_WINDOW_BYTES;
  }

  /** A loss seen by duplicate acknowledgements with `inFlight` bytes out. */
  lost(inFlight: number): void {
    this.#threshold = Math.max(inFlight * DECREASE, 4 * this.#size.mss);
    this.bytes = this.#threshold;
  }

  /**
   * The retransmission timer expired: RFC 5681 §3.1, loss window of one segment; two, so that delayed acknowledgements
   * do not slow it.
   */
  timedOut(inFlight: number): void {
    this.#threshold = Math.max(inFlight * DECREASE, 4 * this.#size.mss);
    this.bytes = 2 * this.#size.mss;
  }
}
