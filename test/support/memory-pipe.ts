import { FAILED, type HostErrorCode, type HostPipe, WOULD_BLOCK } from '../../src/env/host.ts';

/**
 * A HostPipe in memory. The test plays the guest: it `push`es what the core will read and looks at `written`. `stream`
 * joins the pushed pieces, as a socket does; otherwise a read takes one piece, as a tap does.
 */
export class MemoryPipe implements HostPipe {
  error: HostErrorCode | undefined;
  closed = false;
  /** Bytes that the pipe still takes before it blocks. */
  room = Number.POSITIVE_INFINITY;
  /** Most bytes that one read returns. */
  readLimit = Number.POSITIVE_INFINITY;
  /** The next frames written are refused (FAILED without error), as a tap does while it is down. */
  refuse = 0;
  /** What each write took, in order. */
  readonly writes: Uint8Array[] = [];
  readonly #bytes: Uint8Array;
  readonly #kind: 'stream' | 'frames';
  #waiting: Uint8Array[] = [];
  #ended = false;

  constructor(arena: { readonly bytes: Uint8Array }, kind: 'stream' | 'frames') {
    this.#bytes = arena.bytes;
    this.#kind = kind;
  }

  push(data: Uint8Array): void {
    if (data.length > 0) this.#waiting.push(data);
  }

  end(): void {
    this.#ended = true;
  }

  /** Bytes pushed and not yet read. */
  get unread(): number {
    return this.#waiting.reduce((sum, piece) => sum + piece.length, 0);
  }

  get written(): Uint8Array {
    const all = new Uint8Array(this.writes.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of this.writes) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  read(at: number, capacity: number): number {
    if (this.error !== undefined) return FAILED;
    const limit = Math.min(capacity, this.readLimit);
    let taken = 0;
    while (taken < limit) {
      const piece = this.#waiting[0];
      if (piece === undefined) break;
      const part = piece.subarray(0, limit - taken);
      this.#bytes.set(part, at + taken);
      taken += part.length;
      if (this.#kind === 'frames' || part.length === piece.length) this.#waiting.shift();
      else this.#waiting[0] = piece.subarray(part.length);
      if (this.#kind === 'frames') break;
    }
    if (taken > 0) return taken;
    return this.#ended ? 0 : WOULD_BLOCK;
  }

  write(at: number, length: number): number {
    if (this.error !== undefined) return FAILED;
    if (this.refuse > 0) {
      this.refuse--;
      return FAILED;
    }
    const taken = this.#kind === 'frames' && length > this.room ? 0 : Math.min(length, this.room);
    if (taken > 0) this.writes.push(this.#bytes.slice(at, at + taken));
    this.room -= taken;
    return taken;
  }

  close(): void {
    this.closed = true;
  }
}
