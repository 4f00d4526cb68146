import {
  FAILED,
  type HostErrorCode,
  type HostStream,
  type HostStreamHandler,
  type IcmpCause,
  type PieceList,
  WOULD_BLOCK,
} from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import type { EpollContext } from './context.ts';
import { takeError } from './error-queue.ts';
import type { Intake } from './intake.ts';
import { MAX_IOVECS } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import { IP_TTL, SO_ERROR, setDscp, TCP_NODELAY } from '../socket-options.ts';
import type { PollHandler } from './poller.ts';

export type Transport = 'tcp' | 'unix';

/**
 * How long a closed connection may keep its descriptor to see its last bytes acknowledged; then the kernel goes on
 * alone.
 */
const LINGER_MS = 60_000;
/** For IP_TTL. */
const DEFAULT_TTL = -1;
/** ICMP errors that one connect may have queued: one ends it. */
const MAX_QUEUED_ERRORS = 8;
const BROKEN = libc.EPOLLERR | libc.EPOLLHUP;
const ENDED = libc.EPOLLERR | libc.EPOLLHUP | libc.EPOLLRDHUP;
const INPUT = libc.EPOLLIN | libc.EPOLLPRI | ENDED;

/**
 * One connection of the host.
 *
 * States: connecting → open → (lingering →) closed. `lingering`: the core let go, the kernel still delivers; the
 * descriptor stays until all is acknowledged, because an orphan of the kernel would give up on a slow peer.
 *
 * After a reset whichever call comes first takes the error from the kernel, and every later one sees a clean end; so
 * all of them latch through `#latch`, the first wins, and 0 means FIN only while nothing is latched and SO_ERROR is
 * silent.
 *
 * TCP sockets carry SO_LINGER {1, 0} from birth: when this process dies the peer gets a reset, never a false end. Only
 * `close` takes it off.
 */
export class EpollStream implements HostStream, PollHandler {
  readonly #context: EpollContext;
  readonly fd: number;
  readonly #transport: Transport;
  readonly #intake: Intake;
  #handler: HostStreamHandler;
  #state: 'connecting' | 'open' | 'lingering' | 'closed' = 'connecting';
  #slot = -1;
  #error: HostErrorCode | undefined;
  #finSent = false;
  /** Bytes went out, so the next write may meet Nagle's algorithm. */
  #written = false;
  #noDelay = false;
  /** A write was cut short: tell when there is room. */
  #writeBlocked = false;
  /** An end or an urgent mark was announced, so behind a short peek more may wait that no new edge tells. */
  #moreMayWait = false;
  /** The dial has a time to live of its own. */
  traced = false;
  /** Kept here for OpenStreams: keepalive is on, and the place of the stream there (−1: none). */
  probed = false;
  place = -1;
  #owed = false;
  /** EPOLLERR was told: a clean end may hide an error. Without it, the call that meets an error returns it. */
  #sawError = false;
  /** EPOLLRDHUP was told: the peer's FIN stands behind what is queued. */
  #peerEnded = false;
  /** An error or an urgent mark was told or met: a short peek means nothing. */
  #troubled = false;
  /** Once a peek met the peer's FIN: bytes before it that are not consumed; −1 before. */
  #leftBeforeEnd = -1;
  #lingerTimer: Timer | undefined;

  constructor(context: EpollContext, fd: number, transport: Transport, intake: Intake, handler: HostStreamHandler) {
    this.#context = context;
    this.fd = fd;
    this.#transport = transport;
    this.#intake = intake;
    this.#handler = handler;
  }

