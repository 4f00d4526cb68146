import { drainEnd, type Intake, MAX_DRAINS } from './intake.ts';
import { type KernelMemory, SCRATCH_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno } from '../errno.ts';

/** Most streams carry little: 16 KiB to begin with, doubled while the guest lags behind. */
const FIRST_BYTES = 16 * 1024;
/** More than this a stream does not retain: it stops reading, and the kernel's window holds the peer back. */
const MAX_BYTES = 256 * 1024;
const NOTHING = new Uint8Array(new ArrayBuffer(0));

/**
 * Retention for kernels that cannot peek at an offset: what is read stays in a ring until it is consumed. Its memory is
 * the stream's own, so it goes with it. An end or an error is kept behind the bytes that came before it.
 */
export class RetentionRing implements Intake {
  readonly shortIsAll: boolean = false;
  readonly #memory: KernelMemory;
  readonly #fd: number;
  /** Nothing before the first byte comes: an idle stream costs no memory. */
  #bytes: Uint8Array<ArrayBuffer> = NOTHING;
  #address = 0;
  #first = 0;
  #retained = 0;
  /** 0: the stream ended; below: an errno, negated; undefined: it goes on. */
  #ending: number | undefined;
  /** Full when last asked for more: consuming makes room that no event announces. */
  #full = false;

  constructor(memory: KernelMemory, fd: number) {
    this.#memory = memory;
    this.#fd = fd;
  }

  peek(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const wanted = slotBytes * count;
    if (this.#retained < offset + wanted) this.#read(offset + wanted);
    const available = Math.min(wanted, this.#retained - offset);
    if (available <= 0) return this.#ending ?? -Errno.EAGAIN;
    for (let done = 0, slot = at; done < available; done += slotBytes, slot += stride) {
      this.#copy(offset + done, slot, Math.min(slotBytes, available - done));
    }
    return available;
  }

  consume(length: number): boolean {
    const taken = Math.min(length, this.#retained);
    if (taken > 0) this.#first = (this.#first + taken) % this.#bytes.length;
    this.#retained -= taken;
    const owed = this.#full;
    this.#full = false;
    return owed;
  }

  drain(): number {
    this.#retained = 0;
    const { base, scratch } = this.#memory;
    for (let i = 0; i < MAX_DRAINS; i++) {
      const taken = libc.recv(this.#fd, base + scratch, SCRATCH_BYTES, libc.MSG_DONTWAIT);
      if (taken <= 0) return drainEnd(taken);
    }
    return 0;
  }

  /** Reads until `goal` bytes are retained, nothing waits, or the ring is as full as it may be. */
  #read(goal: number): void {
    while (this.#ending === undefined && this.#retained < goal) {
      if (this.#retained === this.#bytes.length && !this.#grow()) {
        this.#full = true;
        return;
      }
      const capacity = this.#bytes.length;
      const write = (this.#first + this.#retained) % capacity;
      const room = Math.min(capacity - this.#retained, capacity - write);
      const taken = libc.recv(this.#fd, this.#address + write, room, libc.MSG_DONTWAIT);
      if (taken > 0) {
        this.#retained += taken;
        continue;
      }
      const number = taken === 0 ? 0 : libc.errno();
      if (number !== Errno.EAGAIN) this.#ending = 0 - number;
      return;
    }
  }

  #grow(): boolean {
    const old = this.#bytes;
    if (old.length >= MAX_BYTES) return false;
    const bytes = new Uint8Array(new ArrayBuffer(Math.max(FIRST_BYTES, old.length * 2)));
    bytes.set(old.subarray(this.#first));
    bytes.set(old.subarray(0, this.#first), old.length - this.#first);
    this.#bytes = bytes;
    this.#address = libc.addressOf(bytes.buffer);
    this.#first = 0;
    return true;
  }

  #copy(offset: number, at: number, length: number): void {
    const bytes = this.#bytes;
    const from = (this.#first + offset) % bytes.length;
    const head = Math.min(length, bytes.length - from);
    this.#memory.arena.bytes.set(bytes.subarray(from, from + head), at);
    if (head < length) this.#memory.arena.bytes.set(bytes.subarray(0, length - head), at + head);
  }
}
