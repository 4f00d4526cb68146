import { readFileSync } from 'node:fs';
import { SlipwayError } from '../../facts/errors.ts';
import type { Arena } from '../../env/arena.ts';

const PAGE_BYTES = 65_536;

/** Offsets travel in Int32Arrays and through `|`, so the last one must be below 2^31. */
const MAX_BYTES = 2 ** 31 - PAGE_BYTES;

/** A cache line: no two owners share one. */
const ALIGNMENT = 64;

/** From src/host/memory and from dist/host/memory alike this is the package's dist folder. */
const ARENA_WASM = new URL('../../../dist/arena.wasm', import.meta.url);

type Sum = (at: number, length: number, initial: number) => number;
type Train = (at: number, length: number, end: number) => number;

interface Memory {
  readonly buffer: ArrayBuffer;
}

/**
 * The part of the JavaScript API that we use: neither ES2023 nor @types/node declares it, only the DOM's library does.
 */
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number }) => Memory;
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: { env: { memory: Memory } },
  ) => { readonly exports: { readonly sum: Sum; readonly train: Train } };
};

/**
 * The arena as a WebAssembly memory that cannot grow, so its buffer never moves nor detaches; sums by SIMD and finds
 * trains (wasm/). The operating system gives it pages as they are touched.
 */
export class WasmArena implements Arena {
  /** The memory itself, for the FFI, which takes the base address from it. */
  readonly baseBuffer: ArrayBuffer;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Sum of an arena range: see `Arena.sum`. The WASM export itself, so a call costs no wrapper. */
  readonly sum: Sum;
  /** See `Arena.train`; the WASM export itself. */
  readonly train: Train;
  /** Offset 0 is never given out, so it may stand for nothing. */
  #used = ALIGNMENT;

  /**
   * `sizeBytes` is rounded up to whole pages of 64 KiB; at most 2 GiB − 64 KiB.
   * Throws ERR_SYSTEM_CALL when the system does not give that much address space or dist/arena.wasm cannot be read.
   */
  constructor(sizeBytes: number) {
    const memory = reserve(sizeBytes);
    const instance = new WebAssembly.Instance(compileRoutines(), { env: { memory } });
    this.sum = instance.exports.sum;
    this.train = instance.exports.train;
    this.baseBuffer = memory.buffer;
    this.bytes = new Uint8Array(this.baseBuffer);
    this.view = new DataView(this.baseBuffer);
  }

  allocate(length: number): number {
    const at = this.#used;
    const next = at + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    if (next > this.bytes.length) return -1;
    this.#used = next;
    return at;
  }

  /** Bytes that `allocate` has given out. */
  get usedBytes(): number {
    return this.#used;
  }
}

function reserve(sizeBytes: number): Memory {
  if (!(sizeBytes > 0 && sizeBytes <= MAX_BYTES)) {
    throw new RangeError(`an arena of ${sizeBytes} bytes: the size must be above 0 and at most ${MAX_BYTES}`);
  }
  const pages = Math.ceil(sizeBytes / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    const mebibytes = Math.ceil(sizeBytes / 2 ** 20);
    throw new SlipwayError(
      'ERR_SYSTEM_CALL',
      `no ${mebibytes} MiB of address space for the frame memory: ${(cause as Error).message}`,
      'raise the limit on virtual memory (ulimit -v)',
      { cause },
    );
  }
}

function compileRoutines(): object {
  let code: Uint8Array<ArrayBuffer>;
  try {
    code = readFileSync(ARENA_WASM);
  } catch (cause) {
    throw new SlipwayError(
      'ERR_SYSTEM_CALL',
      `the arena's routines cannot be read: ${(cause as Error).message}`,
      'run: npm run build',
      { cause },
    );
  }
  return new WebAssembly.Module(code);
}
