import type { AttachmentPlace } from '../../env/attachment-place.ts';
import type { Counters } from '../../env/counters.ts';
import type {
  AcceptGuest,
  Host,
  HostAddress,
  HostCapabilities,
  HostDatagram,
  HostDatagramHandler,
  HostErrorCode,
  HostStream,
  HostStreamHandler,
  Origin,
} from '../../env/host.ts';
import type {
  BoundSockets,
  HostDatagramServer,
  HostDatagramServerHandler,
  HostListener,
  HostListenerHandler,
  HostListeners,
} from '../../env/host-listener.ts';
import type { GuestSocketDescriptors } from '../namespace/namespace-guest.ts';
import { writeProxyV2 } from '../proxy-v2.ts';
import { AcceptedClient } from './accepted-client.ts';
import { adoptStream } from './adopt-stream.ts';
import { AttachmentDialer, AttachmentListener, welcome } from './attachment-listener.ts';
import type { EpollContext } from './context.ts';
import { EpollDatagram } from './datagram.ts';
import { EpollDatagramServer } from './datagram-server.ts';
import type { DescriptorTable } from './descriptors.ts';
import { dialTcp, dialUnix } from './dial.ts';
import { type EchoWay, EpollEcho, findEchoWay, PING_HINT } from './echo.ts';
import { ForwardListener } from './forward-listener.ts';
import { canPeekAtOffset } from './intake.ts';
import { GuestDatagrams } from './guest-datagrams.ts';
import type { KernelMemory } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { MessageTables } from './message-tables.ts';
import { NamespaceSockets } from './namespace-sockets.ts';
import { NetworkWatch } from './network-watch.ts';
import { OpenStreams } from './open-streams.ts';
import { EpollPipe, type PipeKind } from './pipe.ts';
import type { Poller } from './poller.ts';
import { ServerMessages } from './server-messages.ts';
import { ServerOutbox } from './server-outbox.ts';

/** Ahead of a stream to a service of the user's own. */
const NO_PREAMBLE = new Uint8Array(0);

export interface EpollHostOptions {
  readonly memory: KernelMemory;
  readonly poller: Poller;
  readonly descriptors: DescriptorTable;
  readonly counters: Counters;
  /** Services by name: the path of the unix socket each listens on. May change later. */
  readonly services: ReadonlyMap<string, string>;
  /**
   * False keeps received bytes in rings of our own even where the kernel can peek at an offset (for tests). Default
   * true.
   */
  readonly peekOffset?: boolean;
  /**
   * Seconds of silence before the host probes a connection's peer, or gives it up that owes an answer; 0 (default):
   * never.
   */
  readonly keepAliveSeconds?: number;
}

/**
 * The host engine of Linux: non-blocking sockets through FFI, told apart by one edge-triggered epoll. It belongs to the
 * thread whose loop calls `poller.wait`; handlers run only there. No call blocks.
 */
export class EpollHost implements Host, HostListeners {
  readonly capabilities: HostCapabilities;
  readonly #context: EpollContext;
  readonly #client: AcceptedClient;
  readonly #serverMessages: ServerMessages;
  readonly #serverOutbox: ServerOutbox;
  readonly #services: ReadonlyMap<string, string>;
  readonly #echoWay: EchoWay | undefined;
  readonly #watch: NetworkWatch;
  readonly #leaving = new Set<GuestDatagrams>();

