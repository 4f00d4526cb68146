import { FAILED, type HostErrorCode, type HostPipe, type HostPipeHandler, WOULD_BLOCK } from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import { Errno, errorCode } from '../errno.ts';
import type { EpollContext } from './context.ts';
import { NAME_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';

/**
 * After ENOBUFS nothing tells when there is room: the pipe is tried again after so long, and each time twice as long.
 */
const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 32;

/**
 * The guest to which a datagram socket is connected (`GuestDatagrams`): one frame a datagram. The socket is not its
 * own.
 */
export class DatagramPipe implements HostPipe {
  handler: HostPipeHandler | undefined;
  readonly #context: EpollContext;
  readonly #fd: number;
  readonly #peer: Uint8Array;
  readonly #onClosed: () => void;
  readonly #retry: Timer;
  #retryMs = FIRST_RETRY_MS;
  #error: HostErrorCode | undefined;
  #closed = false;
  /** Datagrams of others may wait that came before the socket was connected. */
  #mixed = true;

  /** `peer`: the guest's address, as the kernel gives it. `onClosed` is called once. */
  constructor(context: EpollContext, fd: number, peer: Uint8Array, onClosed: () => void) {
    this.#context = context;
    this.#fd = fd;
    this.#peer = peer;
    this.#onClosed = onClosed;
    this.#retry = new Timer(() => this.handler?.writable());
  }

  get error(): HostErrorCode | undefined {
    return this.#error;
  }

  read(at: number, capacity: number): number {
    if (this.#closed || this.#error !== undefined) return FAILED;
    for (;;) {
      const taken = this.#receive(at, capacity);
      if (taken >= 0 && this.#mixed && !this.#isFromPeer()) {
        this.#context.counters.add('datagram-stranger');
        continue;
      }
      if (taken >= 0) return taken;
      const number = libc.errno();
      if (number !== Errno.EAGAIN) return this.#broken(number);
      this.#mixed = false;
      return WOULD_BLOCK;
    }
  }

  write(at: number, length: number): number {
    if (this.#closed || this.#error !== undefined) return FAILED;
    const flags = libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT;
    if (libc.send(this.#fd, this.#context.memory.base + at, length, flags) >= 0) {
      this.#retryMs = FIRST_RETRY_MS;
      return length;
    }
    const number = libc.errno();
    if (number === Errno.EAGAIN) return 0;
    // Longer than the socket's buffer (wmem_max): that frame is lost.
    if (number === Errno.EMSGSIZE) return FAILED;
    if (number !== Errno.ENOBUFS && number !== Errno.ENOMEM) return this.#broken(number);
    this.#context.counters.add('datagram-send-backoff');
    this.#context.poller.timers.arm(this.#retry, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
    return 0;
  }

  /** Lets the guest go; the socket stays. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.handler = undefined;
    this.#context.poller.timers.cancel(this.#retry);
    this.#onClosed();
  }

  /** The guest is gone: whoever reads or writes is told. */
  fail(code: HostErrorCode): void {
    this.#error ??= code;
    this.handler?.readable();
  }

  ready(events: number): void {
    if ((events & ~libc.EPOLLOUT) !== 0) this.handler?.readable();
    if ((events & (libc.EPOLLOUT | libc.EPOLLERR)) !== 0) this.handler?.writable();
  }

  #receive(at: number, capacity: number): number {
    const { memory } = this.#context;
    const { base, name, scalar } = memory;
    if (!this.#mixed) return libc.recv(this.#fd, base + at, capacity, libc.MSG_DONTWAIT);
    memory.setU32(scalar, NAME_BYTES);
    return libc.recvfrom(this.#fd, base + at, capacity, libc.MSG_DONTWAIT, base + name, base + scalar);
  }

  #isFromPeer(): boolean {
    const { memory } = this.#context;
    if (memory.u32(memory.scalar) !== this.#peer.length) return false;
    return this.#peer.every((byte, index) => byte === memory.arena.bytes[memory.name + index]);
  }

  /** ENOTCONN is how a socket whose guest is known to be gone says so again. */
  #broken(number: number): number {
    this.#error ??= number === Errno.ENOTCONN ? 'ECONNREFUSED' : errorCode(number);
    return FAILED;
  }
}
