import { seqDiff, seqGt, seqGte, seqLt, seqLte } from '../wire/seqnum.ts';

/**
 * A short ordered list of disjoint sequence ranges [left, right): what a receiver holds out of order, or what a sender
 * was told by SACK. Bounded: an insertion that would make one more is refused, which costs a retransmission, not bytes.
 */
export class Ranges {
  readonly #limit: number;
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  /** Index of the range that the last insertion made or grew (RFC 2018 §4: it is reported first). */
  latest = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#left.length;
  }

  left(index: number): number {
    return this.#left[index]!;
  }

  right(index: number): number {
    return this.#right[index]!;
  }

  /** Bytes in all ranges. */
  get bytes(): number {
    let sum = 0;
    for (let i = 0; i < this.#left.length; i++) sum += seqDiff(this.#right[i]!, this.#left[i]!);
    return sum;
  }

  /** Adds [left, right), merging what touches. Returns false when the list is full and nothing touches. */
  insert(left: number, right: number): boolean {
    let first = 0;
    while (first < this.#left.length && seqLt(this.#right[first]!, left)) first++;
    let after = first;
    while (after < this.#left.length && seqLte(this.#left[after]!, right)) after++;
    if (after === first) {
      if (this.#left.length >= this.#limit) return false;
      this.#left.splice(first, 0, left);
      this.#right.splice(first, 0, right);
    } else {
      if (seqLt(this.#left[first]!, left)) left = this.#left[first]!;
      if (seqGt(this.#right[after - 1]!, right)) right = this.#right[after - 1]!;
      this.#left.splice(first, after - first, left);
      this.#right.splice(first, after - first, right);
    }
    this.latest = first;
    return true;
  }

  /** Drops what lies before `sequence`. */
  dropBefore(sequence: number): void {
    while (this.#left.length > 0 && seqLte(this.#right[0]!, sequence)) {
      this.#left.shift();
      this.#right.shift();
      if (this.latest > 0) this.latest--;
    }
    if (this.#left.length > 0 && seqLt(this.#left[0]!, sequence)) this.#left[0] = sequence;
  }

  /** Whether one range holds all of [left, right). */
  covers(left: number, right: number): boolean {
    for (let i = 0; i < this.#left.length; i++) {
      if (seqLte(this.#left[i]!, left) && seqGte(this.#right[i]!, right)) return true;
    }
    return false;
  }

  clear(): void {
    this.#left.length = 0;
    this.#right.length = 0;
    this.latest = 0;
  }
}
