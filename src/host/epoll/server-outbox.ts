/**
 * Answers of UDP servers on their way out: those of one turn leave together, in one sendmmsg for each socket, and
 * datagrams of one length to one client as one super-datagram (UDP_SEGMENT), since what costs is the way through the
 * host's stack. The bytes are copied, so that whoever sends may reuse them. What the host has no room for is dropped
 * and counted.
 */
import type { Counters } from '../../env/counters.ts';
import type { DatagramClients } from '../datagram-clients.ts';
import type { EpollContext } from './context.ts';
import { type KernelMemory, SOCKADDR_IN_BYTES, SOCKADDR_IN6_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno } from '../errno.ts';
import { controlSpace, MAX_MESSAGES, MmsgTable } from './mmsg-table.ts';
import { PACKET_INFO, PACKET_INFO6, UDP_SEGMENT } from '../socket-options.ts';
import type { Poller, PollHandler } from './poller.ts';
import {
  ADDRESS_WORDS,
  CLIENT_WORD,
  IN_PKTINFO_BYTES,
  IN6_PKTINFO_BYTES,
  LOCAL_WORD,
  PORT_WORD,
  ZONE_WORD,
} from './server-messages.ts';
import {
  MAX_SEGMENT_BYTES,
  MAX_SEGMENTED_BYTES,
  MAX_SEGMENTS,
  SEGMENT_CONTROL_BYTES,
  SEGMENT_DATA_BYTES,
} from './udp-segments.ts';

/** Four of the longest datagrams; also what one turn's quota of frames brings of ordinary ones. */
const STAGING_BYTES = 256 * 1024;
/** Where to send from, and the length of segments. */
const CONTROL_BYTES = controlSpace(IN6_PKTINFO_BYTES) + SEGMENT_CONTROL_BYTES;

export class ServerOutbox implements PollHandler {
  readonly #memory: KernelMemory;
  readonly #poller: Poller;
  readonly #counters: Counters;
  readonly #table: MmsgTable;
  readonly #staging: number;
  /** Of each message: its payload, the length of its datagrams but for the last, how many, and the bytes of pktinfo. */
  readonly #at = new Int32Array(MAX_MESSAGES);
  readonly #length = new Int32Array(MAX_MESSAGES);
  readonly #segment = new Int32Array(MAX_MESSAGES);
  readonly #segments = new Int32Array(MAX_MESSAGES);
  readonly #local = new Int32Array(MAX_MESSAGES);
  #count = 0;
  #used = 0;
  #fd = -1;
  /** Whose datagram the last message is, if another may follow in it; else −1. */
  #open = -1;
  #owed = false;
  /** Cleared for good once the kernel or the way did not take a super-datagram. */
  #canSegment = true;

  constructor(context: Pick<EpollContext, 'memory' | 'poller' | 'counters'>) {
    const { memory } = context;
    this.#memory = memory;
    this.#poller = context.poller;
    this.#counters = context.counters;
    this.#table = new MmsgTable(memory, { messages: MAX_MESSAGES, pieces: 1, controlBytes: CONTROL_BYTES });
    this.#staging = memory.allocate(STAGING_BYTES);
  }

