/**
 * The listening sockets of one forward, a range of up to thousands: bound by the control thread, which keeps their
 * numbers and hands them to the next network thread when this one dies (kind 'listener' of the descriptor table, and a
 * keep-set).
 *
 * TCP: paused is bound without listening, so the kernel refuses clients and keeps the port. `shutdown(SHUT_RD)` ends
 * the listening and resets what waits in the backlog; `listen` begins again. SO_REUSEADDR is set while it listens and
 * only then: without it `listen` fails beside connections that were accepted before (EADDRINUSE, also at the next bind
 * of the port), and with it somebody else could bind the port of a paused one. A port must have been bound by number:
 * one that the kernel chose (bind to 0) is lost at the first pause. All probed on Linux 6.18.
 *
 * Unix: a socket that was shut down never listens again (AF_UNIX keeps the mark), so once it has listened a pause
 * accepts its clients and closes them.
 *
 * Out of descriptors, or forbidden to, accept() fails at once and for ever: then all rest for 100 ms, and clients wait
 * in the backlog.
 */

import type { HostErrorCode } from '../../env/host.ts';
import type { HostListener, HostListenerHandler } from '../../env/host-listener.ts';
import { Timer } from '../../turn/timers.ts';
import type { AcceptedClient } from './accepted-client.ts';
import { adoptAccepted, setStreamOptions } from './adopt-stream.ts';
import type { EpollContext } from './context.ts';
import * as libc from './libc.ts';
import { CLIENT_LEFT, Errno, errorCode } from '../errno.ts';
import { SO_ACCEPTCONN, SO_DOMAIN, SO_REUSEADDR } from '../socket-options.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';

/** The kernel takes net.core.somaxconn when that is less. */
const BACKLOG = 4096;
/**
 * Clients that one socket accepts before the others have their turn; what all accept before the network has its own,
 * `AcceptedClient` bounds.
 */
const ACCEPTS_AT_ONCE = 64;
const REST_MS = 100;

/** One listening socket of the row. */
class ListeningSocket implements PollHandler {
  readonly fd: number;
  readonly index: number;
  readonly family: number;
  readonly #owner: ForwardListener;
  slot = -1;
  /** The kernel completes handshakes for it. */
  listening: boolean;

  constructor(owner: ForwardListener, fd: number, index: number, family: number, listening: boolean) {
    this.#owner = owner;
    this.fd = fd;
    this.index = index;
    this.family = family;
    this.listening = listening;
  }

  ready(): void {
    this.#owner.accept(this);
  }
}

export class ForwardListener implements HostListener {
  readonly #context: EpollContext;
  readonly #client: AcceptedClient;
  readonly #handler: HostListenerHandler;
  readonly #sockets: ListeningSocket[] = [];
  readonly #resting = new Set<ListeningSocket>();
  readonly #rested: Timer;
  #state: 'paused' | 'listening' | 'closed' = 'paused';

  private constructor(context: EpollContext, client: AcceptedClient, handler: HostListenerHandler) {
    this.#context = context;
    this.#client = client;
    this.#handler = handler;
    this.#rested = new Timer(() => this.#goOn());
  }

  /** Takes over bound stream sockets; closes them all when one is none. */
  static adopt(
    context: EpollContext,
    client: AcceptedClient,
    fds: readonly number[],
    index: readonly number[],
    handler: HostListenerHandler,
  ): ForwardListener | HostErrorCode {
    const listener = new ForwardListener(context, client, handler);
    const { memory, descriptors } = context;
    let code: HostErrorCode | undefined;
    for (const [i, fd] of fds.entries()) {
      const family = memory.option(fd, SO_DOMAIN);
      // Of a network thread that died it may listen still, with clients in its backlog.
      const listening = memory.option(fd, SO_ACCEPTCONN);
      if (family < 0 || listening < 0) code ??= errorCode(libc.errno());
      descriptors.record(fd, 'listener');
      libc.fcntl(fd, libc.F_SETFL, libc.O_NONBLOCK);
      libc.fcntl(fd, libc.F_SETFD, libc.FD_CLOEXEC);
      listener.#sockets.push(new ListeningSocket(listener, fd, index[i] as number, family, listening === 1));
    }
    if (code === undefined) return listener;
    listener.close();
    return code;
  }

