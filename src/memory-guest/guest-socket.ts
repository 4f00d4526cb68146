import { Duplex } from 'node:stream';
import type { HostStreamHandler } from '../env/host.ts';
import type { Deliveries } from '../host/memory/deliveries.ts';
import { type MemoryPeer, MemoryStream } from '../host/memory/memory-stream.ts';

/** Two full windows on their way inside, so that neither side waits for the other. */
const LIMITS = { hostReceiveBytes: 4 << 20, hostSendBytes: 8 << 20, peerReceiveBytes: 4 << 20 };
/** What the stack has not taken yet before the writer waits. */
const WRITE_BOUND_BYTES = 1 << 20;

/** A TCP connection of the guest in memory as a Node stream: the program's end of it. */
export class GuestSocket extends Duplex {
  /** Where the stack hears of the stream; set right after it was opened. */
  flow: HostStreamHandler | undefined;
  #peer: MemoryPeer | undefined;
  /** What waits: for the connection, or for the stack to take what was written. */
  #resume: (() => void) | undefined;

  /** The stack's end. Called once. */
  join(arena: Uint8Array, deliveries: Deliveries): MemoryStream {
    const toFlow: HostStreamHandler = {
      connected: () => {},
      failed: () => {},
      readable: () => this.flow?.readable(),
      writable: () => this.flow?.writable(),
    };
    const stream = new MemoryStream(arena, deliveries, toFlow, LIMITS);
    stream.open((peer) => {
      this.#peer = peer;
      return {
        data: (bytes) => {
          if (!this.push(bytes)) peer.pause();
        },
        end: () => this.push(null),
        reset: () => this.fail('ECONNRESET'),
        drained: () => this.#goOn(),
      };
    });
    this.#goOn();
    return stream;
  }

  /** The connection is gone; the first reason counts. */
  fail(code: string): void {
    this.destroy(Object.assign(new Error(code), { code }));
  }

  override _read(): void {
    this.#peer?.resume();
  }

  override _write(chunk: Uint8Array, encoding: string, done: () => void): void {
    const peer = this.#peer;
    if (peer === undefined) {
      this.#resume = () => this._write(chunk, encoding, done);
      return;
    }
    peer.send(chunk.slice());
    if (peer.sendingBytes < WRITE_BOUND_BYTES) done();
    else this.#resume = done;
  }

  override _final(done: () => void): void {
    if (this.#peer === undefined) {
      this.#resume = () => this._final(done);
      return;
    }
    this.#peer.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // A program that leaves in the middle resets; one that has read to the end has only nothing more to say.
    if (error !== null || !this.readableEnded) this.#peer?.reset();
    else if (!this.writableFinished) this.#peer?.end();
    done(error);
  }

  #goOn(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }
}
