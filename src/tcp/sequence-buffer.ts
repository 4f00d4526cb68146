import type { PieceList } from '../env/host.ts';
import { seqAdd, seqDiff } from '../wire/seqnum.ts';
import { CHUNK_BYTES, CHUNK_SHIFT, type ChunkPool } from './chunk-pool.ts';

const CHUNK_MASK = CHUNK_BYTES - 1;
/** Chunk numbers wrap with the sequence numbers. */
const NUMBER_MASK = 0xffffffff >>> CHUNK_SHIFT;

/**
 * A flow's bytes that wait for its host socket, addressed by sequence number: what came in order and what came early
 * lie in the same chunks, so filling a gap moves nothing. Which bytes are really there, its owner knows (Receiver).
 */
export class SequenceBuffer {
  readonly #bytes: Uint8Array;
  readonly #pool: ChunkPool;
  /** Whose share of the pool it takes. */
  readonly #owner: string;
  /** Chunk number → offset in the arena. At most a window's worth. */
  readonly #chunks = new Map<number, number>();

  constructor(bytes: Uint8Array, pool: ChunkPool, owner: string) {
    this.#bytes = bytes;
    this.#pool = pool;
    this.#owner = owner;
  }

  /**
   * Copies `length` bytes from `at` to their place; `early`: they came out of order. Returns how many were stored:
   * fewer when the pool has no chunk for them.
   */
  store(sequence: number, at: number, length: number, early: boolean): number {
    let stored = 0;
    while (stored < length) {
      const position = seqAdd(sequence, stored);
      const inside = position & CHUNK_MASK;
      const step = Math.min(CHUNK_BYTES - inside, length - stored);
      let chunk = this.#chunks.get(position >>> CHUNK_SHIFT);
      if (chunk === undefined) {
        chunk = this.#pool.take(this.#owner, early);
        if (chunk < 0) return stored;
        this.#chunks.set(position >>> CHUNK_SHIFT, chunk);
      }
      this.#bytes.copyWithin(chunk + inside, at + stored, at + stored + step);
      stored += step;
    }
    return stored;
  }

  /** Appends the pieces of [from, to) to `list`, as many as it has room for. All of these bytes must be stored. */
  gather(from: number, to: number, list: PieceList): void {
    const room = list.at.length;
    let left = seqDiff(to, from);
    let position = from;
    while (left > 0 && list.count < room) {
      const inside = position & CHUNK_MASK;
      const step = Math.min(CHUNK_BYTES - inside, left);
      list.at[list.count] = this.#chunks.get(position >>> CHUNK_SHIFT)! + inside;
      list.length[list.count] = step;
      list.count++;
      position = seqAdd(position, step);
      left -= step;
    }
  }

  /**
   * Gives back the chunks that lie wholly in [from, to). When nothing is kept at `to`, pass `keepLast` false to free
   * its chunk too.
   */
  release(from: number, to: number, keepLast: boolean): void {
    if (this.#chunks.size === 0) return;
    const last = to >>> CHUNK_SHIFT;
    for (let number = from >>> CHUNK_SHIFT; ; number = (number + 1) & NUMBER_MASK) {
      if (number === last && keepLast) return;
      const chunk = this.#chunks.get(number);
      if (chunk !== undefined) {
        this.#chunks.delete(number);
        this.#pool.give(chunk, this.#owner);
      }
      if (number === last) return;
    }
  }

  clear(): void {
    for (const chunk of this.#chunks.values()) this.#pool.give(chunk, this.#owner);
    this.#chunks.clear();
  }
}