  /**
   * Takes [payload, payload + length) for the client `handle` of `fd`, whose key stands at `key` in `clients`; at most
   * 64 KiB.
   */
  add(
    fd: number,
    inet6: boolean,
    clients: DatagramClients,
    handle: number,
    key: number,
    payload: number,
    length: number,
  ): void {
    if ((this.#count > 0 && fd !== this.#fd) || length > STAGING_BYTES - this.#used) this.flush();
    if (!this.#fits(handle, length)) {
      if (this.#count === MAX_MESSAGES) this.flush();
      this.#begin(inet6, clients.words, key);
      this.#fd = fd;
    }
    const last = this.#count - 1;
    const { bytes } = this.#memory.arena;
    bytes.copyWithin(this.#staging + this.#used, payload, payload + length);
    this.#used += length;
    this.#length[last] = (this.#length[last] as number) + length;
    if (++this.#segments[last]! === 1) this.#segment[last] = length;
    const full = length === this.#segment[last] && length > 0 && length <= MAX_SEGMENT_BYTES;
    this.#open = full && this.#canSegment ? handle : -1;
    if (this.#owed) return;
    this.#owed = true;
    this.#poller.owe(this);
  }

  /** The turn is over. */
  ready(): void {
    this.#owed = false;
    this.flush();
  }

  /** Sends what waits; before its socket is closed. */
  flush(): void {
    const count = this.#count;
    for (let i = 0; i < count; i++) this.#finish(i, this.#at[i] as number, this.#length[i] as number);
    for (let next = 0; next < count; ) {
      const sent = libc.sendmmsg(
        this.#fd,
        this.#table.address(next),
        count - next,
        libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT,
      );
      if (sent > 0) {
        next += sent;
        continue;
      }
      const number = libc.errno();
      if (number === Errno.EAGAIN || number === Errno.ENOBUFS) {
        for (; next < count; next++) this.#lose(this.#segments[next] as number);
      } else this.#sendApart(next++);
    }
    this.#count = 0;
    this.#used = 0;
    this.#open = -1;
  }

  /** Whether the next datagram can go with the last one. */
  #fits(handle: number, length: number): boolean {
    if (this.#open !== handle || handle < 0 || length === 0) return false;
    const last = this.#count - 1;
    if (length > (this.#segment[last] as number) || (this.#segments[last] as number) === MAX_SEGMENTS) return false;
    return (this.#length[last] as number) + length <= MAX_SEGMENTED_BYTES;
  }

  #begin(inet6: boolean, words: Int32Array, key: number): void {
    const i = this.#count++;
    this.#at[i] = this.#staging + this.#used;
    this.#length[i] = 0;
    this.#segments[i] = 0;
    this.#table.setNameBytes(i, this.#writeName(i, inet6, words, key));
    this.#local[i] = this.#writeLocal(i, inet6, words, key);
  }

  /** Points message `i` at its payload and closes its control data. */
  #finish(i: number, at: number, length: number): void {
    const table = this.#table;
    const local = this.#local[i] as number;
    table.setPiece(i, 0, at, length);
    if ((this.#segments[i] as number) === 1) {
      table.setControlBytes(i, local);
      return;
    }
    const data = table.writeControl(table.control(i) + local, UDP_SEGMENT, SEGMENT_DATA_BYTES);
    this.#memory.setU32(data, this.#segment[i] as number);
    table.setControlBytes(i, local + SEGMENT_CONTROL_BYTES);
  }

  /** Message `i` was refused: each of its datagrams by itself. */
  #sendApart(i: number): void {
    const [segments, segment] = [this.#segments[i] as number, this.#segment[i] as number];
    const end = (this.#at[i] as number) + (this.#length[i] as number);
    if (segments > 1) this.#canSegment = false;
    this.#segments[i] = 1;
    for (let n = 0, at = this.#at[i] as number; n < segments; n++, at += segment) {
      this.#finish(i, at, Math.min(segment, end - at));
      if (this.#send(i)) continue;
      // The address that was asked may be gone, or none to send from: the host chooses.
      this.#local[i] = 0;
      this.#table.setControlBytes(i, 0);
      if (!this.#send(i)) this.#lose(1);
    }
  }

  #send(i: number): boolean {
    const flags = libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT;
    return libc.sendmsg(this.#fd, this.#table.address(i), flags) >= 0;
  }

  #lose(datagrams: number): void {
    this.#counters.add('forward-datagram-unsent', datagrams);
  }

  #writeName(i: number, inet6: boolean, words: Int32Array, key: number): number {
    const memory = this.#memory;
    const name = this.#table.name(i);
    memory.setU32(name, inet6 ? libc.AF_INET6 : libc.AF_INET);
    memory.arena.view.setUint16(name + 2, words[key + PORT_WORD] as number);
    if (!inet6) {
      memory.setU32(name + 4, words[key + CLIENT_WORD] as number);
      return SOCKADDR_IN_BYTES;
    }
    memory.setU32(name + 4, 0);
    for (let n = 0; n < ADDRESS_WORDS; n++) memory.setU32(name + 8 + 4 * n, words[key + CLIENT_WORD + n] as number);
    memory.setU32(name + 24, words[key + ZONE_WORD] as number);
    return SOCKADDR_IN6_BYTES;
  }

  /** The control data that names the address to send from; returns its length, 0 when the host shall choose. */
  #writeLocal(i: number, inet6: boolean, words: Int32Array, key: number): number {
    const memory = this.#memory;
    let known = 0;
    for (let n = 0; n < ADDRESS_WORDS; n++) known |= words[key + LOCAL_WORD + n] as number;
    if (known === 0) return 0;
    const dataBytes = inet6 ? IN6_PKTINFO_BYTES : IN_PKTINFO_BYTES;
    const table = this.#table;
    const data = table.writeControl(table.control(i), inet6 ? PACKET_INFO6 : PACKET_INFO, dataBytes);
    // Interface 0: where the route leads. The address stands in front of it (IPv6) or behind it (IPv4).
    for (let at = 0; at < dataBytes; at += 4) memory.setU32(data + at, 0);
    if (!inet6) memory.setU32(data + 4, words[key + LOCAL_WORD] as number);
    else for (let n = 0; n < ADDRESS_WORDS; n++) memory.setU32(data + 4 * n, words[key + LOCAL_WORD + n] as number);
    return controlSpace(dataBytes);
  }
}
