import { chmodSync, fchmodSync, lstatSync, rmSync } from 'node:fs';
import type { AttachmentPlace } from '../../env/attachment-place.ts';
import type { AcceptGuest, HostErrorCode } from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import type { EpollContext } from './context.ts';
import type { KernelMemory } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import { SO_ERROR, SO_REUSEADDR, TCP_NODELAY } from '../socket-options.ts';
import { EpollPipe } from './pipe.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';

const BACKLOG = 128;
/** Without descriptors accept() fails at once and for ever: the listener rests for so long. */
const PAUSE_MS = 100;
const FIRST_REDIAL_MS = 100;
const LAST_REDIAL_MS = 2000;

/**
 * Opens the socket at which guests attach, owned by the caller until an AttachmentListener adopts it, or of datagrams
 * GuestDatagrams. A unix socket file that nobody listens
 * on is replaced; the new one is for this user only (0600). ENOTSOCK: something else is at the path, and stays there.
 */
export function openListeningSocket(
  memory: KernelMemory,
  place: AttachmentPlace,
  type: number = libc.SOCK_STREAM,
): number | HostErrorCode | 'ENOTSOCK' {
  const family = place.kind === 'unix' ? libc.AF_UNIX : libc.AF_INET;
  const fd = libc.socket(family, type | libc.SOCK_FLAGS, 0);
  if (fd < 0) return errorCode(libc.errno());
  // A datagram socket takes what comes from the bind on: its file is this user's from the first moment.
  if (type === libc.SOCK_DGRAM) fchmodSync(fd, 0o600);
  let number = bindTo(memory, fd, place);
  if (number === 0 && type === libc.SOCK_STREAM && libc.listen(fd, BACKLOG) < 0) number = libc.errno();
  if (number === 0) return fd;
  libc.close(fd);
  if (number === Errno.ENOTSOCK) return 'ENOTSOCK';
  // ENOENT of bind is a folder that is missing.
  return number === Errno.ENOENT ? 'EADDRNOTAVAIL' : errorCode(number);
}

/** The port that the kernel chose for a TCP listener on port 0. */
export function boundPort(memory: KernelMemory, fd: number): number {
  memory.setU32(memory.scalar, 128);
  libc.getsockname(fd, memory.base + memory.name, memory.base + memory.scalar);
  return memory.readPort(memory.name);
}

/** Accepts guests on a listening socket until closed. */
export class AttachmentListener implements PollHandler {
  /** Stays valid in the whole process; a new network thread adopts it after a crash of the old. */
  readonly fd: number;
  readonly #context: EpollContext;
  readonly #accept: AcceptGuest;
  readonly #resume: Timer;
  #slot: number;

