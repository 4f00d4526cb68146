import type { Socket } from 'node:net';
import type { Arena } from '../../env/arena.ts';
import { Counters } from '../../env/counters.ts';
import type {
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
import { hostAddressText } from '../address-text.ts';
import { hostErrorCode } from '../errno.ts';
import { writeProxyV2 } from '../proxy-v2.ts';
import { adoptedSocket } from './adopted-socket.ts';
import { NodeDatagram } from './node-datagram.ts';
import { NodeDatagramServer } from './node-datagram-server.ts';
import { NodeListener } from './node-listener.ts';
import { NodeStream, type NodeStreamTarget } from './node-stream.ts';

export interface NodeHostOptions {
  readonly arena: Arena;
  /** Asks for a turn: called after each event (`NodeLoop.wake`). */
  readonly wake: () => void;
  /** Gateway services by name: the path of each one's unix socket (a named pipe on Windows). May change later. */
  readonly services: ReadonlyMap<string, string>;
  readonly counters?: Counters;
}

/** Who hears of an accepted stream until somebody took it. */
const NOBODY: HostStreamHandler = { connected() {}, failed() {}, readable() {}, writable() {} };

/**
 * The portable engine: the host seam on node:net and node:dgram, for macOS, Windows and kernels that the FFI engine
 * does not suit. It copies where the other shares memory, and lacks what Node does not offer (see `capabilities`).
 */
export class NodeHost implements Host, HostListeners {
  readonly capabilities: HostCapabilities = {
    icmpErrors: false,
    ttl: false,
    tos: false,
    ping: false,
    refusal: false,
    tap: false,
    pingHint: 'The portable engine (node) cannot ping: Node has no ICMP socket. On Linux use --host-engine epoll.',
  };
  readonly #options: NodeHostOptions;
  readonly #counters: Counters;
  readonly #streams = new Set<Socket>();

  constructor(options: NodeHostOptions) {
    this.#options = options;
    this.#counters = options.counters ?? new Counters();
  }

  /** `ttl` is not honoured: Node cannot set it for TCP. */
  dial(address: HostAddress, port: number, _ttl: number, handler: HostStreamHandler): HostStream | HostErrorCode {
    return this.#stream({ to: { host: hostAddressText(address), port } }, handler);
  }

  /** A name that is not in the table fails with ECONNREFUSED at once, as a port at which nobody listens. */
  dialService(service: string, origin: Origin | undefined, handler: HostStreamHandler): HostStream | HostErrorCode {
    const path = this.#options.services.get(service);
    if (path === undefined) return 'ECONNREFUSED';
    return this.#stream({ to: { path }, ...(origin && { first: writeProxyV2(origin) }) }, handler);
  }

  openDatagram(handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return NodeDatagram.open(this.#options.arena.bytes, handler, this.#options.wake, this.#counters);
  }

  openEcho(_handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return 'ENOPROTOOPT';
  }

  /**
   * Binds addresses (kind 'descriptors': EINVAL). An address that cannot be bound is told by the handler's `failed`.
   */
  listenStreams(sockets: BoundSockets, handler: HostListenerHandler): HostListener | HostErrorCode {
    if (sockets.kind !== 'addresses') return 'EINVAL';
    const { arena, wake } = this.#options;
    const adopt = (connected: Socket, isUnix: boolean): NodeStream =>
      new NodeStream(arena.bytes, { to: { connected, isUnix } }, NOBODY, wake, this.#streams);
    return new NodeListener(sockets.addresses, handler, { counters: this.#counters, adopt, wake });
  }

  /** Binds addresses (kind 'descriptors': EINVAL). */
  serveDatagrams(sockets: BoundSockets, handler: HostDatagramServerHandler): HostDatagramServer | HostErrorCode {
    if (sockets.kind !== 'addresses') return 'EINVAL';
    const { arena, wake } = this.#options;
    return NodeDatagramServer.open(sockets.addresses, handler, { arena: arena.bytes, counters: this.#counters, wake });
  }

  adoptStream(fd: number, handler: HostStreamHandler): HostStream | HostErrorCode {
    try {
      const connected = adoptedSocket(fd);
      return this.#stream({ to: { connected, isUnix: connected.remoteAddress === undefined } }, handler);
    } catch (error) {
      return hostErrorCode(error);
    }
  }

  /**
   * Resets every connection to the outside, for a thread that dies: closed by Node it would look like a clean end.
   * Returns how many.
   */
  resetStreams(): number {
    for (const socket of this.#streams) socket.resetAndDestroy();
    return this.#streams.size;
  }

  #stream(target: NodeStreamTarget, handler: HostStreamHandler): HostStream | HostErrorCode {
    try {
      return new NodeStream(this.#options.arena.bytes, target, handler, this.#options.wake, this.#streams);
    } catch (error) {
      // Node checks some arguments itself: port 0, a path too long for a socket.
      return hostErrorCode(error);
    }
  }
}
