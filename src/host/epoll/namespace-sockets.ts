/**
 * Sees who listens in a guest's network namespace, by a sock_diag(7) socket that was made there, and connects to its
 * loopback by sockets that were made there (`SocketStock`).
 *
 * The kernel tells nobody when a socket begins to listen, so it is asked, again and again while somebody cares: one
 * question that brings all listeners, whatever number of ports is waited for. What looks cost spaces them, whatever the
 * guest opens. It is counted in the thread's own processor time: a busy computer makes no look dearer.
 *
 * A listener that a list of several parts left out is believed gone when the next look finds it neither: while one part
 * is fetched, sockets come and go.
 */
import type { GuestSockets, GuestSocketsWatcher, ListenState } from '../../env/guest-sockets.ts';
import type { HostAddress, HostErrorCode, HostStream, HostStreamHandler } from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import type { GuestSocketDescriptors } from '../namespace/namespace-guest.ts';
import type { EpollContext } from './context.ts';
import { dialFrom } from './dial.ts';
import { SCRATCH_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { isReached, ListenerList, loopbackOf } from './listener-list.ts';
import {
  LISTENERS_REQUEST_BYTES,
  type ListenersReader,
  readListeners,
  writeListenersRequest,
} from './sock-diag-messages.ts';
import { SocketStock } from './socket-stock.ts';

/** While a port is waited for, and while none is. */
const EAGER_MS = 25;
const CALM_MS = 100;
/** What looks take of a core is one part in so many: a hundredth, less what the process takes that waits for nobody. */
const SPACING = 150;
/** Of the last look in the average of what looks cost. */
const WEIGHT = 1 / 8;
/** A guest that makes looks dear hears later, but it hears. */
const LONGEST_MS = 1_000;
/** 'nobody' is said only of a look that is no older, or, where looks are dear, than twenty of them take. */
const FRESH_MS = 5;
const FRESH_LOOKS = 20;
/** The wake for a look takes less: what the thread does besides in that time is not the look's cost. */
const MAX_WAKE_MS = 1;
/** Parts of one list, of up to 32 KiB each; more hold more listeners than are kept. */
const MAX_PARTS = 64;

export class NamespaceSockets implements GuestSockets {
  readonly #context: EpollContext;
  readonly #table: number;
  readonly #stock: SocketStock;
  readonly #watchers = new Set<GuestSocketsWatcher>();
  readonly #next: Timer = new Timer(() => this.#lookAgain());
  readonly #reader: ListenersReader;
  /** As the last look found them, and what it is compared with. */
  #list = new ListenerList();
  #before = new ListenerList();
  #byPort: ReadonlyMap<number, readonly HostAddress[]> = new Map();
  /** The last look found out. */
  #known = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** What a look takes of a processor, on the average; and with the wake for it. */
  #lookMs = 0;
  #costMs = 0;
  /** What this thread had used of it, and how often it had waited, as the last look began. */
  #begunMs = 0;
  #waits = Number.NEGATIVE_INFINITY;
  /** A watcher was told that its ports are deaf: what it waits for is seen soon. */
  #awaited = false;
  /** Watchers do not know yet. */
  #news = false;
  /** What was seen is completed by the look before. */
  #patched = false;
  /** Set by the end of a list. */
  #made: boolean | undefined;
  /** A list is under way that was not read to its end. */
  #asked = false;
  #closed = false;

  /** Owns both descriptors. */
  constructor(context: EpollContext, { table, source }: GuestSocketDescriptors) {
    this.#context = context;
    this.#table = table;
    context.descriptors.record(table, 'other');
    context.descriptors.record(source, 'other');
    this.#stock = new SocketStock(context, source);
    this.#reader = {
      listener: (address, port) => this.#list.add(address, port),
      listed: (made) => {
        this.#made = made;
      },
    };
  }

  tcp(address: number, port: number): ListenState {
    const state = this.#stateOf(address, port);
    if (state === 'listens' || state === 'loopback' || this.#isFresh) return state;
    this.#look();
    // Watchers hear soon, not now.
    if (this.#news && this.#watchers.size > 0) this.#context.poller.timers.arm(this.#next, 0);
    return this.#stateOf(address, port);
  }

  deaf(address: number, first: number, count: number): boolean {
    const deaf = this.#isDeaf(address, first, count);
    if (deaf) this.#awaited = true;
    return deaf;
  }

  watch(watcher: GuestSocketsWatcher): void {
    if (this.#closed) return;
    this.#watchers.add(watcher);
    if (!this.#next.armed) this.#context.poller.timers.arm(this.#next, EAGER_MS);
  }

  unwatch(watcher: GuestSocketsWatcher): void {
    if (!this.#watchers.delete(watcher)) return;
    if (this.#watchers.size === 0) this.#context.poller.timers.cancel(this.#next);
    // It may have been the last that waited: the others say so when they are asked.
    if (this.#awaited) this.#news = true;
  }

  dialLoopback(port: number, handler: HostStreamHandler, again: () => void): HostStream | HostErrorCode | undefined {
    const address = loopbackOf(this.#byPort.get(port) ?? []);
    if (address === undefined || this.#closed) return 'ECONNREFUSED';
    const fd = this.#stock.take();
    if (fd >= 0) return dialFrom(this.#context, fd, address, port, handler);
    this.#stock.whenFilled(again);
    return undefined;
  }

  /** The guest is gone: closes what was made in its network, or that network would live on. */
  close(): void {
    this.#closed = true;
    this.#watchers.clear();
    this.#context.poller.timers.cancel(this.#next);
    this.#context.poller.closeDescriptor(this.#table);
    this.#known = false;
    this.#stock.close();
  }

  /** Looks are as frequent as they get. */
  get eager(): boolean {
    return this.#awaited;
  }

  get #isFresh(): boolean {
    return performance.now() - this.#lookedMs < Math.max(FRESH_MS, this.#lookMs * FRESH_LOOKS);
  }

  #stateOf(address: number, port: number): ListenState {
    if (!this.#known) return 'unknown';
    const listeners = this.#byPort.get(port);
    if (listeners !== undefined) {
      if (isReached(listeners, address)) return 'listens';
      if (loopbackOf(listeners) !== undefined) return 'loopback';
    }
    return this.#list.cut ? 'unknown' : 'nobody';
  }

  #isDeaf(address: number, first: number, count: number): boolean {
    // A look, if one is due, is had for the first of them.
    if (this.tcp(address, first) !== 'nobody') return false;
    if (count <= this.#byPort.size) {
      for (let i = 1; i < count; i++) if (this.#stateOf(address, first + i) !== 'nobody') return false;
      return true;
    }
    for (const port of this.#byPort.keys()) {
      if (port > first && port < first + count && this.#stateOf(address, port) !== 'nobody') return false;
    }
    return true;
  }

  #lookAgain(): void {
    if (!this.#isFresh) this.#look();
    if (this.#news) {
      this.#news = false;
      this.#awaited = false;
      for (const watcher of [...this.#watchers]) watcher.socketsChanged();
    }
    if (this.#watchers.size === 0) return;
    const pause = this.#awaited ? EAGER_MS : CALM_MS;
    this.#context.poller.timers.arm(this.#next, Math.min(LONGEST_MS, Math.max(pause, this.#costMs * SPACING)));
  }

  #look(): void {
    if (this.#closed) return;
    const begunMs = this.#processorMs();
    const earlier = this.#list;
    this.#list = this.#before;
    this.#before = earlier;
    const parts = this.#fetch();
    const known = this.#made === true;
    if (!known) this.#context.counters.add('guest-sockets-unseen');
    if (this.#list.cut) this.#context.counters.add('guest-sockets-limit');
    if (known !== this.#known || this.#patched || !this.#list.equals(earlier)) {
      this.#known = known;
      this.#patched = parts > 1 && !this.#list.equals(earlier);
      this.#byPort = this.#list.byPort(this.#patched ? earlier : undefined);
      this.#news = true;
    }
    this.#lookedMs = performance.now();
    this.#weigh(begunMs);
  }

  /** Where the thread has waited once since the last look, it did little but that look and the wake for this one. */
  #weigh(begunMs: number): void {
    const { waits } = this.#context.poller;
    const lookMs = this.#processorMs() - begunMs;
    const sinceMs = waits === this.#waits + 1 ? begunMs - this.#begunMs : lookMs;
    this.#lookMs += (lookMs - this.#lookMs) * WEIGHT;
    this.#costMs += (Math.min(sinceMs, lookMs + MAX_WAKE_MS) - this.#costMs) * WEIGHT;
    this.#waits = waits;
    this.#begunMs = begunMs;
  }

  /** What this thread has used. */
  #processorMs(): number {
    const { memory } = this.#context;
    const at = memory.scalar;
    libc.clockGetTime(libc.CLOCK_THREAD_CPUTIME_ID, memory.base + at);
    return memory.u32(at) * 1e3 + memory.u32(at + 8) / 1e6;
  }

  /** Fills the list; returns in how many parts it came. */
  #fetch(): number {
    const { memory } = this.#context;
    // The rest of a list that was too long: until it is read the kernel makes no other.
    if (this.#asked) this.#read();
    this.#list.clear();
    this.#made = undefined;
    if (!this.#asked) {
      writeListenersRequest(memory.arena.view, memory.scratch);
      libc.send(this.#table, memory.base + memory.scratch, LISTENERS_REQUEST_BYTES, libc.MSG_DONTWAIT);
    }
    const parts = this.#read();
    if (!this.#asked) return parts;
    this.#list.cut = true;
    this.#made = true;
    return parts;
  }

  /** Reads a list to its end, or to as much as is read at once; returns in how many parts it came. */
  #read(): number {
    const { memory } = this.#context;
    const { base, scratch } = memory;
    this.#asked = true;
    for (let parts = 0; parts < MAX_PARTS; parts++) {
      // The kernel prepares each part of a list before it hands out the one before: this never has to wait.
      const length = libc.recv(this.#table, base + scratch, SCRATCH_BYTES, libc.MSG_DONTWAIT);
      if (length > 0) readListeners(memory.arena.view, scratch, length, this.#reader);
      if (length > 0 && this.#made === undefined) continue;
      this.#asked = false;
      return parts;
    }
    return MAX_PARTS;
  }
}
