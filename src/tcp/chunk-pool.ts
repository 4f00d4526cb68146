import type { Arena } from '../env/arena.ts';

/** 16 KiB: small enough that a slow flow of few bytes wastes little, large enough that 4 MiB is one writev. */
export const CHUNK_BYTES: number = 16 * 1024;
/** sequence >>> CHUNK_SHIFT numbers the chunks of a flow; 2^32 is a whole number of chunks, so it wraps with the sequence. */
export const CHUNK_SHIFT = 14;

/** Fixed-size pieces of the arena for bytes that a host socket did not take yet or that came out of order. */
export class ChunkPool {
  readonly #free: Int32Array;
  #freeCount: number;

  /** Sets `bytes` of the arena aside (less where the arena has less); pages are touched only as chunks are first used. */
  constructor(arena: Arena, bytes: number) {
    let count = Math.floor(bytes / CHUNK_BYTES);
    let at = arena.allocate(count * CHUNK_BYTES);
    while (at < 0 && count > 1) {
      count >>= 1;
      at = arena.allocate(count * CHUNK_BYTES);
    }
    if (at < 0) throw new RangeError('the arena has no room for the TCP chunk pool');
    this.#free = new Int32Array(count);
    // The lowest offset is handed out first and the last freed is reused first, so few pages are ever touched.
    for (let i = 0; i < count; i++) this.#free[i] = at + (count - 1 - i) * CHUNK_BYTES;
    this.#freeCount = count;
  }

  get freeBytes(): number {
    return this.#freeCount * CHUNK_BYTES;
  }

  get usedBytes(): number {
    return (this.#free.length - this.#freeCount) * CHUNK_BYTES;
  }

  /** Offset of a chunk, or −1 when all are in use. */
  take(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  give(at: number): void {
    this.#free[this.#freeCount++] = at;
  }
}
