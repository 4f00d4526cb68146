import type { AttachmentKind } from '../attachment/kinds/kind.ts';
import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { AcceptGuest } from '../env/host.ts';
import type { AttachmentUrl } from '../config/listen.ts';
import { SlipwayError } from '../facts/errors.ts';
import { DescriptorTable } from '../host/epoll/descriptors.ts';
import type { LoopControl } from '../host/epoll/loop.ts';
import { NodeLoop } from '../host/node/loop.ts';
import { NodeHost } from '../host/node/node-host.ts';
import { adoptPipe } from '../host/node/pipe-endpoints.ts';
import { EngineLack } from './engine-lack.ts';
import { NODE_ATTACHMENTS, type NodeAttachment } from './node-attachments.ts';
import type { Inbox, Listening, ListenRequest, TapGuest, ThreadEngine, Turning } from './thread-engine.ts';
import type { ThreadData, ToNetwork } from './thread-mail.ts';
import { ThreadState } from './thread-state.ts';

/** The portable engine and its loop, which is Node's own. */
export class NodeThread implements ThreadEngine {
  readonly host: NodeHost;
  readonly services: Map<string, string>;
  /** Mail arrives by Node's loop. */
  readonly wakeDescriptor = -1;
  readonly #data: ThreadData;
  readonly #arena: Arena;
  readonly #control: LoopControl;
  readonly #wake = (): void => this.#loop.wake();
  readonly #loop: NodeLoop;
  /** By their URLs; as many as the configuration names. */
  readonly #attachments = new Map<string, NodeAttachment>();
  #crash: (error: unknown) => void = () => {};

  constructor(data: ThreadData, arena: Arena, clock: Clock, counters: Counters, control: LoopControl) {
    this.#data = data;
    this.#arena = arena;
    this.#control = control;
    this.#loop = new NodeLoop({ clock, onCrash: (error) => this.#crash(error) });
    this.services = new Map(Object.entries(data.services));
    this.host = new NodeHost({ arena, wake: this.#wake, services: this.services, counters });
  }

  async listen(request: ListenRequest, { carrier }: AttachmentKind, accept: AcceptGuest): Promise<Listening> {
    const { text } = request.url;
    const maker = NODE_ATTACHMENTS[carrier];
    if (maker instanceof EngineLack) throw maker.error(text);
    if (request.again === true) this.#attachments.get(text)?.close();
    const attachment = await maker(request, { arena: this.#arena, wake: this.#wake, accept });
    this.#attachments.set(text, attachment);
    return { fd: -1, port: attachment.port };
  }

  unlisten({ text }: AttachmentUrl): void {
    this.#attachments.get(text)?.close();
    this.#attachments.delete(text);
  }

  attachTap(tap: TapGuest): void {
    throw new SlipwayError(
      'ERR_ENGINE_UNAVAILABLE',
      `the tap ${tap.name} cannot be attached: the portable engine has no tap devices`,
      'Use --host-engine epoll.',
    );
  }

  /**
   * From here on Node closes the descriptor when its thread ends. In the table its number could stand for another file
   * by then.
   */
  own(fd: number): void {
    new DescriptorTable(this.#data.descriptors).forget(fd);
  }

  attachStream(fd: number, accept: AcceptGuest): void {
    adoptPipe(fd, { arena: this.#arena, wake: this.#wake, accept });
  }

  /** Node does not report changes; the DNS service looks at files and interfaces by itself. */
  onNetworkChange(): void {}

  async run(turn: Turning, inbox: Inbox): Promise<void> {
    // Runs however the thread ends, except when JavaScript never returns: then Node closes the sockets, and servers see
    // an end.
    process.once('exit', () => {
      // Left to Node, libuv would remove whatever is at their paths by then.
      for (const attachment of this.#attachments.values()) attachment.close();
      new ThreadState(this.#data.state).setReset(this.host.resetStreams());
    });
    const crashed = new Promise<never>((_resolve, reject) => {
      this.#crash = reject;
    });
    const stopped = new Promise<void>((resolve) => {
      this.#data.port.on('message', (mail: ToNetwork) => {
        if (this.#control.stopping) return resolve();
        try {
          inbox.receive(mail);
          this.#wake();
        } catch (error) {
          this.#crash(error);
        }
      });
    });
    this.#loop.start({
      run: (nowMs) => {
        this.#control.beat();
        turn.run(nowMs);
      },
      waitMs: (limitMs) => turn.waitMs(limitMs),
    });
    await Promise.race([stopped, crashed]);
    this.#loop.stop();
  }
}
