import type { Readable, Writable } from 'node:stream';
import { headEnd, MAX_HEAD_BYTES } from './head.ts';

const EVENTS = ['readable', 'end', 'close', 'error'] as const;

/** Reads a stream on demand: what nobody asks for stays in the kernel, and holds the sender back. */
export class ByteSource {
  readonly #stream: Readable;
  #held: Buffer | undefined;
  #looking: Promise<boolean> | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  /** The next octets, as they came; undefined at the end. Rejects when the stream breaks. One call at a time. */
  async read(): Promise<Buffer | undefined> {
    await this.#looking;
    const held = this.#held;
    this.#held = undefined;
    return held ?? this.#next();
  }

  /** Gives back octets that were read, to be read again before all others. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held = this.#held === undefined ? bytes : Buffer.concat([bytes, this.#held]);
  }

  /**
   * Whether there is more, once that is known: false at the end, and where the stream breaks. Others may read
   * meanwhile.
   */
  more(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /**
   * A message's head. Undefined where the stream ends instead, or where there is no end of it within `MAX_HEAD_BYTES`:
   * what was read can be read again then.
   */
  async readHead(): Promise<Buffer | undefined> {
    let store = (await this.read()) ?? Buffer.alloc(0);
    let filled = store.length;
    for (let searched = 0, ended = filled === 0; ; ) {
      const bytes = store.subarray(0, filled);
      const end = headEnd(bytes, searched);
      if (end >= 0) {
        this.unread(bytes.subarray(end));
        return bytes.subarray(0, end);
      }
      if (ended || filled > MAX_HEAD_BYTES) {
        this.unread(bytes);
        return undefined;
      }
      searched = filled;
      const more = await this.read();
      ended = more === undefined;
      if (more === undefined) continue;
      if (filled + more.length > store.length) store = Buffer.concat([bytes], 2 * (filled + more.length));
      filled += more.copy(store, filled);
    }
  }

  async #look(): Promise<boolean> {
    if (this.#held !== undefined) return true;
    try {
      const bytes = await this.#next();
      if (bytes !== undefined) this.unread(bytes);
      return bytes !== undefined;
    } catch {
      return false;
    }
  }

  async #next(): Promise<Buffer | undefined> {
    const stream = this.#stream;
    for (;;) {
      const bytes = stream.read() as Buffer | null;
      if (bytes !== null) return bytes;
      if (stream.readableEnded) return undefined;
      if (stream.errored !== null) throw stream.errored;
      if (stream.destroyed) throw new Error('the connection was closed');
      await this.#change();
    }
  }

  #change(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      const done = (): void => {
        for (const event of EVENTS) stream.off(event, done);
        resolve();
      };
      for (const event of EVENTS) stream.on(event, done);
    });
  }
}

/** Writes, and resolves when the stream takes more. Rejects when it breaks or is closed. */
export function write(stream: Writable, bytes: Buffer): Promise<void> {
  if (stream.errored !== null) return Promise.reject(stream.errored);
  if (stream.destroyed || stream.writableEnded) return Promise.reject(new Error('the connection was closed'));
  if (stream.write(bytes)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => (): void => {
      stream.off('drain', drained);
      stream.off('close', closed);
      act();
    };
    const drained = settle(resolve);
    const closed = settle(() => reject(stream.errored ?? new Error('the connection was closed')));
    stream.on('drain', drained);
    stream.on('close', closed);
  });
}
