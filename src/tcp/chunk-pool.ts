import type { Arena } from '../env/arena.ts';
import { Tally } from '../turn/tally.ts';

/** 16 KiB: small enough that a slow flow of few bytes wastes little, large enough that 4 MiB is one writev. */
export const CHUNK_BYTES: number = 16 * 1024;
/**
 * sequence >>> CHUNK_SHIFT numbers the chunks of a flow; 2^32 is a whole number of chunks, so it wraps with the
 * sequence.
 */
export const CHUNK_SHIFT = 14;

/** One guest leaves a quarter of the pool to the others. */
const SHARE_OF_GUEST = 0.75;
/** Text that came out of order leaves as much to text in order: it can be sent again at no loss (RFC 2018 §8). */
const SHARE_OF_EARLY = 0.75;

/**
 * Fixed-size pieces of the arena for bytes that a host socket did not take yet or that came out of order.
 *
 * A single byte holds a whole chunk, so windows do not bound what is used: a guest that leaves one byte behind in each
 * of 16,384 flows would have it all. Hence the shares. Who finds no chunk forgets text that was not acknowledged.
 */
export class ChunkPool {
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #used = new Tally<string>();

  /**
   * Sets `bytes` of the arena aside (less where the arena has less); pages are touched only as chunks are first used.
   */
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

  /**
   * Offset of a chunk for the guest `owner` (`Port.attachment`), or −1 when none is left for it (`early`: for text out
   * of order).
   */
  take(owner: string, early: boolean): number {
    const total = this.#free.length;
    const own = this.#used.of(owner);
    // A pool of few chunks is not divided.
    if (this.#freeCount === 0 || (own > 0 && own >= total * SHARE_OF_GUEST)) return -1;
    if (early && total - this.#freeCount >= total * SHARE_OF_EARLY) return -1;
    this.#used.add(owner);
    return this.#free[--this.#freeCount]!;
  }

  /** Gives back a chunk that `owner` took. */
  give(at: number, owner: string): void {
    this.#free[this.#freeCount++] = at;
    this.#used.drop(owner);
  }
}
