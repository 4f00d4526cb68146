import assert from 'node:assert/strict';
import type { Arena } from '../../src/env/arena.ts';
import type { Frame } from '../../src/link/frame.ts';
import type { Outlet, OutletAbilities, OutletWaiter } from '../../src/link/outlet.ts';

/** A frame as it left, with its offload facts. */
export interface SentFrame {
  readonly bytes: Uint8Array;
  readonly needsChecksum: boolean;
  readonly gsoSize: number;
}

export interface GuestOutletOptions {
  readonly mtu?: number;
  readonly abilities?: Partial<OutletAbilities>;
  /** Frames that it takes before it is full. */
  readonly capacity?: number;
}

const SLOT_BYTES = 65_600;
const SLOTS = 64;

/**
 * An outlet that keeps a copy of every frame, is full when the test wants, and tells its waiters when the test says so.
 */
export class GuestOutlet implements Outlet {
  readonly abilities: OutletAbilities;
  readonly mtu: number;
  readonly waiters: Set<OutletWaiter> = new Set();
  /** Frames that it still takes. */
  capacity: number;
  readonly #arena: Arena;
  readonly #at: number;
  #reserved: number[] = [];
  #frames: SentFrame[] = [];

  constructor(arena: Arena, options: GuestOutletOptions = {}) {
    this.#arena = arena;
    this.mtu = options.mtu ?? 1500;
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    const plain = { tcpSegmentation: false, udpSegmentation: false, checksum: false };
    this.abilities = { maxFrameBytes: this.mtu + 14, ...plain, ...options.abilities };
    this.#at = arena.allocate(SLOTS * SLOT_BYTES);
    if (this.#at < 0) throw new Error('the arena of this test is too small for an outlet');
  }

  /** What came since the last call, oldest first. */
  take(): SentFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  /** Room for `capacity` more frames. */
  reopen(capacity = Number.POSITIVE_INFINITY): void {
    this.capacity = capacity;
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const waiter of waiters) waiter.outletWritable();
  }

  reserve(length: number): number {
    assert.ok(length <= this.abilities.maxFrameBytes, `a frame of ${length} bytes`);
    if (this.#reserved.length >= Math.min(this.capacity, SLOTS)) return -1;
    const at = this.#at + this.#reserved.length * SLOT_BYTES;
    this.#reserved.push(at);
    return at;
  }

  stride(): number {
    return SLOT_BYTES;
  }

  commit(frame: Frame): void {
    assert.equal(frame.at, this.#reserved[0], 'commits in the order of reservation');
    // The slots stay where they are until the series ends, as in a real outlet.
    this.#reserved = this.#reserved.slice(1);
    this.capacity--;
    const { needsChecksum, gsoSize } = frame;
    this.#frames.push({ bytes: this.#arena.bytes.slice(frame.at, frame.at + frame.length), needsChecksum, gsoSize });
  }

  cancel(): void {
    this.#reserved = [];
  }

  whenWritable(waiter: OutletWaiter): void {
    this.waiters.add(waiter);
  }
}
