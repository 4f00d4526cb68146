/**
 * Unconnected TCP sockets of a guest's network namespace, as the guest's init makes and hands them over (SCM_RIGHTS). A
 * few are in store, so that a connection into the guest waits for no other process.
 *
 * What comes is the guest's word: its root may have taken over init. So only TCP sockets are used, and no more are kept
 * than were asked for.
 */
import { Timer } from '../../turn/timers.ts';
import type { EpollContext } from './context.ts';
import { SCM_RIGHTS, SO_PROTOCOL, SO_TYPE } from '../socket-options.ts';
import * as libc from './libc.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';

/** Kept at most; more are asked for when half of them are gone. init gives 32 for one request. */
const STOCK = 32;
/** How long an answer may take before it is asked for again: the network thread that asked may have died. */
const ANSWER_MS = 1_000;
/** An int. */
const DESCRIPTOR_BYTES = 4;

export class SocketStock implements PollHandler {
  readonly #context: EpollContext;
  readonly #source: number;
  readonly #slot: number;
  readonly #sockets: number[] = [];
  /** Each waits for one socket; as many as clients wait for a guest, so bounded there. */
  readonly #waiting: (() => void)[] = [];
  #closed = false;
  readonly #overdue: Timer = new Timer(() => this.#refill());

  /** `source` is the end of `serveSockets` that asks. It is not closed here before `close`. */
  constructor(context: EpollContext, source: number) {
    this.#context = context;
    this.#source = source;
    this.#slot = context.poller.add(source, this, INPUT_EVENTS);
    this.#refill();
  }

  /** A socket that is the caller's, non-blocking; −1 when none is there: `whenFilled` tells. */
  take(): number {
    const fd = this.#sockets.pop() ?? -1;
    this.#refill();
    return fd;
  }

  /** Calls `ready` once, between turns, when a socket came or none will come any more. */
  whenFilled(ready: () => void): void {
    this.#waiting.push(ready);
  }

  close(): void {
    this.#closed = true;
    this.#context.poller.timers.cancel(this.#overdue);
    if (this.#slot >= 0) this.#context.poller.remove(this.#slot);
    // A copy may live on in a message that nobody took.
    this.#context.poller.deregister(this.#source);
    this.#context.poller.closeDescriptor(this.#source);
    for (const fd of this.#sockets) this.#context.poller.closeDescriptor(fd);
    this.#sockets.length = 0;
    for (const ready of this.#waiting.splice(0)) ready();
  }

  ready(): void {
    for (let fd = this.#receive(); fd !== undefined; fd = this.#receive()) this.#keep(fd);
    if (this.#sockets.length > 0) this.#context.poller.timers.cancel(this.#overdue);
    while (this.#sockets.length > 0 && this.#waiting.length > 0) {
      // As many as there are sockets; who got none in the end stands in line again.
      for (const ready of this.#waiting.splice(0, this.#sockets.length)) ready();
    }
    this.#refill();
  }

  /** One request at a time is under way, however many are wanted. */
  #refill(): void {
    const { memory, poller } = this.#context;
    if (this.#closed || this.#overdue.armed || this.#sockets.length >= STOCK / 2) return;
    memory.arena.bytes[memory.scratch] = STOCK;
    libc.send(this.#source, memory.base + memory.scratch, 1, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL);
    poller.timers.arm(this.#overdue, ANSWER_MS);
  }

  /** The next message's descriptor, −1 for one without; undefined when none waits. */
  #receive(): number | undefined {
    const { memory, tables } = this.#context;
    const received = libc.recvmsg(this.#source, tables.resetSingle(1), libc.MSG_DONTWAIT | libc.MSG_CMSG_CLOEXEC);
    if (received <= 0) return undefined;
    const at = tables.single.receivedControl(0, SCM_RIGHTS, DESCRIPTOR_BYTES);
    return at < 0 ? -1 : memory.i32(at);
  }

  #keep(fd: number): void {
    if (fd < 0) return;
    const { memory, descriptors, counters, poller } = this.#context;
    descriptors.record(fd, 'other');
    const tcp = memory.option(fd, SO_TYPE) === libc.SOCK_STREAM && memory.option(fd, SO_PROTOCOL) === libc.IPPROTO_TCP;
    if (tcp && this.#sockets.length < STOCK && libc.fcntl(fd, libc.F_SETFL, libc.O_NONBLOCK) >= 0) {
      this.#sockets.push(fd);
      return;
    }
    if (!tcp) counters.add('guest-socket-unusable');
    poller.closeDescriptor(fd);
  }
}
