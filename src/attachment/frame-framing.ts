import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { HostPipe } from '../env/host.ts';
import type { Frame } from '../link/frame.ts';
import type { Outbox } from './outbox.ts';
import type { DrainResult, Framing } from './pipe-outlet.ts';

/** The pipe takes whole frames, so each lies in the outbox after its own length (u32) and its header, if it has one. */
const LENGTH_BYTES = 4;
/** Frames written in one turn: each is a system call, so that one guest's do not keep the others waiting. */
const FRAMES_PER_FLUSH = 512;

export interface FrameFramingOptions {
  readonly arena: Arena;
  readonly counters: Counters;
  /** Counts frames that the pipe refuses and survives. */
  readonly refused: string;
}

/** Puts frames on a pipe that keeps them apart: one write each. */
export class FrameFraming implements Framing {
  readonly prefixBytes: number;
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #refused: string;
  readonly #headerBytes: number;

  /** `headerBytes` are written before each frame, as `writeHeader` fills them. */
  constructor({ arena, counters, refused }: FrameFramingOptions, headerBytes = 0) {
    this.#arena = arena;
    this.#counters = counters;
    this.#refused = refused;
    this.#headerBytes = headerBytes;
    this.prefixBytes = LENGTH_BYTES + headerBytes;
  }

  writePrefix(at: number, frame: Frame): void {
    this.#arena.view.setUint32(at - this.prefixBytes, frame.length);
    this.writeHeader(at, frame);
  }

  drain(outbox: Outbox, pipe: HostPipe): DrainResult {
    for (let frames = 0; outbox.chunkBytes > 0; frames++) {
      if (frames === FRAMES_PER_FLUSH) return 'more';
      const at = outbox.chunkAt;
      const length = this.#arena.view.getUint32(at);
      const taken = pipe.write(at + LENGTH_BYTES, this.#headerBytes + length);
      if (taken === 0) return 'blocked';
      if (taken < 0) {
        if (pipe.error !== undefined) return 'failed';
        this.#counters.add(this.#refused);
      }
      outbox.consume(this.prefixBytes + length);
    }
    return 'drained';
  }

  /** Fills the header that ends at `at`, where the frame of these facts lies. */
  protected writeHeader(_at: number, _frame: Frame): void {}
}
