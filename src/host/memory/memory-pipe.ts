import type { HostErrorCode, HostPipe, HostPipeHandler, PieceList } from '../../env/host.ts';
import type { Deliveries } from './deliveries.ts';
import { type MemoryPeer, MemoryStream, type MemoryStreamLimits } from './memory-stream.ts';

/** A guest's stream in memory: the host's end, over the same connection that a dialled stream has. */
export class MemoryPipe implements HostPipe {
  /** The guest's end. */
  readonly peer: MemoryPeer;
  /** The connection below; whoever made the pipe opens it. */
  readonly stream: MemoryStream;
  /** Who hears of it; set right after the pipe was made. */
  handler: HostPipeHandler | undefined;
  readonly #piece: PieceList = { at: new Int32Array(1), length: new Int32Array(1), count: 1 };

  constructor(arena: Uint8Array, deliveries: Deliveries, limits: MemoryStreamLimits) {
    const handler = {
      connected: () => {},
      failed: () => {},
      readable: () => this.handler?.readable(),
      writable: () => this.handler?.writable(),
    };
    this.stream = new MemoryStream(arena, deliveries, handler, limits);
    this.peer = this.stream.peer;
  }

  get error(): HostErrorCode | undefined {
    return this.stream.error;
  }

  read(at: number, capacity: number): number {
    const length = this.stream.peekInto(0, at, capacity, capacity, 1);
    if (length > 0) this.stream.consume(length);
    return length;
  }

  write(at: number, length: number): number {
    this.#piece.at[0] = at;
    this.#piece.length[0] = length;
    return this.stream.write(this.#piece);
  }

  close(): void {
    this.handler = undefined;
    this.stream.close();
  }
}
