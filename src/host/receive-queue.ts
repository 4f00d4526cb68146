/**
 * Bytes that arrived and are not yet consumed, as the chunks they came in: peeked at any offset, dropped from the
 * front. It takes the chunks as they are and never copies them; whoever pushes must not change them afterwards.
 *
 * Not bounded by itself: its owner stops reading its source by `length`.
 */
export class ReceiveQueue {
  #chunks: Uint8Array[] = [];
  /** Index of the oldest chunk in #chunks; what lies before is gone. */
  #head = 0;
  /** Bytes of the oldest chunk that are consumed. */
  #skip = 0;
  #length = 0;
  /** Where the last peek ended: sequential peeks go on there instead of walking from the front. */
  #cursorIndex = 0;
  #cursorOffset = 0;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Copies up to `length` bytes from `offset` to `target` at `at`; returns the bytes copied. */
  copy(offset: number, target: Uint8Array, at: number, length: number): number {
    const wanted = Math.min(length, this.#length - offset);
    if (wanted <= 0) return 0;
    this.#seek(offset);
    let skip = offset - this.#cursorOffset;
    let copied = 0;
    while (copied < wanted) {
      const chunk = this.#chunks[this.#cursorIndex] as Uint8Array;
      const from = this.#cursorIndex === this.#head ? this.#skip + skip : skip;
      const part = Math.min(wanted - copied, chunk.length - from);
      target.set(part === chunk.length ? chunk : chunk.subarray(from, from + part), at + copied);
      copied += part;
      skip += part;
      if (from + part === chunk.length) {
        this.#cursorIndex++;
        this.#cursorOffset += skip;
        skip = 0;
      }
    }
    return copied;
  }

  /**
   * Copies what waits from `offset` on into `count` slots of `slotBytes`, `stride` apart, as `HostStream.peekInto`;
   * returns the bytes.
   */
  copySlots(offset: number, target: Uint8Array, at: number, slotBytes: number, stride: number, count: number): number {
    let copied = 0;
    for (let slot = 0; slot < count; slot++) {
      const part = this.copy(offset + copied, target, at + slot * stride, slotBytes);
      copied += part;
      if (part < slotBytes) break;
    }
    return copied;
  }

  /** Drops the oldest `length` bytes, at most all. */
  consume(length: number): void {
    let left = Math.min(length, this.#length);
    this.#length -= left;
    this.#cursorOffset -= left;
    while (left > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array;
      const part = Math.min(left, chunk.length - this.#skip);
      left -= part;
      this.#skip += part;
      if (this.#skip === chunk.length) {
        this.#chunks[this.#head] = EMPTY;
        this.#head++;
        this.#skip = 0;
      }
    }
    if (this.#cursorOffset < 0 || this.#cursorIndex <= this.#head) {
      this.#cursorIndex = this.#head;
      this.#cursorOffset = 0;
    }
    if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#cursorIndex -= this.#head;
      this.#head = 0;
    }
  }

  /** Drops all. */
  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#skip = 0;
    this.#length = 0;
    this.#cursorIndex = 0;
    this.#cursorOffset = 0;
  }

  /** Moves the cursor to the chunk that holds `offset`. */
  #seek(offset: number): void {
    if (offset < this.#cursorOffset) {
      this.#cursorIndex = this.#head;
      this.#cursorOffset = 0;
    }
    for (;;) {
      const chunk = this.#chunks[this.#cursorIndex] as Uint8Array;
      const held = this.#cursorIndex === this.#head ? chunk.length - this.#skip : chunk.length;
      if (offset < this.#cursorOffset + held) return;
      this.#cursorIndex++;
      this.#cursorOffset += held;
    }
  }
}

const EMPTY = new Uint8Array(0);
