import { setImmediate } from 'node:timers/promises';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { AttachmentKind } from '../attachment/kinds/kind.ts';
import type { AttachmentUrl } from '../config/listen.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { AcceptGuest } from '../env/host.ts';
import { SlipwayError } from '../facts/errors.ts';
import { DescriptorTable } from '../host/epoll/descriptors.ts';
import { EpollHost } from '../host/epoll/engine.ts';
import { KernelMemory, type NativeArena } from '../host/epoll/kernel-memory.ts';
import { type LoopControl, runLoop } from '../host/epoll/loop.ts';
import { Poller } from '../host/epoll/poller.ts';
import { EPOLL_ATTACHMENTS, type EpollAttachment } from './epoll-attachments.ts';
import type { AcceptTap, Inbox, Listening, ListenRequest, TapGuest, ThreadEngine, Turning } from './thread-engine.ts';
import type { ThreadData, ToNetwork } from './thread-mail.ts';

/**
 * A path that died without a word (Wi-Fi gone, VPN down) ends a flow with bytes in flight after this, an idle one after
 * about twice this.
 */
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
  readonly #attachments = new Map<string, EpollAttachment>();

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

  listen(request: ListenRequest, { carrier }: AttachmentKind, accept: AcceptGuest): Listening {
    const { text } = request.url;
    const attachment = EPOLL_ATTACHMENTS[carrier]({ host: this.host, memory: this.#memory }, request, accept);
    if (request.again === true) this.#attachments.get(text)?.close();
    this.#attachments.set(text, attachment);
    return { fd: attachment.fd, port: attachment.port };
  }

  unlisten({ text }: AttachmentUrl): void {
    this.#attachments.get(text)?.close();
    this.#attachments.delete(text);
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
      for (let taken = 0; taken < MAIL_PER_TURN; ) {
        const next = receiveMessageOnPort(port);
        if (next === undefined) return;
        const mail = next.message as ToNetwork;
        inbox.receive(mail);
        taken += mail.kind === 'requests' ? mail.requests.length : 1;
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
