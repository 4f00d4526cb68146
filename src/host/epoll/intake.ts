import { type KernelMemory, SCRATCH_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno } from '../errno.ts';
import { SO_PEEK_OFF } from '../socket-options.ts';

/** One read takes all that waits; a peer that sends on while it should have ended is not followed for ever. */
export const MAX_DRAINS = 64;

/** Where a stream's received bytes wait until they are consumed. */
export interface Intake {
  /** A peek that falls short took all that waited (a ring of its own may be full instead). */
  readonly shortIsAll: boolean;
  /**
   * As `HostStream.peekInto`, for more than 0 bytes: the bytes copied, 0 at the end of the stream, or an errno,
   * negated.
   */
  peek(offset: number, at: number, slotBytes: number, stride: number, count: number): number;
  /** Drops the oldest bytes; true when more can be peeked now that no event will announce. */
  consume(length: number): boolean;
  /**
   * Drops all that waits, so that close() ends gracefully (unread bytes would make it a reset). Returns the errno that
   * it took from the connection, 0 for none.
   */
  drain(): number;
}

/**
 * The kernel's own receive queue as retention buffer. Order: consume, set the offset, peek. The kernel moves its offset
 * itself (on with a peek, back with a read), so it is set only where its arithmetic and ours differ: after a rewind.
 */
export class KernelQueue implements Intake {
  readonly shortIsAll: boolean = true;
  readonly #memory: KernelMemory;
  readonly #fd: number;
  readonly #unix: boolean;
  /** The kernel's SO_PEEK_OFF; −1 is its "off". */
  #kernelOffset = -1;

  constructor(memory: KernelMemory, fd: number, unix: boolean) {
    this.#memory = memory;
    this.#fd = fd;
    this.#unix = unix;
  }

  peek(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const memory = this.#memory;
    // A peek with the offset off looks at the first byte: what most short connections need, at no call.
    const atFront = offset === 0 && this.#kernelOffset < 0;
    if (!atFront && offset !== this.#kernelOffset) {
      memory.setOption(this.#fd, SO_PEEK_OFF, offset);
      this.#kernelOffset = offset;
    }
    memory.setSlots(at, slotBytes, stride, count);
    const copied = libc.recvmsg(this.#fd, memory.gather(count), libc.MSG_PEEK | libc.MSG_DONTWAIT);
    if (copied < 0) return -libc.errno();
    if (this.#kernelOffset >= 0) this.#kernelOffset += copied;
    return copied;
  }

  consume(length: number): boolean {
    let left = length;
    while (left > 0) {
      // A read stops early at an urgent mark; AF_UNIX has no read into nowhere (EFAULT).
      const taken = this.#unix ? this.#readAway(left) : this.#truncate(left);
      if (taken <= 0) break;
      left -= taken;
      if (this.#kernelOffset >= 0) this.#kernelOffset = Math.max(0, this.#kernelOffset - taken);
    }
    return false;
  }

  drain(): number {
    for (let i = 0; i < MAX_DRAINS; i++) {
      const taken = this.#truncate(0x7ffff000);
      if (taken <= 0) return drainEnd(taken);
    }
    return 0;
  }

  #truncate(length: number): number {
    return libc.recv(this.#fd, 0, length, libc.MSG_TRUNC | libc.MSG_DONTWAIT);
  }

  #readAway(length: number): number {
    const { base, scratch } = this.#memory;
    return libc.recv(this.#fd, base + scratch, Math.min(length, SCRATCH_BYTES), libc.MSG_DONTWAIT);
  }
}

/** What the read that ended a drain says of the connection: an errno, 0 when nothing is wrong. */
export function drainEnd(taken: number): number {
  const number = taken < 0 ? libc.errno() : 0;
  return number === Errno.EAGAIN ? 0 : number;
}

/** Whether this kernel peeks at an offset on a stream socket of the family (TCP: Linux 6.9 and later). */
export function canPeekAtOffset(memory: KernelMemory, family: number): boolean {
  const fd = libc.socket(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  if (fd < 0) return false;
  const can = memory.setOption(fd, SO_PEEK_OFF, 0);
  libc.close(fd);
  return can;
}
