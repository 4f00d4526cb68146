import type { Socket } from 'node:net';
import { FAILED, type HostErrorCode, type HostPipe, type HostPipeHandler, WOULD_BLOCK } from '../../env/host.ts';
import { hostErrorCode } from '../errno.ts';
import { ReceiveQueue } from '../receive-queue.ts';

/** Unread bytes kept before the socket is paused: two reads of the attachment. */
const RETAIN_BYTES = 4 << 20;
/**
 * Bytes that wait in Node because the kernel had no room; above it the attachment's outbox fills and flows slow down.
 */
const WRITE_BOUND_BYTES = 1 << 20;

/**
 * A guest's stream over a socket of node:net that is already connected. Bytes are kept until `read` takes them; what is
 * written beyond the bound is not taken. After `close` nothing is called any more.
 */
export class NodePipe implements HostPipe {
  error: HostErrorCode | undefined;
  readonly #arena: Uint8Array;
  readonly #socket: Socket;
  readonly #wake: () => void;
  readonly #received = new ReceiveQueue();
  #handler: HostPipeHandler | undefined;
  #onClosed: (() => void) | undefined;
  #ended = false;
  #paused = false;

  /** @param onClosed called once when the pipe's socket is gone, whoever closed it */
  constructor(arena: Uint8Array, socket: Socket, wake: () => void, onClosed: () => void) {
    this.#arena = arena;
    this.#socket = socket;
    this.#wake = wake;
    this.#onClosed = onClosed;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#arrived(chunk));
    socket.on('end', () => this.#readEnded());
    socket.on('drain', () => this.#tell('writable'));
    socket.on('error', (error) => this.#failed(hostErrorCode(error)));
    socket.on('close', () => this.#gone());
  }

  /** Who hears of this pipe; set within the call that got it. */
  attach(handler: HostPipeHandler): void {
    this.#handler = handler;
  }

  read(at: number, capacity: number): number {
    const length = this.#received.copy(0, this.#arena, at, capacity);
    if (length > 0) {
      this.#consume(length);
      return length;
    }
    if (this.error !== undefined) return FAILED;
    return this.#ended ? 0 : WOULD_BLOCK;
  }

  write(at: number, length: number): number {
    if (this.error !== undefined || this.#socket.destroyed) {
      this.error ??= 'EPIPE';
      return FAILED;
    }
    const taken = Math.min(length, WRITE_BOUND_BYTES - this.#socket.writableLength);
    if (taken <= 0) return 0;
    this.#socket.write(this.#arena.slice(at, at + taken));
    return taken;
  }

  close(): void {
    this.#handler = undefined;
    this.#received.clear();
    this.#socket.destroy();
  }

  #consume(length: number): void {
    this.#received.consume(length);
    if (!this.#paused || this.#received.length >= RETAIN_BYTES / 2) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #arrived(chunk: Uint8Array): void {
    if (this.#handler === undefined) return;
    this.#received.push(chunk);
    if (this.#received.length >= RETAIN_BYTES) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#tell('readable');
  }

  #readEnded(): void {
    this.#ended = true;
    this.#tell('readable');
  }

  #failed(code: HostErrorCode): void {
    this.error ??= code;
    this.#tell('readable');
    this.#tell('writable');
  }

  #gone(): void {
    this.#ended = true;
    this.#tell('readable');
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    onClosed?.();
  }

  #tell(what: 'readable' | 'writable'): void {
    if (this.#handler === undefined) return;
    this.#handler[what]();
    this.#wake();
  }
}
