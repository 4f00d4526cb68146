import type { DatagramBatch } from '../../env/host.ts';
import type { KernelMemory } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { controlSpace, MmsgTable } from './mmsg-table.ts';
import { UDP_SEGMENT } from '../socket-options.ts';

/** Fewer are not worth a call of their own. */
const MIN_SEGMENTS = 4;
/** Linux's UDP_MAX_SEGMENTS was 64 before it was 128. */
export const MAX_SEGMENTS = 64;
/** A super-datagram is one IPv4 packet to the kernel. */
export const MAX_SEGMENTED_BYTES = 65_507;
/** Larger datagrams would be fragmented on an ordinary link, and the kernel segments only what fits. */
export const MAX_SEGMENT_BYTES = 1_472;
/** UDP_SEGMENT's u16. */
export const SEGMENT_DATA_BYTES = 2;
export const SEGMENT_CONTROL_BYTES: number = controlSpace(SEGMENT_DATA_BYTES);

/**
 * How many datagrams from item `first` on (before `end`) the kernel can take as one (UDP_SEGMENT): to one place, of one
 * length but for a shorter last one. 1 when it is not worth it.
 */
export function segmentsFrom(batch: DatagramBatch, first: number, end: number): number {
  const length = batch.length[first] as number;
  if (length < 1 || length > MAX_SEGMENT_BYTES) return 1;
  const last = Math.min(end, first + Math.min(MAX_SEGMENTS, Math.floor(MAX_SEGMENTED_BYTES / length)));
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
 * what costs a socket is the way through the stack, not the bytes. Each segment stays a datagram of its own to
 * everyone.
 */
export class UdpSegments {
  readonly #memory: KernelMemory;
  readonly #table: MmsgTable;
  /** The place of the length of each segment. */
  readonly #segmentBytes: number;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#table = new MmsgTable(memory, { messages: 1, pieces: MAX_SEGMENTS, controlBytes: SEGMENT_CONTROL_BYTES });
    this.#table.setControlBytes(0, SEGMENT_CONTROL_BYTES);
    this.#segmentBytes = this.#table.writeControl(this.#table.control(0), UDP_SEGMENT, SEGMENT_DATA_BYTES);
  }

  /**
   * Items [first, first + count) as `segmentsFrom` counted them; negative with errno set when the kernel does not take
   * them.
   */
  send(fd: number, batch: DatagramBatch, first: number, count: number): number {
    const memory = this.#memory;
    const table = this.#table;
    const name = table.name(0);
    table.setNameBytes(0, memory.writeAddress(name, batch.address[first] as number, batch.port[first] as number));
    table.setPieceCount(0, count);
    memory.setU32(this.#segmentBytes, batch.length[first] as number);
    for (let i = 0; i < count; i++) {
      table.setPiece(0, i, batch.at[first + i] as number, batch.length[first + i] as number);
    }
    return libc.sendmsg(fd, table.address(0), libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
  }
}
