import type { Clock } from '../../env/clock.ts';
import { Slice } from '../../turn/slice.ts';
import { Timers } from '../../turn/timers.ts';
import type { DescriptorTable } from './descriptors.ts';
import type { KernelMemory } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { errorCode } from '../errno.ts';

/** What a registered descriptor wakes. `events` are EPOLL bits; spurious calls are allowed. */
export interface PollHandler {
  ready(events: number): void;
}

/** Everything that may change, edge-triggered and registered once; EPOLLERR and EPOLLHUP come unasked. */
export const ALL_EVENTS: number = libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLPRI | libc.EPOLLRDHUP | libc.EPOLLET;
export const INPUT_EVENTS: number = libc.EPOLLIN | libc.EPOLLRDHUP | libc.EPOLLET;

/** One wait brings at most this many events, and fires as many timers; the rest comes with the next. */
const EVENTS_PER_WAIT = 512;

/**
 * epoll, edge-triggered: a descriptor is registered once and each event names a slot and its generation, so an event
 * for what was closed earlier in the same batch reaches no one, also when the number, or the slot, is another's by
 * then. Descriptors are closed at once, so what one flow gives up another can have within the same turn.
 *
 * `wait` may be called from any loop; it sleeps only when nothing is owed and no timer is due. What a handler throws
 * goes through `wait` to the caller: such an exception ends the network thread.
 */
export class Poller {
  /** For what the engine itself waits for (redialling, pauses, retries); runs at the start of each wait. */
  readonly timers: Timers;
  /** Writing eight bytes (a u64 of 1) to this eventfd ends a sleep, from any thread. */
  readonly wakeDescriptor: number;
  /** Runs when somebody woke the poller. */
  onWake: (() => void) | undefined;
  /** How often it has waited. */
  waits = 0;
  readonly #memory: KernelMemory;
  readonly #descriptors: DescriptorTable;
  readonly #clock: Clock;
  readonly #epoll: number;
  readonly #events: number;
  readonly #handlers: (PollHandler | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #freeSlots: number[] = [];
  readonly #slice = new Slice({});
  #owed: PollHandler[] = [];
  #calling: PollHandler[] = [];

  constructor(memory: KernelMemory, descriptors: DescriptorTable, clock: Clock) {
    this.#memory = memory;
    this.#descriptors = descriptors;
    this.#clock = clock;
    this.timers = new Timers(clock.nowMs());
    this.#events = memory.allocate(EVENTS_PER_WAIT * libc.EPOLL_EVENT_BYTES);
    this.#epoll = libc.epollCreate(libc.EPOLL_CLOEXEC);
    this.wakeDescriptor = libc.eventfd(0, libc.EFD_FLAGS);
    if (this.#epoll < 0 || this.wakeDescriptor < 0) {
      throw new Error(`epoll cannot be opened (${errorCode(libc.errno())}): no descriptor is left.`);
    }
    descriptors.record(this.#epoll, 'other');
    descriptors.record(this.wakeDescriptor, 'other');
    this.add(this.wakeDescriptor, { ready: () => this.#woken() }, INPUT_EVENTS);
  }

  /** Registers `fd` and returns its slot; −1 when the kernel refuses (errno tells why). */
  add(fd: number, handler: PollHandler, events: number = ALL_EVENTS): number {
    const slot = this.#freeSlots.pop() ?? this.#handlers.length;
    const generation = this.#generations[slot] ?? 0;
    const at = this.#memory.scalar;
    this.#memory.setU32(at, events);
    this.#memory.setU32(at + libc.EPOLL_EVENT_BYTES - 8, slot);
    this.#memory.setU32(at + libc.EPOLL_EVENT_BYTES - 4, generation);
    this.#generations[slot] = generation;
    if (libc.epollCtl(this.#epoll, libc.EPOLL_CTL_ADD, fd, this.#memory.base + at) < 0) {
      this.#handlers[slot] = undefined;
      this.#freeSlots.push(slot);
      return -1;
    }
    this.#handlers[slot] = handler;
    return slot;
  }

  /** No event reaches the slot's handler any more. */
  remove(slot: number): void {
    this.#handlers[slot] = undefined;
    this.#generations[slot] = ((this.#generations[slot] as number) + 1) >>> 0;
    this.#freeSlots.push(slot);
  }

  /** Takes `fd` out of epoll: needed where a copy of it lives on elsewhere, which close() would leave registered. */
  deregister(fd: number): void {
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_DEL, fd, 0);
  }

  /** Closes `fd`, whose slot was removed: from here on its number is anybody's. */
  closeDescriptor(fd: number): void {
    this.#descriptors.forget(fd);
    libc.close(fd);
  }

  /** Calls `handler.ready(EPOLLIN)` in the next wait, for what no new edge will tell. */
  owe(handler: PollHandler): void {
    this.#owed.push(handler);
  }

  /** Sleeps at most `timeoutMs` (0: not at all) for events and hands them out. */
  wait(timeoutMs: number): void {
    this.waits++;
    this.timers.run(this.#clock.nowMs(), this.#slice.begin(0, EVENTS_PER_WAIT));
    const sleepMs = this.#owed.length > 0 ? 0 : Math.ceil(this.timers.waitMs(timeoutMs));
    const count = libc.epollWait(this.#epoll, this.#memory.base + this.#events, EVENTS_PER_WAIT, sleepMs);
    // What handlers arm counts from now, not from before the sleep.
    this.timers.begin(this.#clock.nowMs());
    this.#callOwed();
    for (let i = 0, at = this.#events; i < count; i++, at += libc.EPOLL_EVENT_BYTES) {
      const slot = this.#memory.u32(at + libc.EPOLL_EVENT_BYTES - 8);
      if (this.#generations[slot] !== this.#memory.u32(at + libc.EPOLL_EVENT_BYTES - 4)) continue;
      this.#handlers[slot]?.ready(this.#memory.u32(at));
    }
  }

  /** Ends a sleep; for the thread that owns the poller. Other threads write to `wakeDescriptor`. */
  wake(): void {
    const { scalar, base } = this.#memory;
    this.#memory.setPointer(scalar, 1);
    libc.write(this.wakeDescriptor, base + scalar, 8);
  }

  /** Releases epoll and the eventfd; registered descriptors stay open. */
  close(): void {
    for (const fd of [this.#epoll, this.wakeDescriptor]) this.closeDescriptor(fd);
  }

  #callOwed(): void {
    const owed = this.#owed;
    if (owed.length === 0) return;
    this.#owed = this.#calling;
    this.#calling = owed;
    for (const handler of owed) handler.ready(libc.EPOLLIN);
    owed.length = 0;
  }

  #woken(): void {
    libc.read(this.wakeDescriptor, this.#memory.base + this.#memory.scalar, 8);
    this.onWake?.();
  }
}