  constructor(options: EpollHostOptions) {
    const { memory, poller, descriptors, counters } = options;
    const wanted = options.peekOffset ?? true;
    const keepAliveSeconds = options.keepAliveSeconds ?? 0;
    this.#context = {
      memory,
      poller,
      tables: new MessageTables(memory),
      descriptors,
      counters,
      streams: new OpenStreams({ memory, poller, counters, keepAliveSeconds }),
      keepAliveSeconds,
      peekOffset: {
        inet: wanted && canPeekAtOffset(memory, libc.AF_INET),
        inet6: wanted && canPeekAtOffset(memory, libc.AF_INET6),
        unix: wanted && canPeekAtOffset(memory, libc.AF_UNIX),
      },
    };
    this.#client = new AcceptedClient(memory, poller);
    this.#serverMessages = new ServerMessages(memory);
    this.#serverOutbox = new ServerOutbox(this.#context);
    this.#services = options.services;
    this.#watch = new NetworkWatch(this.#context);
    this.#echoWay = findEchoWay();
    const ping = this.#echoWay !== undefined;
    this.capabilities = {
      icmpErrors: true,
      ttl: true,
      tos: true,
      ping,
      refusal: true,
      tap: true,
      pingHint: ping ? '' : PING_HINT,
    };
  }

  /**
   * Called between turns when this computer's addresses or routes changed: what was learnt of the old network may be
   * wrong.
   */
  set onNetworkChange(tell: (() => void) | undefined) {
    this.#watch.onChange = tell;
  }

  dial(
    address: HostAddress,
    port: number,
    ttl: number,
    handler: HostStreamHandler,
    dscp = 0,
  ): HostStream | HostErrorCode {
    return dialTcp(this.#context, address, port, ttl, dscp, handler);
  }

  dialService(service: string, origin: Origin | undefined, handler: HostStreamHandler): HostStream | HostErrorCode {
    const path = this.#services.get(service);
    if (path === undefined) return 'ECONNREFUSED';
    return dialUnix(this.#context, path, origin === undefined ? NO_PREAMBLE : writeProxyV2(origin), handler);
  }

  openDatagram(handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return EpollDatagram.open(this.#context, handler);
  }

  openEcho(handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return this.#echoWay === undefined ? 'EACCES' : EpollEcho.open(this.#context, this.#echoWay, handler);
  }

  /** Takes descriptors (kind 'addresses': EINVAL, binding is the control thread's). On failure they are closed. */
  listenStreams(sockets: BoundSockets, handler: HostListenerHandler): HostListener | HostErrorCode {
    if (sockets.kind !== 'descriptors') return 'EINVAL';
    return ForwardListener.adopt(this.#context, this.#client, sockets.fds, sockets.index, handler);
  }

  /** As `listenStreams`. */
  serveDatagrams(sockets: BoundSockets, handler: HostDatagramServerHandler): HostDatagramServer | HostErrorCode {
    if (sockets.kind !== 'descriptors') return 'EINVAL';
    return EpollDatagramServer.adopt(
      this.#context,
      this.#serverMessages,
      this.#serverOutbox,
      sockets.fds,
      sockets.index,
      handler,
    );
  }

  adoptStream(fd: number, handler: HostStreamHandler): HostStream | HostErrorCode {
    return adoptStream(this.#context, fd, handler);
  }

  /**
   * Makes a pipe of a connected stream socket or a tap device; set its `handler` before the next wait. Owns `fd` unless
   * it fails.
   */
  adoptPipe(fd: number, kind: PipeKind): EpollPipe | HostErrorCode {
    return EpollPipe.adopt(this.#context, fd, kind);
  }

  /** The sockets of a guest's network namespace; owns both descriptors until its `close`. */
  seeSockets(descriptors: GuestSocketDescriptors): NamespaceSockets {
    return new NamespaceSockets(this.#context, descriptors);
  }

  /**
   * Makes a guest of a connected stream socket, which it owns; turned away, it is closed. Returns the error if it is
   * not such a socket.
   */
  welcome(fd: number, accept: AcceptGuest): HostErrorCode | undefined {
    const pipe = welcome(this.#context, fd, accept);
    return typeof pipe === 'string' ? pipe : undefined;
  }

  /** Accepts guests on a listening socket (`openListeningSocket`). Owns `fd`. */
  listen(fd: number, accept: AcceptGuest): AttachmentListener {
    return new AttachmentListener(this.#context, fd, accept);
  }

  /** Takes one guest at a time at a datagram socket (`openListeningSocket`). Owns `fd`. */
  serveGuestDatagrams(fd: number, accept: AcceptGuest): GuestDatagrams {
    return new GuestDatagrams(this.#context, fd, accept, this.#leaving);
  }

  /** Connects to a guest that listens, again and again. */
  redial(place: AttachmentPlace, accept: AcceptGuest): AttachmentDialer {
    return new AttachmentDialer(this.#context, place, accept);
  }
}