  /** Known as soon as it was told, also while bytes that came before it are still to be peeked. */
  get error(): HostErrorCode | undefined {
    if (this.#sawError && this.#state === 'open') this.#latchPending();
    return this.#error;
  }

  get unacknowledged(): number {
    // What a unix socket has taken already lies with its peer.
    if (this.#state !== 'open' || this.#error !== undefined || this.#transport === 'unix') return 0;
    return this.#context.memory.unacknowledged(this.fd);
  }

  /**
   * After EPOLLRDHUP nothing more can come, and without an error or an urgent mark a peek stops short only at the end.
   */
  get endAnnounced(): boolean {
    return this.#peerEnded && !this.#troubled && this.#intake.shortIsAll;
  }

  /** Who hears of the stream from now on. */
  set handler(handler: HostStreamHandler) {
    this.#handler = handler;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get connecting(): boolean {
    return this.#state === 'connecting';
  }

  /** Begins to wait for the connect that was started; the errno when that is impossible, else 0. */
  watch(): number {
    this.#slot = this.#context.poller.add(this.fd, this);
    if (this.#slot < 0) return libc.errno();
    if (this.#transport === 'tcp') this.#context.streams.add(this);
    return 0;
  }

  /**
   * As `watch`, of a socket that is connected already and does not wait for more to send: `connected` is never called.
   */
  watchConnected(): number {
    this.#state = 'open';
    this.#noDelay = true;
    return this.watch();
  }

  /** Ends a dial that came to nothing: releases the descriptor and says so. */
  fail(number: number): void {
    const cause = this.#transport === 'tcp' ? this.#icmpCause() : undefined;
    this.#release();
    this.#handler.failed(errorCode(number), cause);
  }

  /** Ends a connection that is dead though its socket does not know. False when it had ended before. */
  cut(number: number): boolean {
    if (this.#error !== undefined || this.#state === 'closed') return false;
    switch (this.#state) {
      case 'connecting':
        this.fail(Errno.EADDRNOTAVAIL);
        break;
      case 'lingering':
        this.#release();
        break;
      case 'open':
        this.#latch(number);
        this.#dispatch(libc.EPOLLIN | libc.EPOLLERR);
    }
    return true;
  }

  peekInto(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const wanted = slotBytes * count;
    if (this.#state !== 'open') return FAILED;
    // A peek of nothing returns 0 at any time, which is no end.
    if (wanted <= 0) return this.#error === undefined ? WOULD_BLOCK : FAILED;
    const copied = this.#intake.peek(offset, at, slotBytes, stride, count);
    if (copied > 0) {
      if (copied === wanted) return copied;
      if (this.endAnnounced) this.#leftBeforeEnd = offset + copied;
      else if (this.#moreMayWait) this.#owe();
      return copied;
    }
    if (copied === 0) {
      if (this.#sawError) this.#latchPending();
      this.#leftBeforeEnd = offset;
      return this.#error === undefined ? 0 : FAILED;
    }
    if (copied !== -Errno.EAGAIN) this.#latch(-copied);
    return this.#error === undefined ? WOULD_BLOCK : FAILED;
  }

  setDscp(dscp: number): void {
    const released = this.#state === 'closed';
    if (!released && this.#transport === 'tcp') setDscp(this.#context.memory, this.fd, dscp);
  }

  consume(length: number): void {
    if (this.#state !== 'open') return;
    if (this.#leftBeforeEnd >= 0) this.#leftBeforeEnd -= length;
    if (this.#intake.consume(length)) this.#owe();
  }

  write(pieces: PieceList): number {
    if (this.#state !== 'open' || this.#error !== undefined) return FAILED;
    const { memory } = this.#context;
    if (this.#written && !this.#noDelay && this.#transport === 'tcp') {
      // Not before the second write: the first never waits, and many connections have no other.
      this.#noDelay = true;
      memory.setOption(this.fd, TCP_NODELAY, 1);
    }
    this.#written = true;
    let taken = 0;
    for (let next = 0; next < pieces.count; ) {
      let asked = 0;
      let count = 0;
      for (; next < pieces.count && count < MAX_IOVECS; next++, count++) {
        const length = pieces.length[next] as number;
        memory.setIovec(memory.iovecs, count, pieces.at[next] as number, length);
        asked += length;
      }
      const sent = libc.sendmsg(this.fd, memory.gather(count), libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
      if (sent === asked) {
        taken += sent;
        continue;
      }
      this.#writeBlocked = true;
      if (sent >= 0) return taken + sent;
      const number = libc.errno();
      if (number === Errno.EAGAIN) return taken;
      this.#latch(number);
      if (taken === 0) return FAILED;
      this.#owe();
      return taken;
    }
    return taken;
  }

  shutdownWrite(): void {
    if (this.#state !== 'open' || this.#finSent) return;
    this.#finSent = true;
    libc.shutdown(this.fd, libc.SHUT_WR);
  }

  close(): void {
    if (this.#state !== 'open') {
      if (this.#state === 'connecting') this.#release();
      return;
    }
    if (this.#error !== undefined || this.#transport === 'unix') {
      this.#release();
      return;
    }
    // What is not consumed is drained first, or close() would be a reset.
    if (this.#leftBeforeEnd !== 0) {
      const number = this.#intake.drain();
      if (number !== 0) this.#latch(number);
    }
    const { memory } = this.#context;
    const acknowledged = memory.unacknowledged(this.fd) === 0;
    // Where both ends have come and ours is acknowledged the kernel is through with it: nothing is left to reset.
    if (!acknowledged || !this.#finSent || this.#leftBeforeEnd !== 0) memory.setResetOnClose(this.fd, false);
    if (acknowledged) {
      this.#release();
      return;
    }
    this.shutdownWrite();
    // A reset whose event has already passed: nothing more would be told.
    this.#latchPending();
    if (this.#error !== undefined) {
      this.#release();
      return;
    }
    this.#state = 'lingering';
    this.#lingerTimer = new Timer(() => this.#release());
    this.#context.poller.timers.arm(this.#lingerTimer, LINGER_MS);
    this.#context.streams.lingers(this);
  }

  /** Ends the lingering: what is left to deliver is the kernel's. */
  letGo(): void {
    if (this.#state === 'lingering') this.#release();
  }

  abort(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'lingering') this.#context.memory.setResetOnClose(this.fd, true);
    this.#release();
  }

  ready(events: number): void {
    this.#owed = false;
    switch (this.#state) {
      case 'connecting':
        this.#finishConnect(events);
        return;
      case 'open':
        this.#dispatch(events);
        return;
      case 'lingering':
        if ((events & libc.EPOLLERR) !== 0 || this.#context.memory.unacknowledged(this.fd) === 0) this.#release();
    }
  }

  #finishConnect(events: number): void {
    if ((events & (libc.EPOLLOUT | BROKEN)) === 0) return;
    const broken = (events & BROKEN) !== 0;
    const number = broken ? this.#context.memory.option(this.fd, SO_ERROR) : 0;
    // The kernel queues an ICMP error before it ends the connect by it, or instead: that comes as an event of its own.
    if (number === 0 && (events & (libc.EPOLLOUT | libc.EPOLLHUP)) === 0) return;
    if (number !== 0) {
      const code = errorCode(number);
      // A connect is refused with other words: these come from a peer that had accepted (and may have sent) before it
      // reset.
      const wasConnected = code === 'ECONNRESET' || code === 'EPIPE';
      if (!wasConnected) {
        this.fail(number);
        return;
      }
      this.#latch(number);
    }
    if (this.traced) this.#context.memory.setOption(this.fd, IP_TTL, DEFAULT_TTL);
    this.#state = 'open';
    this.#handler.connected();
    this.#dispatch(events & ~libc.EPOLLOUT);
  }

  /**
   * The ICMP error that ended a connect. In SYN-SENT Linux ends it by any of them, time exceeded included, and queues
   * the error without IP_RECVERR (older kernels do not: no cause then). Read after SO_ERROR, which it clears.
   */
  #icmpCause(): IcmpCause | undefined {
    let cause: IcmpCause | undefined;
    for (let i = 0; i < MAX_QUEUED_ERRORS; i++) {
      const error = takeError(this.#context.tables, this.fd, false);
      if (error === undefined) break;
      if (error.failure.icmpType >= 0) cause = error.failure;
    }
    return cause;
  }

  #dispatch(events: number): void {
    const broken = (events & BROKEN) !== 0;
    if ((events & libc.EPOLLERR) !== 0) this.#sawError = true;
    if ((events & libc.EPOLLRDHUP) !== 0) this.#peerEnded = true;
    if ((events & (libc.EPOLLERR | libc.EPOLLPRI)) !== 0) this.#troubled = true;
    if ((events & (ENDED | libc.EPOLLPRI)) !== 0) this.#moreMayWait = true;
    if (this.#state === 'open' && (events & INPUT) !== 0) this.#handler.readable();
    if (this.#state === 'open' && (broken || (this.#writeBlocked && (events & libc.EPOLLOUT) !== 0))) {
      this.#writeBlocked = false;
      this.#handler.writable();
    }
  }

  /** The one place where an error of this connection is noted; the first stays. */
  #latch(number: number): void {
    this.#error ??= errorCode(number);
    this.#troubled = true;
    this.#moreMayWait = true;
  }

  /** An end that the kernel calls clean may hide a reset that no call has taken yet. */
  #latchPending(): void {
    if (this.#error !== undefined) return;
    const number = this.#context.memory.option(this.fd, SO_ERROR);
    if (number > 0) this.#latch(number);
  }

  /** Calls `readable` in the next wait. */
  #owe(): void {
    if (this.#owed) return;
    this.#owed = true;
    this.#context.poller.owe(this);
  }

  #release(): void {
    this.#state = 'closed';
    this.#context.streams.delete(this);
    if (this.#lingerTimer !== undefined) this.#context.poller.timers.cancel(this.#lingerTimer);
    if (this.#slot >= 0) this.#context.poller.remove(this.#slot);
    this.#context.poller.closeDescriptor(this.fd);
  }
}
