/**
 * The TCP connections of one engine, and the two ways in which they die without the kernel saying so in time.
 *
 * - Their local address was lost (`NetworkWatch` says when): the flow ends with ENETDOWN. A dial ends with
 *   EADDRNOTAVAIL, which the guest hears nothing of: its own next SYN dials anew, from an address that there is.
 * - Their peer answers nothing any more (route gone, VPN down): without bytes in flight keepalive notices; with them
 *   the kernel would repeat for 15 minutes and more. TCP_USER_TIMEOUT is no help: it also cuts a peer with a closed
 *   window that answers every probe (measured on Linux 6.18; tcp_probe_timer counts from the first probe, not from the
 *   last answer), and a slow reader must never be cut. So every connection is looked at once in a quarter of that time,
 *   and it ends with ETIMEDOUT when nothing was heard for `keepAliveSeconds` and so many tries in a row stayed without
 *   answer.
 *
 * Closed streams that still have bytes to deliver hold a descriptor and no flow, so they are bounded here.
 *
 * The looking is spread over the time in slices: with 65,536 connections about 2,200 system calls a second.
 */
import { Timer } from '../../turn/timers.ts';
import * as libc from './libc.ts';
import { Errno } from '../errno.ts';
import { setKeepAlive } from '../socket-options.ts';
import type { Counters } from '../../env/counters.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { Poller } from './poller.ts';

/** Unanswered tries (retransmissions, window or keepalive probes) after which a connection is dead. */
const MAX_UNANSWERED = 4;
/** Slices are at most so long. */
const SLICE_MS = 1000;

/** struct tcp_info: tries since the last answer, and the milliseconds since any acknowledgement came. */
const STATE = 0;
const RETRANSMITS = 2;
const PROBES = 3;
const LAST_ACK_RECEIVED = 56;

/**
 * Closed streams that keep their descriptors for their last bytes: a third of what is set aside for Slipway itself
 * (config/limits).
 */
const MAX_LINGERING = 256;

/** What a stream shows of itself here. */
export interface WatchedStream {
  readonly fd: number;
  readonly connecting: boolean;
  /** Among all of them; −1: not there. */
  place: number;
  /** Keepalive is on. */
  probed: boolean;
  /** Ends it with that errno; false where it has ended. */
  cut(number: number): boolean;
  /** Gives up the bytes that a closed one still has to deliver. */
  letGo(): void;
}

interface Context {
  readonly memory: KernelMemory;
  readonly poller: Poller;
  readonly counters: Counters;
  /** As `EpollContext` has it. */
  readonly keepAliveSeconds: number;
}

export class OpenStreams {
  readonly #context: Context;
  /** Each at its `place`, without gaps; bounded by the flows, and those by configuration. */
  readonly #streams: WatchedStream[] = [];
  /** Oldest first; each is among `#streams` too. */
  readonly #lingering = new Set<WatchedStream>();
  readonly #roundMs: number;
  readonly #slice: Timer;
  /**
   * The place behind the next one to be looked at: a round goes from the last to the first, past whom new ones come.
   */
  #next = 0;

  constructor(context: Context) {
    this.#context = context;
    this.#roundMs = (context.keepAliveSeconds * 1000) / 4;
    this.#slice = new Timer(() => this.#lookAtSlice());
  }

  add(stream: WatchedStream): void {
    stream.place = this.#streams.length;
    this.#streams.push(stream);
    if (!this.#slice.armed && this.#roundMs > 0) this.#armSlice();
  }

  /**
   * A closed stream waits for its last bytes. Of too many, the one that has waited longest leaves that to the kernel.
   */
  lingers(stream: WatchedStream): void {
    this.#lingering.add(stream);
    if (this.#lingering.size <= MAX_LINGERING) return;
    this.#context.counters.add('host-linger-cut');
    for (const oldest of this.#lingering) {
      oldest.letGo();
      return;
    }
  }

  delete(stream: WatchedStream): void {
    this.#lingering.delete(stream);
    const last = this.#streams[this.#streams.length - 1];
    if (stream.place < 0 || last === undefined) return;
    // The last one takes the place; if it was looked at already in this round, it may be once more.
    this.#streams[stream.place] = last;
    last.place = stream.place;
    stream.place = -1;
    this.#streams.pop();
  }

  /** Ends every connection from one of these addresses, or only those that are still being dialled. */
  loseAddresses(lost: ReadonlySet<number>, which: 'all' | 'dials'): void {
    // `cut` may end streams: what moves into a place then comes from behind, where all are done.
    for (let i = this.#streams.length - 1; i >= 0; i--) {
      const stream = this.#streams[i];
      if (stream === undefined || (which === 'dials' && !stream.connecting)) continue;
      if (!lost.has(this.#context.memory.localAddress(stream.fd))) continue;
      if (stream.cut(Errno.ENETDOWN)) this.#context.counters.add('host-address-lost');
    }
  }

  #armSlice(): void {
    this.#context.poller.timers.arm(this.#slice, Math.min(SLICE_MS, this.#roundMs));
  }

  #lookAtSlice(): void {
    const slices = Math.max(1, this.#roundMs / SLICE_MS);
    if (this.#next <= 0 || this.#next > this.#streams.length) this.#next = this.#streams.length;
    for (let left = Math.ceil(this.#streams.length / slices); left > 0 && this.#next > 0; left--) {
      const stream = this.#streams[--this.#next];
      if (stream === undefined) continue;
      this.#keepAlive(stream);
      if (this.#isSilent(stream.fd) && stream.cut(Errno.ETIMEDOUT)) this.#context.counters.add('host-peer-silent');
    }
    if (this.#streams.length > 0) this.#armSlice();
  }

  /** Keepalive is switched on at the first look: a connection that is over by then need not pay for it. */
  #keepAlive(stream: WatchedStream): void {
    if (stream.probed) return;
    stream.probed = true;
    const { memory, keepAliveSeconds } = this.#context;
    setKeepAlive(memory, stream.fd, keepAliveSeconds, MAX_UNANSWERED);
  }

  /** Dials have time-outs of the kernel. */
  #isSilent(fd: number): boolean {
    const { memory, keepAliveSeconds } = this.#context;
    const info = memory.tcpInfo(fd);
    if (info < 0) return false;
    const { view } = memory.arena;
    if (view.getUint8(info + STATE) === libc.TCP_SYN_SENT) return false;
    const unanswered = view.getUint8(info + RETRANSMITS) + view.getUint8(info + PROBES);
    return unanswered >= MAX_UNANSWERED && view.getUint32(info + LAST_ACK_RECEIVED, true) >= keepAliveSeconds * 1000;
  }
}
