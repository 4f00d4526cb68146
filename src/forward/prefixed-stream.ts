import type { HostErrorCode, HostStream, HostStreamHandler, PieceList } from '../env/host.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Turn } from '../turn/turn.ts';

/**
 * A client's stream with some bytes of our own before its first. They are served by themselves: a peek that reaches
 * their end stops there, and `readable` tells in the same turn's queue that there may be more. Once consumed they cost
 * nothing.
 */
export class PrefixedStream implements HostStream {
  readonly #stream: HostStream;
  readonly #arena: Uint8Array;
  readonly #turn: Turn;
  readonly #more: FairWork;
  /** Undefined once all of it is consumed. */
  #prefix: Uint8Array | undefined;
  #consumed = 0;
  /** The last peek ended with the prefix, so nothing is known of what follows. */
  #stoppedShort = false;

  constructor(stream: HostStream, prefix: Uint8Array, arena: Uint8Array, turn: Turn, handler: HostStreamHandler) {
    this.#stream = stream;
    this.#prefix = prefix;
    this.#arena = arena;
    this.#turn = turn;
    this.#more = { queued: false, lane: turn, work: () => handler.readable() };
  }

  get error(): HostErrorCode | undefined {
    return this.#stream.error;
  }

  get unacknowledged(): number | undefined {
    return this.#stream.unacknowledged;
  }

  get endAnnounced(): boolean {
    return !this.#stoppedShort && this.#stream.endAnnounced;
  }

  peekInto(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const left = this.#left;
    this.#stoppedShort = offset < left;
    if (!this.#stoppedShort) return this.#stream.peekInto(offset - left, at, slotBytes, stride, count);
    const length = Math.min(left - offset, slotBytes * count);
    const from = this.#consumed + offset;
    for (let done = 0; done < length; done += slotBytes) {
      const part = this.#prefix?.subarray(from + done, from + Math.min(length, done + slotBytes)) ?? [];
      this.#arena.set(part, at + (done / slotBytes) * stride);
    }
    this.#turn.egress.add(this.#more);
    return length;
  }

  setDscp(dscp: number): void {
    this.#stream.setDscp(dscp);
  }

  consume(length: number): void {
    const own = Math.min(length, this.#left);
    this.#consumed += own;
    if (this.#left === 0) this.#prefix = undefined;
    if (length > own) this.#stream.consume(length - own);
  }

  write(pieces: PieceList): number {
    return this.#stream.write(pieces);
  }

  shutdownWrite(): void {
    this.#stream.shutdownWrite();
  }

  close(): void {
    this.#stream.close();
  }

  abort(): void {
    this.#stream.abort();
  }

  get #left(): number {
    return this.#prefix === undefined ? 0 : this.#prefix.length - this.#consumed;
  }
}