  /** Throws when epoll refuses the descriptor, which is then no listening socket. */
  constructor(context: EpollContext, fd: number, accept: AcceptGuest) {
    this.fd = fd;
    this.#context = context;
    this.#accept = accept;
    this.#resume = new Timer(() => this.ready());
    context.descriptors.record(fd, 'listener');
    this.#slot = context.poller.add(fd, this, INPUT_EVENTS);
    if (this.#slot < 0) throw new Error(`descriptor ${fd} is not a listening socket (${errorCode(libc.errno())})`);
  }

  ready(): void {
    while (this.#slot >= 0) {
      const fd = libc.accept4(this.fd, 0, 0, libc.SOCK_FLAGS);
      if (fd >= 0) {
        welcome(this.#context, fd, this.#accept);
        continue;
      }
      const code = libc.errno();
      if (code === Errno.EAGAIN) return;
      // The guest left before it was accepted: the next one may be fine.
      if (errorCode(code) === 'ECONNABORTED' || code === Errno.EINTR) continue;
      this.#context.counters.add('attachment-accept-failed');
      this.#context.poller.timers.arm(this.#resume, PAUSE_MS);
      return;
    }
  }

  /** Stops accepting and closes the socket; guests stay. A unix socket's file is its owner's to remove. */
  close(): void {
    if (this.#slot < 0) return;
    this.#context.poller.timers.cancel(this.#resume);
    this.#context.poller.remove(this.#slot);
    this.#slot = -1;
    this.#context.poller.deregister(this.fd);
    this.#context.poller.closeDescriptor(this.fd);
  }
}

/** Connects to a guest that listens, and again whenever its pipe is closed, for ever: after 100 ms, up to 2 s. */
export class AttachmentDialer implements PollHandler {
  readonly #context: EpollContext;
  readonly #place: AttachmentPlace;
  readonly #accept: AcceptGuest;
  readonly #redial: Timer;
  #delayMs = FIRST_REDIAL_MS;
  #fd = -1;
  #slot = -1;
  #closed = false;

  constructor(context: EpollContext, place: AttachmentPlace, accept: AcceptGuest) {
    this.#context = context;
    this.#place = place;
    this.#accept = accept;
    this.#redial = new Timer(() => this.#dial());
    this.#dial();
  }

  ready(events: number): void {
    if (this.#fd < 0 || (events & (libc.EPOLLOUT | libc.EPOLLERR | libc.EPOLLHUP)) === 0) return;
    const number = this.#context.memory.option(this.#fd, SO_ERROR);
    const fd = this.#letGo();
    if (number !== 0) {
      this.#retry(fd);
      return;
    }
    this.#context.poller.deregister(fd);
    const pipe = welcome(this.#context, fd, this.#accept);
    if (pipe === undefined || typeof pipe === 'string') this.#again();
    else {
      this.#delayMs = FIRST_REDIAL_MS;
      pipe.onClosed = () => this.#again();
    }
  }

  /** Dials no more; a guest that is attached stays. */
  close(): void {
    this.#closed = true;
    this.#context.poller.timers.cancel(this.#redial);
    if (this.#fd >= 0) this.#context.poller.closeDescriptor(this.#letGo());
  }

  #dial(): void {
    if (this.#closed) return;
    const { memory, poller, descriptors } = this.#context;
    const family = this.#place.kind === 'unix' ? libc.AF_UNIX : libc.AF_INET;
    const fd = libc.socket(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
    if (fd < 0) {
      this.#again();
      return;
    }
    descriptors.record(fd, 'guest');
    const length = writePlace(memory, this.#place);
    const failed = length < 0 || libc.connect(fd, memory.base + memory.name, length) < 0;
    if (failed && (length < 0 || libc.errno() !== Errno.EINPROGRESS)) {
      this.#retry(fd);
      return;
    }
    this.#fd = fd;
    this.#slot = poller.add(fd, this);
    if (this.#slot < 0) this.#retry(this.#letGo());
  }

  #letGo(): number {
    const fd = this.#fd;
    if (this.#slot >= 0) this.#context.poller.remove(this.#slot);
    this.#slot = -1;
    this.#fd = -1;
    return fd;
  }

  #retry(fd: number): void {
    this.#context.poller.closeDescriptor(fd);
    this.#again();
  }

  #again(): void {
    if (this.#closed) return;
    this.#context.poller.timers.arm(this.#redial, this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, LAST_REDIAL_MS);
  }
}

/**
 * Makes a guest of a connected stream socket, which it owns: turned away (undefined), or no such socket (the error), it
 * is closed.
 */
export function welcome(context: EpollContext, fd: number, accept: AcceptGuest): EpollPipe | HostErrorCode | undefined {
  const pipe = EpollPipe.adopt(context, fd, 'stream');
  if (typeof pipe === 'string') {
    context.poller.closeDescriptor(fd);
    return pipe;
  }
  context.memory.setOption(fd, TCP_NODELAY, 1);
  pipe.handler = accept(pipe);
  if (pipe.handler !== undefined) return pipe;
  pipe.close();
  return undefined;
}

function bindTo(memory: KernelMemory, fd: number, place: AttachmentPlace): number {
  if (place.kind === 'tcp') memory.setOption(fd, SO_REUSEADDR, 1);
  const length = writePlace(memory, place);
  if (length < 0) return Errno.EINVAL;
  if (libc.bind(fd, memory.base + memory.name, length) < 0) {
    const number = libc.errno();
    if (place.kind !== 'unix' || number !== Errno.EADDRINUSE || !isAbandoned(memory, length)) return number;
    // A file of any other kind refuses too.
    if (lstatSync(place.path, { throwIfNoEntry: false })?.isSocket() === false) return Errno.ENOTSOCK;
    rmSync(place.path, { force: true });
    if (libc.bind(fd, memory.base + memory.name, length) < 0) return libc.errno();
  }
  // Before listen() nobody can connect, so no one slips in under the umask's mode.
  if (place.kind === 'unix') chmodSync(place.path, 0o600);
  return 0;
}

/** Whether the unix socket whose address is in `memory.name` refuses: its owner is gone. */
function isAbandoned(memory: KernelMemory, length: number): boolean {
  const probe = libc.socket(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  if (probe < 0) return false;
  const refused = libc.connect(probe, memory.base + memory.name, length) < 0 && libc.errno() === Errno.ECONNREFUSED;
  libc.close(probe);
  return refused;
}

function writePlace(memory: KernelMemory, place: AttachmentPlace): number {
  return place.kind === 'unix'
    ? memory.writeUnixAddress(place.path)
    : memory.writeAddress(memory.name, place.address, place.port);
}
