import { PlainArena } from './plain-arena.ts';

/** Bytes on either side of each allocation; a multiple of 64, so that alignment stays. */
const GUARD_BYTES = 256;
const POISON = 0xa5;

/**
 * A plain arena with poisoned zones around each allocation: `check` throws when someone wrote outside of what he was
 * given.
 */
export class GuardedArena extends PlainArena {
  readonly #regions: { readonly at: number; readonly length: number }[] = [];

  override allocate(length: number): number {
    const outer = super.allocate(length + 2 * GUARD_BYTES + 64);
    if (outer < 0) return -1;
    const at = outer + GUARD_BYTES;
    this.bytes.fill(POISON, outer, at);
    this.bytes.fill(POISON, at + length, at + length + GUARD_BYTES);
    this.#regions.push({ at, length });
    return at;
  }

  /** Sums are taken inside one allocation, never across. */
  override sum(at: number, length: number, initial: number): number {
    if (length > 0) this.#assertInside(at, length);
    return super.sum(at, length, initial);
  }

  override train(at: number, length: number, end: number): number {
    this.#assertInside(at, Math.max(length, end - at));
    return super.train(at, length, end);
  }

  /** Throws when a byte next to an allocation changed. */
  check(): void {
    for (const { at, length } of this.#regions) {
      this.#assertPoison(at - GUARD_BYTES, at);
      this.#assertPoison(at + length, at + length + GUARD_BYTES);
    }
  }

  #assertPoison(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      if (this.bytes[i] !== POISON) throw new Error(`byte ${i}, in no allocation, was written: ${this.bytes[i]}`);
    }
  }

  #assertInside(at: number, length: number): void {
    let low = 0;
    let high = this.#regions.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#regions[middle]!.at <= at) low = middle;
      else high = middle - 1;
    }
    const region = this.#regions[low];
    if (region === undefined || at < region.at || at + length > region.at + region.length) {
      throw new RangeError(`[${at}, +${length}) lies in no allocation`);
    }
  }
}
