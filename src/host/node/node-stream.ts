/**
 * A connection over node:net. Node has no peek, so what arrives is kept here, as the chunks it came in, until it is
 * consumed: above RETAIN_BYTES the socket is paused (and the kernel closes the peer's window), below half it reads on.
 *
 * States: connecting → open → released (`close`, `abort` or a failed dial), after which no handler is called. While
 * open, each direction ends by itself; the first error is latched and the socket is then gone, what was kept is not.
 *
 * Left to Node and the kernel: retransmission, Nagle (off), time to live (Node cannot set it for TCP). A reset that
 * arrives while the socket is paused is noticed when it reads again, or at the next write.
 */
import { Socket } from 'node:net';
import {
  FAILED,
  type HostErrorCode,
  type HostStream,
  type HostStreamHandler,
  type PieceList,
  WOULD_BLOCK,
} from '../../env/host.ts';
import { hostErrorCode } from '../errno.ts';
import { ReceiveQueue } from '../receive-queue.ts';

/** Unconsumed bytes kept per stream before its socket is paused: a window of 1 MiB fills 8 Gbit/s at 1 ms. */
const RETAIN_BYTES = 1 << 20;
/**
 * Bytes that wait in Node because the kernel had no room; the rest stays with the core, which closes the guest's
 * window.
 */
const WRITE_BOUND_BYTES = 1 << 20;
/** Dials of a service that is busy: every 10 ms, for 10 s. */
const RETRY_MS = 10;
const MAX_RETRIES = 1000;

/** Where a stream connects and the bytes that go ahead of the guest's, or a socket that is connected already. */
export interface NodeStreamTarget {
  readonly to:
    | { readonly host: string; readonly port: number }
    | { readonly path: string }
    | { readonly connected: Socket; readonly isUnix: boolean };
  readonly first?: Uint8Array;
}

export class NodeStream implements HostStream {
  error: HostErrorCode | undefined;
  /** `readable` tells of every end. */
  readonly endAnnounced: boolean = false;
  readonly #arena: Uint8Array;
  readonly #target: NodeStreamTarget;
  readonly #received = new ReceiveQueue();
  readonly #wake: () => void;
  readonly #open: Set<Socket>;
  #socket: Socket;
  #retry: NodeJS.Timeout | undefined;
  #retriesLeft = MAX_RETRIES;
  #handler: HostStreamHandler | undefined;
  #state: 'connecting' | 'open' | 'released' = 'connecting';
  #ended = false;
  #paused = false;
  #readableOwed = false;
  #writableOwed = false;

  /** `open`: the connections to the outside until their descriptor is closed. */
  constructor(
    arena: Uint8Array,
    target: NodeStreamTarget,
    handler: HostStreamHandler,
    wake: () => void,
    open: Set<Socket>,
  ) {
    this.#open = open;
    this.#arena = arena;
    this.#target = target;
    this.#handler = handler;
    this.#wake = wake;
    this.#socket = this.#connect();
    if ('connected' in target.to) this.#state = 'open';
  }

