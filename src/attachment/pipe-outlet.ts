import type { HostPipe } from '../env/host.ts';
import type { Frame } from '../link/frame.ts';
import type { Outlet, OutletAbilities, OutletWaiter } from '../link/outlet.ts';
import type { Port } from '../link/port.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';
import type { Outbox } from './outbox.ts';

/**
 * 'drained': all is sent. 'more': the rest waits for the next turn. 'blocked': the pipe takes no more until it says
 * writable. 'failed': it is broken.
 */
export type DrainResult = 'drained' | 'more' | 'blocked' | 'failed';

/** How one kind of attachment puts frames on its pipe. */
export interface Framing {
  readonly prefixBytes: number;
  /** Fills the prefix that ends at `at`, where the frame of these facts now lies. */
  writePrefix(at: number, frame: Frame): void;
  /** Sends as much as the pipe takes. */
  drain(outbox: Outbox, pipe: HostPipe): DrainResult;
}

/** Waiters told in one turn: enough to fill the outbox, few enough that those behind keep their place in the line. */
const WAITERS_PER_TURN = 64;

/** The memory and manners of a PipeOutlet. */
export interface PipeOutletOptions {
  readonly turn: Turn;
  readonly outbox: Outbox;
  readonly framing: Framing;
  readonly mtu: number;
  readonly abilities: OutletAbilities;
  /** The pipe broke while frames were sent. */
  readonly onFailed: () => void;
}

/**
 * The sending side of an attachment on a HostPipe: an outbox, flushed once a turn and again whenever the pipe has room.
 * Those who found it full wait in line (a Set: each at most once, bounded by the flow tables) and are told, 64 a
 * turn, once half of it is free. After `close` it takes nothing and tells no one.
 */
export class PipeOutlet implements Outlet, Work {
  queued = false;
  readonly abilities: OutletAbilities;
  readonly mtu: number;
  readonly #turn: Turn;
  readonly #outbox: Outbox;
  readonly #framing: Framing;
  readonly #onFailed: () => void;
  readonly #waiters = new Set<OutletWaiter>();
  #pipe: HostPipe | undefined;
  #port: Port | undefined;
  #blocked = false;

  constructor(options: PipeOutletOptions) {
    this.#turn = options.turn;
    this.#outbox = options.outbox;
    this.#framing = options.framing;
    this.#onFailed = options.onFailed;
    this.mtu = options.mtu;
    this.abilities = options.abilities;
  }

  /** From now on frames leave through `pipe` and count for `port`. */
  open(pipe: HostPipe, port: Port): void {
    this.#pipe = pipe;
    this.#port = port;
  }

  close(): void {
    this.#pipe = undefined;
    this.#port = undefined;
    this.#waiters.clear();
  }

  reserve(length: number): number {
    return this.#pipe === undefined ? -1 : this.#outbox.reserve(length);
  }

  stride(length: number): number {
    return this.#framing.prefixBytes + length;
  }

  commit(frame: Frame): void {
    const port = this.#port;
    if (port === undefined) return;
    this.#framing.writePrefix(this.#outbox.commit(frame.at, frame.length), frame);
    port.txFrames++;
    port.txBytes += frame.length;
    if (!this.#blocked && !this.queued) this.#turn.flushes.add(this);
  }

  cancel(): void {
    this.#outbox.cancel();
  }

  whenWritable(waiter: OutletWaiter): void {
    if (this.#pipe === undefined) return;
    this.#waiters.add(waiter);
    if (!this.#blocked) this.#turn.flushes.add(this);
  }

  /** The pipe has room again. */
  writable(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#turn.flushes.add(this);
  }

  work(): void {
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    const result = this.#framing.drain(this.#outbox, pipe);
    if (result === 'failed') {
      this.#onFailed();
      return;
    }
    this.#blocked = result === 'blocked';
    if (result === 'more') this.#turn.flushes.add(this);
    if (this.#waiters.size > 0 && this.#outbox.halfFree) this.#tellWaiters();
  }

  #tellWaiters(): void {
    let told = 0;
    for (const waiter of this.#waiters) {
      if (told++ === WAITERS_PER_TURN) {
        this.#turn.flushes.add(this);
        return;
      }
      this.#waiters.delete(waiter);
      waiter.outletWritable();
    }
  }
}
