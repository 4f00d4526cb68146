import { FAILED, type HostErrorCode, type HostPipe, type HostPipeHandler, WOULD_BLOCK } from '../../env/host.ts';
import type { EpollContext } from './context.ts';
import * as libc from './libc.ts';
import { raiseBuffers } from '../socket-options.ts';
import { Errno, errorCode } from '../errno.ts';
import type { PollHandler } from './poller.ts';

export type PipeKind = 'stream' | 'tap';

/** Room for a batch of frames each way, so that one wake-up moves much. */
const BUFFER_BYTES = 4 * 2 ** 20;
/** What reading or writing a tap says when the device is gone: EBADF, EFAULT (its queue was shut), EBADFD. */
const TAP_GONE: readonly number[] = [9, 14, 77];

/**
 * A guest's stream socket or a tap device. The handler is set by whoever attaches the guest, before the next wait.
 *
 * A tap's frame that the kernel refuses (EIO while the interface is down, EINVAL for a bad offload header) is lost and
 * counted; the device lives.
 */
export class EpollPipe implements HostPipe, PollHandler {
  /** Who is told; none before the guest is attached. */
  handler: HostPipeHandler | undefined;
  /** Called once, when the pipe is closed by its owner. */
  onClosed: (() => void) | undefined;
  readonly fd: number;
  readonly #context: EpollContext;
  readonly #kind: PipeKind;
  #slot = -1;
  #error: HostErrorCode | undefined;
  /** The end was announced: behind a short read it waits, and no new edge tells. */
  #ended = false;

  private constructor(context: EpollContext, fd: number, kind: PipeKind) {
    this.#context = context;
    this.fd = fd;
    this.#kind = kind;
  }

  /**
   * Takes over `fd` (made non-blocking): a connected stream socket or a tap device, new or left by a network thread
   * that died. What waits in it already is announced by the next wait.
   */
  static adopt(context: EpollContext, fd: number, kind: PipeKind): EpollPipe | HostErrorCode {
    const flags = libc.fcntl(fd, libc.F_GETFL, 0);
    if (flags < 0 || libc.fcntl(fd, libc.F_SETFL, flags | libc.O_NONBLOCK) < 0) return errorCode(libc.errno());
    const pipe = new EpollPipe(context, fd, kind);
    context.descriptors.record(fd, kind === 'tap' ? 'tap' : 'guest');
    if (kind === 'stream') raiseBuffers(context.memory, fd, BUFFER_BYTES);
    pipe.#slot = context.poller.add(fd, pipe);
    if (pipe.#slot >= 0) return pipe;
    const code = errorCode(libc.errno());
    context.descriptors.forget(fd);
    return code;
  }

  get error(): HostErrorCode | undefined {
    return this.#error;
  }

  read(at: number, capacity: number): number {
    if (this.#slot < 0) return FAILED;
    const address = this.#context.memory.base + at;
    const taken =
      this.#kind === 'tap'
        ? libc.read(this.fd, address, capacity)
        : libc.recv(this.fd, address, capacity, libc.MSG_DONTWAIT);
    if (taken >= 0) {
      if (taken > 0 && taken < capacity && this.#ended) this.#context.poller.owe(this);
      return taken;
    }
    const number = libc.errno();
    if (number === Errno.EAGAIN) return this.#error === undefined ? WOULD_BLOCK : FAILED;
    this.#error ??= errorCode(number);
    return FAILED;
  }

  write(at: number, length: number): number {
    if (this.#slot < 0 || this.#error !== undefined) return FAILED;
    const address = this.#context.memory.base + at;
    const taken =
      this.#kind === 'tap'
        ? libc.write(this.fd, address, length)
        : libc.send(this.fd, address, length, libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
    if (taken >= 0) return taken;
    const number = libc.errno();
    if (number === Errno.EAGAIN) return 0;
    if (this.#kind === 'stream' || TAP_GONE.includes(number)) this.#error = errorCode(number);
    else this.#context.counters.add(number === Errno.EIO ? 'tap-frame-refused-down' : 'tap-frame-refused');
    return FAILED;
  }

  close(): void {
    if (this.#slot < 0) return;
    this.#context.poller.remove(this.#slot);
    this.#slot = -1;
    // A tap, or a socket that another process passed, may live on in copies of the descriptor.
    this.#context.poller.deregister(this.fd);
    this.#context.poller.closeDescriptor(this.fd);
    this.onClosed?.();
  }

  ready(events: number): void {
    if (this.#slot < 0) return;
    if ((events & (libc.EPOLLRDHUP | libc.EPOLLHUP | libc.EPOLLERR)) !== 0) this.#ended = true;
    if ((events & ~libc.EPOLLOUT) !== 0) this.handler?.readable();
    const room = (events & (libc.EPOLLOUT | libc.EPOLLERR | libc.EPOLLHUP)) !== 0;
    if (room && this.#slot >= 0) this.handler?.writable();
  }
}