  /** Who hears of the stream from now on, unless it is released. */
  set handler(handler: HostStreamHandler) {
    if (this.#state !== 'released') this.#handler = handler;
  }

  /** What Node still holds; what the kernel does, it does not tell. */
  get unacknowledged(): number | undefined {
    return this.#state === 'open' && this.#socket.writableLength > 0 ? this.#socket.writableLength : undefined;
  }

  peekInto(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const copied = this.#received.copySlots(offset, this.#arena, at, slotBytes, stride, count);
    if (copied > 0) {
      if (copied < slotBytes * count && (this.#ended || this.error !== undefined)) this.#oweReadable();
      return copied;
    }
    if (this.error !== undefined) return FAILED;
    return this.#ended && offset === this.#received.length ? 0 : WOULD_BLOCK;
  }

  /** Node sets no socket option of IP (capability tos: false). */
  setDscp(): void {}

  consume(length: number): void {
    this.#received.consume(length);
    if (!this.#paused || this.#received.length >= RETAIN_BYTES / 2) return;
    this.#paused = false;
    this.#socket.resume();
  }

  write(pieces: PieceList): number {
    if (this.error !== undefined) return FAILED;
    if (this.#state !== 'open' || this.#socket.writableEnded) return 0;
    const room = WRITE_BOUND_BYTES - this.#socket.writableLength;
    const total = lengthOf(pieces);
    const bytes = gather(this.#arena, pieces, Math.min(total, room));
    if (bytes.length > 0) this.#socket.write(bytes);
    if (bytes.length < total && !this.#socket.writableNeedDrain) this.#oweWritable();
    return bytes.length;
  }

  shutdownWrite(): void {
    if (this.#state === 'open') this.#socket.end();
  }

  close(): void {
    if (this.#state === 'connecting') this.abort();
    if (this.#state === 'released') return;
    this.#release();
    // Ends the writing side after all that was written, then closes the descriptor.
    this.#socket.destroySoon();
  }

  abort(): void {
    const connecting = this.#state === 'connecting';
    if (this.#state !== 'released') this.#release();
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (connecting || this.#isUnix) socket.destroy();
    // libuv refuses a reset while the FIN is on its way out, and would then leave the socket open.
    else if (socket.writableEnded && !socket.writableFinished && socket.writableLength === 0) {
      socket.once('finish', () => socket.destroyed || socket.resetAndDestroy());
    } else socket.resetAndDestroy();
  }

  #connect(): Socket {
    const { to, first } = this.#target;
    const socket = 'connected' in to ? to.connected : new Socket({ allowHalfOpen: true });
    socket.on('data', (chunk) => this.#arrived(chunk));
    socket.on('end', () => this.#readEnded());
    socket.on('drain', () => this.#tell('writable'));
    socket.on('error', (error) => this.#socketError(error));
    socket.on('close', () => this.#closed());
    socket.once('connect', () => this.#connected(first));
    socket.setNoDelay(true);
    if (!this.#isUnix) {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
    }
    if (!('connected' in to)) socket.connect(to);
    return socket;
  }

  /** A unix socket knows no reset. */
  get #isUnix(): boolean {
    const { to } = this.#target;
    return 'connected' in to ? to.isUnix : 'path' in to;
  }

  #release(): void {
    clearTimeout(this.#retry);
    this.#state = 'released';
    this.#handler = undefined;
    this.#received.clear();
    // What still comes is for nobody.
    this.#socket.resume();
  }

  #connected(first: Uint8Array | undefined): void {
    if (this.#state !== 'connecting') return;
    if (this.#hasMetItself()) {
      this.#socket.destroy();
      this.#failed('ECONNREFUSED');
      return;
    }
    this.#state = 'open';
    if (first !== undefined) this.#socket.write(first);
    this.#handler?.connected();
    this.#wake();
  }

  /**
   * A dial to a port at which nobody listens can get that very port as its own; the kernel connects the two (RFC 9293
   * §3.5).
   */
  #hasMetItself(): boolean {
    const { localPort, remotePort, localAddress, remoteAddress } = this.#socket;
    return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
  }

  #arrived(chunk: Uint8Array): void {
    if (this.#state === 'released') return;
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

  /**
   * A unix socket whose backlog is full says EAGAIN and lets nobody wait: dial again until the service took the others.
   */
  #socketError(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EAGAIN' || this.#state !== 'connecting') this.#failed(hostErrorCode(error));
    else if (this.#retriesLeft === 0) this.#failed('ETIMEDOUT');
    else {
      this.#retriesLeft--;
      this.#retry = setTimeout(() => {
        this.#socket = this.#connect();
      }, RETRY_MS);
    }
  }

  #failed(code: HostErrorCode): void {
    this.error ??= code;
    const handler = this.#handler;
    if (handler === undefined) return;
    if (this.#state === 'connecting') {
      this.#release();
      handler.failed(code);
    } else {
      handler.readable();
      this.#handler?.writable();
    }
    this.#wake();
  }

  /** The descriptor is closed. Without an error and without both ends that is a reset that nobody told. */
  #closed(): void {
    if (this.#state === 'open' && this.error === undefined && !(this.#ended && this.#socket.writableFinished)) {
      this.#failed('ECONNRESET');
    }
  }

  /** Whoever read less than he asked is told of what comes next, also when that is here already: an end or an error. */
  #oweReadable(): void {
    if (this.#readableOwed) return;
    this.#readableOwed = true;
    setImmediate(() => {
      this.#readableOwed = false;
      this.#tell('readable');
    });
  }

  /** The kernel took all at once, more than we would have kept: then no 'drain' comes, and there is room already. */
  #oweWritable(): void {
    if (this.#writableOwed) return;
    this.#writableOwed = true;
    setImmediate(() => {
      this.#writableOwed = false;
      this.#tell('writable');
    });
  }

  #tell(what: 'readable' | 'writable'): void {
    if (this.#state !== 'open') return;
    this.#handler?.[what]();
    this.#wake();
  }
}

function lengthOf(pieces: PieceList): number {
  let total = 0;
  for (let i = 0; i < pieces.count; i++) total += pieces.length[i] as number;
  return total;
}

/** One copy of the first `length` bytes of the pieces. */
function gather(arena: Uint8Array, pieces: PieceList, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(Math.max(0, length));
  let taken = 0;
  for (let i = 0; i < pieces.count && taken < bytes.length; i++) {
    const at = pieces.at[i] as number;
    const part = Math.min(pieces.length[i] as number, bytes.length - taken);
    bytes.set(arena.subarray(at, at + part), taken);
    taken += part;
  }
  return bytes;
}
