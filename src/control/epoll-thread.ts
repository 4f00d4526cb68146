import { setImmediate } from 'node:timers/promises';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { AttachmentPlace } from '../env/attachment-place.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { AcceptGuest } from '../env/host.ts';
import { SlipwayError } from '../facts/errors.ts';
import { type AttachmentListener, boundPort, openListeningSocket } from '../host/epoll/attachment-listener.ts';
import { DescriptorTable } from '../host/epoll/descriptors.ts';
import { EpollHost } from '../host/epoll/engine.ts';
import { KernelMemory, type NativeArena } from '../host/epoll/kernel-memory.ts';
import { type LoopControl, runLoop } from '../host/epoll/loop.ts';
import { Poller } from '../host/epoll/poller.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { AcceptTap, Inbox, Listening, ListenRequest, TapGuest, ThreadEngine, Turning } from './thread-engine.ts';
import type { ThreadData, ToNetwork } from './thread-mail.ts';

/** A path that died without a word (Wi-Fi gone, VPN down) ends a flow with bytes in flight after this, an idle one after about twice this. */
const KEEPALIVE_SECONDS = 120;

/** Requests and events of control before the network has its turn; the rest is taken after it. */
const MAIL_PER_TURN = 64;

/** The epoll engine and its loop. Loaded on demand: it brings the FFI. */
export class EpollThread implements ThreadEngine {
  readonly host: EpollHost;
  readonly services: Map<string, string>;
  readonly #data: ThreadData;
  readonly #memory: KernelMemory;
  readonly #poller: Poller;
  readonly #clock: Clock;
  readonly #control: LoopControl;
  /** By their URLs; as many as the configuration names. */
  readonly #listeners = new Map<string, AttachmentListener>();

  constructor(data: ThreadData, arena: NativeArena, clock: Clock, counters: Counters, control: LoopControl) {
    this.#data = data;
    const descriptors = new DescriptorTable(data.descriptors);
    this.#memory = new KernelMemory(arena);
    this.#poller = new Poller(this.#memory, descriptors, clock);
    this.#clock = clock;
    this.#control = control;
    this.services = new Map(Object.entries(data.services));
    this.host = new EpollHost({
      memory: this.#memory,
      poller: this.#poller,
      descriptors,
      counters,
      services: this.services,
      keepAliveSeconds: KEEPALIVE_SECONDS,
    });
  }

  get wakeDescriptor(): number {
    return this.#poller.wakeDescriptor;
  }

  listen(request: ListenRequest, accept: AcceptGuest): Listening {
    const { url } = request;
    if (url.connect) {
      this.host.redial(url.target, accept);
      return { fd: -1, port: 0 };
    }
    const fd = request.fd ?? openListeningSocket(this.#memory, url.target);
    if (typeof fd === 'string') throw listenError(url.target, fd);
    if (request.again === true) this.#listeners.get(url.text)?.close();
    this.#listeners.set(url.text, this.host.listen(fd, accept));
    return { fd, port: url.target.kind === 'tcp' ? boundPort(this.#memory, fd) : 0 };
  }

  attachTap(tap: TapGuest, handlerOf: AcceptTap): void {
    const pipe = this.host.adoptPipe(tap.fd, 'tap');
    if (typeof pipe === 'string')
      throw new SlipwayError('ERR_SYSTEM_CALL', `the tap ${tap.name} cannot be used: ${pipe}`);
    const sockets = tap.sockets && this.host.seeSockets(tap.sockets);
    pipe.onClosed = () => sockets?.close();
    pipe.handler = handlerOf(pipe, sockets);
  }

  /** It stays in the table, as all that this engine holds. */
  own(): void {}

  attachStream(fd: number, accept: AcceptGuest): void {
    const error = this.host.welcome(fd, accept);
    if (error !== undefined) throw new SlipwayError('ERR_SYSTEM_CALL', `a guest's socket cannot be used: ${error}`);
  }

  onNetworkChange(tell: () => void): void {
    this.host.onNetworkChange = tell;
  }

  async run(turn: Turning, inbox: Inbox): Promise<void> {
    const { port } = this.#data;
    this.#poller.onWake = () => {
      inbox.receive(undefined);
      for (let taken = 0; taken < MAIL_PER_TURN; taken++) {
        const next = receiveMessageOnPort(port);
        if (next === undefined) return;
        inbox.receive(next.message as ToNetwork);
      }
      this.#poller.wake();
    };
    // What came before the eventfd was known has woken nobody.
    this.#poller.wake();
    const loop = {
      turn,
      poller: this.#poller,
      clock: this.#clock,
      control: this.#control,
      pauses: () => inbox.pending > 0,
    };
    while (!this.#control.stopping) {
      runLoop(loop);
      // No promise settles as long as that loop has the thread.
      await setImmediate();
    }
  }
}

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EACCES: 'Choose a folder that you may write to, or a port above 1023.',
  ENOTSOCK: 'A file that is no socket is there: move it away, or choose another path.',
};

function listenError(target: AttachmentPlace, errno: string): SlipwayError {
  const place = target.kind === 'unix' ? target.path : `${formatIpv4Address(target.address)}:${target.port}`;
  if (errno === 'EADDRINUSE') {
    return new SlipwayError(
      'ERR_LISTEN_IN_USE',
      `another process listens at ${place}`,
      'Stop it, or choose another address with --listen.',
    );
  }
  if (errno === 'EMFILE' || errno === 'ENFILE') {
    return new SlipwayError(
      'ERR_LISTEN_FAILED',
      `cannot listen for guests at ${place}: all descriptors are in use (${errno})`,
      'Raise the limit of open files: ulimit -n 4096.',
    );
  }
  return new SlipwayError(
    'ERR_LISTEN_FAILED',
    `cannot listen for guests at ${place} (${errno})`,
    LISTEN_HINTS[errno] ?? 'Check the address.',
  );
}
