/**
 * Frames on their way to one guest: a ring in the arena in which a frame is laid out, filled and sent without ever
 * being copied. Each frame is preceded by `prefixBytes` for the attachment's framing, and frames lie back to back, so a
 * stream attachment sends everything that waits with one write.
 *
 * A *series* of reservations is contiguous (the TCP sender peeks 64 payloads into it with one constant stride): it
 * never wraps. When a series starts near the end of the ring and the front has more room, it starts at the front;
 * `#wrapAt` then marks where the older bytes end. An empty ring starts at the front again, so an idle guest touches few
 * pages.
 *
 * The bound is the ring's size: what does not fit is refused (−1) and its owner waits.
 */
export class Outbox {
  readonly prefixBytes: number;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  /** Oldest byte not yet sent. */
  #head: number;
  /** End of what is committed. */
  #tail: number;
  /** End of what is reserved; equals #tail when nothing is. */
  #reserved: number;
  /** A commit happened since the last reservation: the next reservation begins a new series. */
  #committing = false;
  /** Where the bytes before the wrap end; −1 while the committed bytes lie in one piece. */
  #wrapAt = -1;

  /** `bytes` is the arena, [at, at + size) the region. */
  constructor(bytes: Uint8Array, at: number, size: number, prefixBytes: number) {
    this.#bytes = bytes;
    this.#start = at;
    this.#end = at + size;
    this.prefixBytes = prefixBytes;
    this.#head = at;
    this.#tail = at;
    this.#reserved = at;
  }

  /** Bytes committed and not yet sent, prefixes included. */
  get pendingBytes(): number {
    if (this.#wrapAt < 0) return this.#tail - this.#head;
    return this.#wrapAt - this.#head + (this.#tail - this.#start);
  }

  /** At least half of the ring is free: the moment to call waiters. */
  get halfFree(): boolean {
    return this.pendingBytes * 2 <= this.#end - this.#start;
  }

  /** Where the oldest unsent bytes lie, and how many of them lie in one piece. */
  get chunkAt(): number {
    return this.#head;
  }

  get chunkBytes(): number {
    return (this.#wrapAt < 0 ? this.#tail : this.#wrapAt) - this.#head;
  }

  /**
   * Offset for a frame of up to `length` bytes (its prefix is before it), or −1. Continues the open series or begins
   * one.
   */
  reserve(length: number): number {
    const slot = this.prefixBytes + length;
    if (this.#committing || this.#reserved === this.#tail) this.#beginSeries(slot);
    const limit = this.#wrapAt < 0 ? this.#end : this.#head;
    if (this.#reserved + slot > limit) return -1;
    const at = this.#reserved + this.prefixBytes;
    this.#reserved += slot;
    return at;
  }

  /**
   * Queues the frame of `length` bytes reserved at `at`. After a commit shorter than its reservation the rest of the
   * series counts as cancelled; a caller that commits on all the same has its frame moved up, so no gap is ever sent.
   * Returns the offset where the frame now lies (its prefix before it).
   */
  commit(at: number, length: number): number {
    const place = this.#tail + this.prefixBytes;
    if (at < place || at + length > this.#reserved) throw new RangeError('outbox: commit without a reservation');
    if (at !== place) this.#bytes.copyWithin(place, at, at + length);
    this.#tail = place + length;
    this.#committing = true;
    return place;
  }

  /** Gives back what is reserved and not committed. */
  cancel(): void {
    this.#reserved = this.#tail;
    this.#committing = false;
  }

  /** The oldest `length` bytes are sent; at most `chunkBytes`. */
  consume(length: number): void {
    this.#head += length;
    if (this.#head === this.#wrapAt) {
      this.#head = this.#start;
      this.#wrapAt = -1;
    }
  }

  #beginSeries(slot: number): void {
    this.cancel();
    if (this.#wrapAt >= 0) return;
    if (this.#head === this.#tail) {
      this.#head = this.#start;
      this.#tail = this.#start;
    } else {
      // A series is at most 64 frames (DatagramBatch, peekInto): below that, the larger of the two gaps serves it
      // better.
      const roomBehind = this.#end - this.#tail;
      if (roomBehind >= 64 * slot || this.#head - this.#start <= roomBehind) return;
      this.#wrapAt = this.#tail;
      this.#tail = this.#start;
    }
    this.#reserved = this.#tail;
  }
}
