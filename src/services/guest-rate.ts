import { TokenBucket } from '../turn/token-bucket.ts';

/** Guests with a count of their own: room for a subnet of /20. Beyond that, all are counted anew. */
const MAX_COUNTED = 4_096;

/** How often each guest may do something: `perSecond` on the long run, `burst` at once. */
export class GuestRate {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #guests = new Map<number, TokenBucket>();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Whether the guest may do it once more now. */
  take(guest: number): boolean {
    let bucket = this.#guests.get(guest);
    if (bucket === undefined) {
      if (this.#guests.size >= MAX_COUNTED) this.#guests.clear();
      bucket = new TokenBucket(this.#perSecond, this.#burst);
      this.#guests.set(guest, bucket);
    }
    return bucket.take(performance.now());
  }
}
