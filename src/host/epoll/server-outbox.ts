/**
 * Answers of UDP servers on their way out: those of one turn leave together, in one sendmmsg for each socket, and datagrams of
 * one length to one client as one super-datagram (UDP_SEGMENT), since what costs is the way through the host's stack. The
 * bytes are copied, so that whoever sends may reuse them. What the host has no room for is dropped and counted.
 */
import type { Counters } from '../../env/counters.ts';
import type { ClientTable } from '../client-table.ts';
import type { EpollContext } from './context.ts';
import {
  IOVEC_BYTES,
  type KernelMemory,
  MMSGHDR_BYTES,
  SOCKADDR_IN_BYTES,
  SOCKADDR_IN6_BYTES,
} from './kernel-memory.ts';
import * as libc from './libc.ts';
import type { Poller, PollHandler } from './poller.ts';
import {
  ADDRESS_WORDS,
  CLIENT_WORD,
  CMSG_HEADER_BYTES,
  IN_PKTINFO_BYTES,
  IN6_PKTINFO_BYTES,
  LOCAL_WORD,
  PORT_WORD,
  ZONE_WORD,
} from './server-messages.ts';

const MAX_MESSAGES = 64;
/** Four of the longest datagrams; also what one turn's quota of frames brings of ordinary ones. */
const STAGING_BYTES = 256 * 1024;
const NAME_STRIDE = 32;
/** Room for in6_pktinfo (40) and a u16 (24), each with its header. */
const CONTROL_STRIDE = 64;
const SEGMENT_CONTROL_BYTES = 24;
const SEGMENT_CONTROL_USED = 18;
/** As of UdpSegments: what an old kernel, an IPv4 packet and an ordinary link take. */
const MAX_SEGMENTS = 64;
const MAX_SEGMENTS_BYTES = 65_507;
const MAX_SEGMENT_BYTES = 1_472;

export class ServerOutbox implements PollHandler {
  readonly #memory: KernelMemory;
  readonly #poller: Poller;
  readonly #counters: Counters;
  readonly #messages: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #iovecs: number;
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
    this.#messages = memory.allocate(MAX_MESSAGES * MMSGHDR_BYTES);
    this.#names = memory.allocate(MAX_MESSAGES * NAME_STRIDE);
    this.#controls = memory.allocate(MAX_MESSAGES * CONTROL_STRIDE);
    this.#iovecs = memory.allocate(MAX_MESSAGES * IOVEC_BYTES);
    this.#staging = memory.allocate(STAGING_BYTES);
    for (let i = 0; i < MAX_MESSAGES; i++) {
      const message = this.#message(i);
      memory.setPointer(message, memory.base + this.#name(i));
      memory.setPointer(message + 16, memory.base + this.#iovecs + i * IOVEC_BYTES);
      memory.setPointer(message + 24, 1);
      memory.setPointer(message + 32, memory.base + this.#control(i));
    }
  }

  /** Takes [payload, payload + length) for the client `handle` of `fd`, whose key stands at `key` in `clients`; at most 64 KiB. */
  add(
    fd: number,
    inet6: boolean,
    clients: ClientTable,
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
      const address = this.#memory.base + this.#message(next);
      const sent = libc.sendmmsg(this.#fd, address, count - next, libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
      if (sent > 0) {
        next += sent;
        continue;
      }
      const number = libc.errno();
      if (number === libc.EAGAIN || number === libc.ENOBUFS) {
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
    return (this.#length[last] as number) + length <= MAX_SEGMENTS_BYTES;
  }

  #begin(inet6: boolean, words: Int32Array, key: number): void {
    const i = this.#count++;
    this.#at[i] = this.#staging + this.#used;
    this.#length[i] = 0;
    this.#segments[i] = 0;
    this.#memory.setU32(this.#message(i) + 8, this.#writeName(i, inet6, words, key));
    this.#local[i] = this.#writeLocal(i, inet6, words, key);
  }

  /** Points message `i` at its payload and closes its control data. */
  #finish(i: number, at: number, length: number): void {
    const memory = this.#memory;
    const local = this.#local[i] as number;
    memory.setIovec(this.#iovecs, i, at, length);
    if ((this.#segments[i] as number) === 1) {
      memory.setU32(this.#message(i) + 40, local);
      return;
    }
    const control = this.#control(i) + local;
    memory.setPointer(control, SEGMENT_CONTROL_USED);
    memory.setU32(control + 8, libc.SOL_UDP);
    memory.setU32(control + 12, libc.UDP_SEGMENT);
    memory.setU32(control + 16, this.#segment[i] as number);
    memory.setU32(this.#message(i) + 40, local + SEGMENT_CONTROL_BYTES);
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
      this.#memory.setU32(this.#message(i) + 40, 0);
      if (!this.#send(i)) this.#lose(1);
    }
  }

  #send(i: number): boolean {
    const flags = libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT;
    return libc.sendmsg(this.#fd, this.#memory.base + this.#message(i), flags) >= 0;
  }

  #lose(datagrams: number): void {
    this.#counters.add('forward-datagram-unsent', datagrams);
  }

  #message(index: number): number {
    return this.#messages + index * MMSGHDR_BYTES;
  }

  #name(index: number): number {
    return this.#names + index * NAME_STRIDE;
  }

  #control(index: number): number {
    return this.#controls + index * CONTROL_STRIDE;
  }

  #writeName(i: number, inet6: boolean, words: Int32Array, key: number): number {
    const memory = this.#memory;
    const name = this.#name(i);
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
    const control = this.#control(i);
    const data = control + CMSG_HEADER_BYTES;
    let known = 0;
    for (let n = 0; n < ADDRESS_WORDS; n++) known |= words[key + LOCAL_WORD + n] as number;
    if (known === 0) return 0;
    const dataBytes = inet6 ? IN6_PKTINFO_BYTES : IN_PKTINFO_BYTES;
    memory.setPointer(control, CMSG_HEADER_BYTES + dataBytes);
    memory.setU32(control + 8, inet6 ? libc.SOL_IPV6 : libc.SOL_IP);
    memory.setU32(control + 12, inet6 ? libc.IPV6_PKTINFO : libc.IP_PKTINFO);
    // Interface 0: where the route leads. The address stands in front of it (IPv6) or behind it (IPv4).
    for (let at = 0; at < dataBytes; at += 4) memory.setU32(data + at, 0);
    if (!inet6) memory.setU32(data + 4, words[key + LOCAL_WORD] as number);
    else for (let n = 0; n < ADDRESS_WORDS; n++) memory.setU32(data + 4 * n, words[key + LOCAL_WORD + n] as number);
    return CMSG_HEADER_BYTES + ((dataBytes + 7) & ~7);
  }
}
