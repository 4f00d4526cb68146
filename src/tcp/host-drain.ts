import { FAILED, type HostStream } from '../env/host.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Timer } from '../turn/timers.ts';
import { CHUNK_BYTES } from './chunk-pool.ts';
import type { TcpContext } from './context.ts';
import type { Receiver } from './receiver.ts';

/**
 * A host that takes nothing for so long is given up; a paused VM or a laptop's sleep is shorter on this side's clock.
 */
const STALLED_MS = 600_000;
/**
 * The same where the guest reset without a FIN: it has asked for no delivery (RFC 9293 §3.10.5), and the host's peer
 * waits for the news.
 */
const RESET_STALLED_MS = 10_000;
/** Chunks dropped in one turn: a host that sends on and on does not hold up the others. */
const MAX_DROPS = 64;
/** A host that sends so much (the largest window) and takes nothing meanwhile does not read: it is told. */
const MAX_DROPPED_BYTES = 4 * 2 ** 20;
/**
 * Nothing tells when the host's peer has acknowledged the last byte: it is looked at this often, more and more seldom.
 */
const FIRST_LOOK_MS = 4;
const LAST_LOOK_MS = 256;

/** How the host's side is to end: both sides have ended ('close'), or the guest has reset ('reset'). */
export type DrainEnding = 'close' | 'reset';

/** What is to be drained, and how. */
export interface DrainedFlow {
  readonly stream: HostStream;
  readonly receiver: Receiver;
  /** The host was told of the guest's FIN. */
  readonly isShut: boolean;
  readonly ending: DrainEnding;
}

/**
 * What is left of a connection whose guest is through with TCP. All that was acknowledged to the guest goes to the
 * host, then its FIN, if it sent one. What the host sends meanwhile is dropped: one that writes before it reads on must
 * not wait for a guest that is dead.
 *
 * It ends, the stream released, as the guest did: gracefully where both ends came. After a reset of the guest it is one
 * for the host, as soon as the host's peer has acknowledged everything: mostly in the turn in which it begins. It is
 * one too when the host's side fails, takes nothing for long, or only sends. An engine that does not know what its peer
 * has acknowledged closes behind the guest's FIN, and the kernel resets whoever still sends.
 */
export class HostDrain implements Work {
  queued = false;
  readonly #context: TcpContext;
  readonly #stream: HostStream;
  readonly #receiver: Receiver;
  readonly #ending: DrainEnding;
  readonly #onOver: () => void;
  readonly #timer: Timer = new Timer(() => this.#look());
  #shut: boolean;
  /**
   * What is on its way to the host's peer, when some of it last arrived; and the time at which that must have gone on.
   */
  #left: number = Number.POSITIVE_INFINITY;
  #deadlineMs = 0;
  #lookMs: number = FIRST_LOOK_MS;
  /** Bytes of the host since then. */
  #dropped = 0;
  #over = false;

  /** @param onOver called once, last. */
  constructor(context: TcpContext, { stream, receiver, isShut, ending }: DrainedFlow, onOver: () => void) {
    this.#context = context;
    this.#stream = stream;
    this.#receiver = receiver;
    this.#shut = isShut;
    this.#ending = ending;
    this.#onOver = onOver;
    context.turn.commits.add(this);
  }

  readable(): void {
    this.#context.turn.commits.add(this);
  }

  writable(): void {
    this.#receiver.hostWritable();
    this.#context.turn.commits.add(this);
  }

  /** Lets go at once: the host's peer sees a reset. */
  abort(): void {
    if (this.#over) return;
    this.#stream.abort();
    this.#end();
  }

  work(): void {
    if (this.#over) return;
    if (this.#receiver.commit(this.#stream) === FAILED) {
      this.abort();
      return;
    }
    const { delivered, finReached } = this.#receiver;
    if (delivered && finReached && !this.#shut) {
      this.#shut = true;
      // Where both directions are over, closing the stream says it.
      if (this.#ending === 'reset') this.#stream.shutdownWrite();
    }
    if (!delivered) this.#await(this.#receiver.waitingBytes + (this.#stream.unacknowledged ?? 0));
    else if (this.#ending === 'close') this.#close();
    else this.#followReset(finReached);
  }

  #followReset(finReached: boolean): void {
    const { unacknowledged } = this.#stream;
    if (unacknowledged === undefined && finReached) this.#close();
    else if (unacknowledged === undefined || unacknowledged === 0) this.abort();
    else this.#await(unacknowledged);
  }

  /** `left` bytes are still on their way. */
  #await(left: number): void {
    const { turn } = this.#context;
    if (left < this.#left) {
      const patienceMs = this.#receiver.finReached ? STALLED_MS : RESET_STALLED_MS;
      this.#left = left;
      this.#deadlineMs = turn.nowMs + patienceMs;
      this.#lookMs = FIRST_LOOK_MS;
      this.#dropped = 0;
      turn.timers.arm(this.#timer, this.#lookMs);
    }
    if (this.#drop() === FAILED) this.abort();
    else if (this.#dropped > MAX_DROPPED_BYTES) this.#giveUp();
  }

  #look(): void {
    const { turn } = this.#context;
    if (turn.nowMs >= this.#deadlineMs) {
      this.#giveUp();
      return;
    }
    this.#lookMs = Math.min(LAST_LOOK_MS, this.#lookMs * 2);
    turn.timers.arm(this.#timer, this.#lookMs);
    turn.commits.add(this);
  }

  /** Drops what the host has sent by now. Returns what the last peek did. */
  #drop(): number {
    const { scratchAt, turn } = this.#context;
    let peeked = 1;
    for (let drops = 0; peeked > 0 && drops < MAX_DROPS; drops++) {
      peeked = this.#stream.peekInto(0, scratchAt, CHUNK_BYTES, CHUNK_BYTES, 1);
      if (peeked <= 0) return peeked;
      this.#stream.consume(peeked);
      this.#dropped += peeked;
    }
    turn.commits.add(this);
    return peeked;
  }

  #giveUp(): void {
    this.#context.counters.add('tcp-drain-given-up');
    this.abort();
  }

  #close(): void {
    this.#stream.close();
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#context.turn.timers.cancel(this.#timer);
    this.#onOver();
  }
}
