import type { Arena } from '../../src/env/arena.ts';
import { sumBytes } from '../../src/wire/checksum.ts';
import { trainOf } from '../../src/wire/train.ts';

/** An arena on an ordinary ArrayBuffer with the plain checksum, for tests of the core that need no WASM. */
export class PlainArena implements Arena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  #used = 64;

  constructor(sizeBytes: number) {
    const buffer = new ArrayBuffer(sizeBytes);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  sum(at: number, length: number, initial: number): number {
    if (at < 0 || length < 0 || at + length > this.bytes.length) throw new RangeError(`sum of [${at}, +${length})`);
    return sumBytes(this.bytes, at, length, initial);
  }

  train(at: number, length: number, end: number): number {
    return trainOf(this.bytes, at, length, end);
  }

  allocate(length: number): number {
    const at = this.#used;
    const next = at + Math.ceil(length / 64) * 64;
    if (next > this.bytes.length) return -1;
    this.#used = next;
    return at;
  }
}
