import type { Arena } from '../../src/env/arena.ts';
import type { Frame } from '../../src/link/frame.ts';
import type { Outlet, OutletAbilities, OutletWaiter } from '../../src/link/outlet.ts';

/** A frame as it left, with its offload facts. */
export interface RecordedFrame {
  readonly bytes: Uint8Array;
  readonly needsChecksum: boolean;
  readonly gsoSize: number;
  readonly gsoType: Frame['gsoType'];
}

export interface RecordingOutletOptions {
  readonly mtu?: number;
  readonly abilities?: Partial<OutletAbilities>;
  /** Frames that it takes before it is full. */
  readonly capacity?: number;
}

const SLOT_BYTES = 65_600;
const SLOTS = 64;

/** An outlet that keeps a copy of every frame. It is full after `capacity` frames, until `take` empties it. */
export class RecordingOutlet implements Outlet {
  readonly abilities: OutletAbilities;
  readonly mtu: number;
  /** How many times reservations were given back unused. */
  cancelled = 0;
  capacity: number;
  #frames: RecordedFrame[] = [];
  readonly #arena: Arena;
  readonly #at: number;
  #reserved: number[] = [];
  #next = 0;

  constructor(arena: Arena, options: RecordingOutletOptions = {}) {
    this.#arena = arena;
    this.mtu = options.mtu ?? 1500;
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.abilities = {
      maxFrameBytes: this.mtu + 18,
      tcpSegmentation: false,
      udpSegmentation: false,
      checksum: false,
      ...options.abilities,
    };
    this.#at = arena.allocate(SLOTS * SLOT_BYTES);
    if (this.#at < 0) throw new Error('the arena of this test is too small for an outlet');
  }

  /** What came since the last call, oldest first. */
  take(): RecordedFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  get count(): number {
    return this.#frames.length;
  }

  reserve(length: number): number {
    if (length > SLOT_BYTES) throw new RangeError(`reserve(${length})`);
    if (this.#frames.length + this.#reserved.length >= this.capacity || this.#reserved.length >= SLOTS) return -1;
    const at = this.#at + (this.#next++ % SLOTS) * SLOT_BYTES;
    this.#reserved.push(at);
    return at;
  }

  stride(): number {
    return SLOT_BYTES;
  }

  commit(frame: Frame): void {
    const expected = this.#reserved.shift();
    if (frame.at !== expected) throw new Error(`commit at ${frame.at}, reserved was ${expected}`);
    const { needsChecksum, gsoSize, gsoType } = frame;
    const bytes = this.#arena.bytes.slice(frame.at, frame.at + frame.length);
    this.#frames.push({ bytes, needsChecksum, gsoSize, gsoType });
  }

  cancel(): void {
    if (this.#reserved.length > 0) this.cancelled++;
    this.#reserved = [];
  }

  whenWritable(_waiter: OutletWaiter): void {}
}