  pause(): void {
    if (this.#state === 'listening') this.#state = 'paused';
    if (this.#state !== 'paused') return;
    for (const socket of this.#sockets) {
      if (!socket.listening) continue;
      if (socket.family === libc.AF_UNIX) {
        // Handed on while it listened: who comes is to be turned away from now on.
        if (socket.slot < 0) socket.slot = this.#context.poller.add(socket.fd, socket, INPUT_EVENTS);
        continue;
      }
      socket.listening = false;
      this.#context.memory.setOption(socket.fd, SO_REUSEADDR, 0);
      libc.shutdown(socket.fd, libc.SHUT_RD);
    }
  }

  resume(): HostErrorCode | undefined {
    if (this.#state !== 'paused') return undefined;
    this.#state = 'listening';
    for (const socket of this.#sockets) {
      const number = this.#listen(socket);
      if (number === 0) continue;
      this.pause();
      return errorCode(number);
    }
    return undefined;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const { poller, descriptors } = this.#context;
    poller.timers.cancel(this.#rested);
    this.#resting.clear();
    for (const { fd, slot } of this.#sockets) {
      if (slot >= 0) {
        poller.remove(slot);
        poller.deregister(fd);
      }
      // At once: who hears that the forward is closed may bind the port again.
      descriptors.forget(fd);
      libc.close(fd);
    }
    this.#sockets.length = 0;
  }

  /** Accepts what waits at `socket`. */
  accept(socket: ListeningSocket): void {
    if (this.#resting.size > 0) {
      this.#resting.add(socket);
      return;
    }
    if (this.#client.hadItsShare) {
      this.#context.poller.owe(socket);
      return;
    }
    let accepted = 0;
    for (let left = ACCEPTS_AT_ONCE; this.#state !== 'closed'; left--) {
      if (left === 0) {
        if (accepted > 0) this.#context.poller.owe(socket);
        else this.#rest(socket);
        return;
      }
      const fd = this.#client.accept(socket.fd);
      if (fd >= 0) {
        accepted++;
        this.#welcome(fd, socket);
        continue;
      }
      const number = libc.errno();
      // EINVAL: it does not listen.
      if (number === Errno.EAGAIN || number === Errno.EINVAL) return;
      // The client left before it was accepted: the next one may be fine.
      if (CLIENT_LEFT.has(number)) continue;
      this.#rest(socket);
      return;
    }
  }

  /** 0, or the errno with which the kernel refuses. */
  #listen(socket: ListeningSocket): number {
    const { memory, poller } = this.#context;
    if (!socket.listening) {
      setStreamOptions(this.#context, socket.fd, socket.family);
      memory.setOption(socket.fd, SO_REUSEADDR, 1);
      if (libc.listen(socket.fd, BACKLOG) < 0) {
        const number = libc.errno();
        memory.setOption(socket.fd, SO_REUSEADDR, 0);
        return number;
      }
      socket.listening = true;
    }
    if (socket.slot < 0) socket.slot = poller.add(socket.fd, socket, INPUT_EVENTS);
    return socket.slot >= 0 ? 0 : libc.errno();
  }

  #welcome(fd: number, socket: ListeningSocket): void {
    const stream = adoptAccepted(this.#context, fd, socket.family);
    if (typeof stream === 'string') {
      this.#context.counters.add('forward-accept-failed');
      return;
    }
    const handler =
      this.#state === 'listening' ? this.#handler.accepted(stream, this.#client, socket.index) : undefined;
    if (handler === undefined) stream.abort();
    else stream.handler = handler;
  }

  #rest(socket: ListeningSocket): void {
    this.#context.counters.add('forward-accept-failed');
    this.#resting.add(socket);
    this.#context.poller.timers.arm(this.#rested, REST_MS);
  }

  #goOn(): void {
    const resting = [...this.#resting];
    this.#resting.clear();
    // The first that fails again sends all behind it to rest.
    for (const socket of resting) this.accept(socket);
  }
}
