import type { DatagramBatch } from '../../env/host.ts';
import type { KernelMemory } from './kernel-memory.ts';
import { MSGHDR_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';

/** Fewer are not worth a call of their own. */
const MIN_SEGMENTS = 4;
/** Linux's UDP_MAX_SEGMENTS was 64 before it was 128. */
const MAX_SEGMENTS = 64;
/** A super-datagram is one IPv4 packet to the kernel. */
const MAX_BYTES = 65_507;
/** Larger datagrams would be fragmented on an ordinary link, and the kernel segments only what fits. */
const MAX_SEGMENT_BYTES = 1_472;
/** struct cmsghdr with a u16 behind it, padded (CMSG_SPACE): length, level, type, data at 16. */
const CONTROL_BYTES = 24;
const CONTROL_USED = 18;

/**
 * How many datagrams from item `first` on (before `end`) the kernel can take as one (UDP_SEGMENT): to one place, of one
 * length but for a shorter last one. 1 when it is not worth it.
 */
export function segmentsFrom(batch: DatagramBatch, first: number, end: number): number {
  const length = batch.length[first] as number;
  if (length < 1 || length > MAX_SEGMENT_BYTES) return 1;
  const last = Math.min(end, first + Math.min(MAX_SEGMENTS, Math.floor(MAX_BYTES / length)));
  let item = first + 1;
  for (; item < last; item++) {
    const next = batch.length[item] as number;
    if (next > length || next < 1) break;
    if (batch.address[item] !== batch.address[first] || batch.port[item] !== batch.port[first]) break;
    if (next < length) {
      item++;
      break;
    }
  }
  return item - first < MIN_SEGMENTS ? 1 : item - first;
}

/**
 * Sends runs of equal datagrams as one super-datagram that crosses the host's stack once and is cut where it leaves it:
 * what costs a socket is the way through the stack, not the bytes. Each segment stays a datagram of its own to everyone.
 */
export class UdpSegments {
  readonly #memory: KernelMemory;
  readonly #message: number;
  readonly #name: number;
  readonly #control: number;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#message = memory.allocate(MSGHDR_BYTES);
    this.#name = memory.allocate(32);
    this.#control = memory.allocate(CONTROL_BYTES);
    memory.setPointer(this.#message, memory.base + this.#name);
    memory.setPointer(this.#message + 16, memory.base + memory.iovecs);
    memory.setPointer(this.#message + 32, memory.base + this.#control);
    memory.setPointer(this.#message + 40, CONTROL_BYTES);
    memory.setPointer(this.#control, CONTROL_USED);
    memory.setU32(this.#control + 8, libc.SOL_UDP);
    memory.setU32(this.#control + 12, libc.UDP_SEGMENT);
  }

  /** Items [first, first + count) as `segmentsFrom` counted them; negative with errno set when the kernel does not take them. */
  send(fd: number, batch: DatagramBatch, first: number, count: number): number {
    const memory = this.#memory;
    const nameBytes = memory.writeAddress(this.#name, batch.address[first] as number, batch.port[first] as number);
    memory.setU32(this.#message + 8, nameBytes);
    memory.setU32(this.#message + 24, count);
    memory.setU32(this.#control + 16, batch.length[first] as number);
    for (let i = 0; i < count; i++) {
      memory.setIovec(memory.iovecs, i, batch.at[first + i] as number, batch.length[first + i] as number);
    }
    return libc.sendmsg(fd, memory.base + this.#message, libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
  }
}
