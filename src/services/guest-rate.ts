import { TokenBucket } from '../turn/token-bucket.ts';

/**
 * Attachments with a count of their own: 64 are there at once, and most come back under their name. Beyond it, counting
 * starts again.
 */
const MAX_COUNTED = 4_096;

/** How often each guest may do something: `perSecond` on the long run, `burst` at once. */
export class GuestRate {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #guests = new Map<string, TokenBucket>();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Whether the guest may do it once more now. */
  take(attachment: string): boolean {
    let bucket = this.#guests.get(attachment);
    if (bucket === undefined) {
      if (this.#guests.size >= MAX_COUNTED) this.#guests.clear();
      bucket = new TokenBucket(this.#perSecond, this.#burst);
      this.#guests.set(attachment, bucket);
    }
    return bucket.take(performance.now());
  }
}
