import { TokenBucket } from './token-bucket.ts';

/** A TokenBucket for each owner, for as long as that exists. */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new WeakMap<object, TokenBucket>();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Whether `owner` may have one more at `nowMs`. */
  take(owner: object, nowMs: number): boolean {
    let bucket = this.#buckets.get(owner);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#perSecond, this.#burst);
      this.#buckets.set(owner, bucket);
    }
    return bucket.take(nowMs);
  }
}
