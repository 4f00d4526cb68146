import { FAILED, type HostStream, WOULD_BLOCK } from '../env/host.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Timer } from '../turn/timers.ts';
import { CHUNK_BYTES } from './chunk-pool.ts';
import type { TcpContext } from './context.ts';
import type { Receiver } from './receiver.ts';

/** A host whose peer does not end after the guest did is let go after this (Linux's tcp_fin_timeout). */
const DRAIN_MS = 60_000;
/** A host that takes nothing for so long is given up; a paused VM or a laptop's sleep is shorter on this side's clock. */
const STALLED_MS = 600_000;
/** Chunks dropped in one turn: a host that sends on and on does not hold up the others. */
const MAX_DROPS = 64;

/**
 * What is left of a connection whose guest is through with TCP: all that the guest sent goes to the host, however slow that
 * is, then its FIN. What the host still sends is dropped: closing over unread bytes would reset the host's peer and
 * destroy what it has yet to take.
 *
 * It ends, the stream released, when both directions have: gracefully, or by a reset when the host's side failed or took
 * nothing for ten minutes. A host that has taken everything and does not end is closed after a minute.
 */
export class HostDrain implements Work {
  queued = false;
  readonly #context: TcpContext;
  readonly #stream: HostStream;
  readonly #receiver: Receiver;
  readonly #onOver: () => void;
  readonly #timer: Timer;
  /** What the host had still to take when the timer was armed. */
  #waitingBytes = 0;
  readonly #shut: boolean;
  /** The host has everything, and was told that no more comes. */
  #allTaken = false;
  #over = false;

  /** @param receiver has reached the guest's FIN. @param shut the host was told of it. @param onOver called once, last. */
  constructor(context: TcpContext, stream: HostStream, receiver: Receiver, shut: boolean, onOver: () => void) {
    this.#context = context;
    this.#stream = stream;
    this.#receiver = receiver;
    this.#shut = shut;
    this.#onOver = onOver;
    this.#timer = new Timer(() => this.#expired());
    this.#arm(STALLED_MS);
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
    const failed = this.#receiver.commit(this.#stream) === FAILED;
    const dropped = failed ? FAILED : this.#drop();
    if (dropped === FAILED) this.abort();
    else if (this.#receiver.delivered) this.#follow(dropped === 0);
    else if (this.#receiver.waitingBytes < this.#waitingBytes) this.#arm(STALLED_MS);
  }

  #arm(delayMs: number): void {
    this.#waitingBytes = this.#receiver.waitingBytes;
    this.#context.turn.timers.arm(this.#timer, delayMs);
  }

  #expired(): void {
    if (this.#receiver.delivered) {
      this.#close();
      return;
    }
    this.#context.counters.add('tcp-drain-given-up');
    this.abort();
  }

  #follow(hostEnded: boolean): void {
    // Where both directions are over, closing the stream says it.
    if (hostEnded) {
      this.#close();
      return;
    }
    if (this.#allTaken) return;
    this.#allTaken = true;
    if (!this.#shut) this.#stream.shutdownWrite();
    this.#arm(DRAIN_MS);
  }

  /** Drops what the host has sent by now. Returns 0 at its end, FAILED, or WOULD_BLOCK while more may come. */
  #drop(): number {
    const { scratchAt, turn } = this.#context;
    let peeked = 1;
    for (let drops = 0; peeked > 0 && drops < MAX_DROPS; drops++) {
      peeked = this.#stream.peekInto(0, scratchAt, CHUNK_BYTES, CHUNK_BYTES, 1);
      if (peeked > 0) this.#stream.consume(peeked);
    }
    if (peeked <= 0) return peeked;
    turn.commits.add(this);
    return WOULD_BLOCK;
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
