/**
 * The host in memory: no socket, no clock, no thread. Peers are scripted objects; what a side does reaches the other
 * only by `step` (one delivery) or `deliver` (until all is quiet), in the order it was done. So the same script gives
 * the same run, byte for byte.
 *
 * What nobody listens at refuses: a dial fails with ECONNREFUSED, a datagram with an ICMP port unreachable. Black
 * holes, other errors, routers on the way and path MTUs are declared per address. Streams are bounded as real ones are
 * (`MemoryStreamLimits`), so back-pressure can be tested; a scripted peer's own queue is the script's business.
 *
 * It is not a simulation of TCP: no loss, no delay, no reordering. Those belong between guest and stack.
 */
import type { Arena } from '../../env/arena.ts';
import type {
  Host,
  HostAddress,
  HostCapabilities,
  HostDatagram,
  HostDatagramHandler,
  HostErrorCode,
  HostPipe,
  HostPipeHandler,
  HostStream,
  HostStreamHandler,
  IcmpCause,
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
import { writeProxyV2 } from '../proxy-v2.ts';
import { Deliveries } from './deliveries.ts';
import { MemoryDatagram, type MemoryDatagramError, type Remote } from './memory-datagram.ts';
import { MemoryListeners } from './memory-listeners.ts';
import { MemoryPipe } from './memory-pipe.ts';
import { type Acceptor, DEFAULT_STREAM_LIMITS, MemoryStream, type MemoryStreamLimits } from './memory-stream.ts';
import { IPV4_HEADER_BYTES } from '../../wire/ipv4.ts';
import { UDP_HEADER_BYTES, UDP_MAX_PAYLOAD_BYTES } from '../../wire/udp.ts';

const PORT_UNREACHABLE: MemoryDatagramError = { code: 'ECONNREFUSED', icmpType: 3, icmpCode: 3 };
const FIRST_LOCAL_PORT = 49_152;

/** What happens to a dial: a script takes it, it fails, or nothing happens for ever. */
type DialTarget =
  | Acceptor
  | { readonly code: HostErrorCode; readonly atOnce: boolean; readonly cause?: IcmpCause | undefined }
  | 'black-hole';

/** A datagram as a scripted peer gets it. */
export interface MemoryDatagramArrival {
  readonly bytes: Uint8Array;
  readonly from: Remote;
  /** As the core set it; 0 for the host's default. */
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly tos: number;
  /** Sends `bytes` back from the peer's address, to where this came from. */
  reply(bytes: Uint8Array, tos?: number): void;
}

/** A scripted UDP peer. */
export interface MemoryUdpPeer extends Remote {
  /** Sends from this peer to a port of the host. */
  send(bytes: Uint8Array, toPort: number): void;
  close(): void;
}

export interface MemoryHostOptions {
  readonly capabilities?: Partial<HostCapabilities>;
  readonly limits?: Partial<MemoryStreamLimits>;
  /** The address that peers see datagrams come from. 127.0.0.1 unless told. */
  readonly address?: HostAddress;
}

export class MemoryHost implements Host, HostListeners {
  readonly capabilities: HostCapabilities;
  /** What is under way; `onQueued` wakes a loop. */
  readonly deliveries: Deliveries = new Deliveries();
  /** Clients of the host that reach what the core listens on: `clients.connect`, `clients.openUdp`. */
  readonly clients: MemoryListeners;
  readonly #arena: Uint8Array;
  readonly #limits: MemoryStreamLimits;
  readonly #address: HostAddress;
  readonly #dials = new Map<string, DialTarget>();
  readonly #services = new Map<string, Acceptor>();
  readonly #udp = new Map<string, (arrival: MemoryDatagramArrival) => void>();
  readonly #echoes = new Set<HostAddress>();
  readonly #lost = new Map<string, MemoryDatagramError | 'black-hole'>();
  readonly #routers = new Map<HostAddress, readonly HostAddress[]>();
  readonly #mtus = new Map<HostAddress, { mtu: number; offender: HostAddress }>();
  readonly #sockets = new Map<number, MemoryDatagram>();
  readonly #pipes = new Map<string, (pipe: HostPipe) => HostPipeHandler>();
  #nextPort = FIRST_LOCAL_PORT;

  constructor(arena: Arena, options: MemoryHostOptions = {}) {
    this.#arena = arena.bytes;
    this.#limits = { ...DEFAULT_STREAM_LIMITS, ...options.limits };
    this.#address = options.address ?? 0x7f000001;
    this.clients = new MemoryListeners(this.#arena, this.deliveries, this.#limits);
    this.capabilities = {
      icmpErrors: true,
      ttl: true,
      tos: true,
      ping: true,
      refusal: true,
      tap: false,
      pingHint: '',
      ...options.capabilities,
    };
  }

  /** Delivers one thing; false when nothing is under way. */
  step(): boolean {
    return this.deliveries.step();
  }

  /** Delivers until nothing is under way; returns the steps it took. */
  deliver(): number {
    return this.deliveries.deliver();
  }

  // ── what scripts declare ──

  /** Connections to that address and port (0: to every port without a rule of its own) go to `acceptor`. */
  listenTcp(address: HostAddress, port: number, acceptor: Acceptor): { close(): void } {
    return this.#declare(address, port, acceptor);
  }

  /** A server behind the gateway service's name; its first bytes are the PROXY v2 header. */
  listenService(service: string, acceptor: Acceptor): { close(): void } {
    this.#services.set(service, acceptor);
    return { close: () => this.#services.delete(service) };
  }

  /** Dials and datagrams to there are swallowed. Port 0: all ports. */
  blackHole(address: HostAddress, port = 0): void {
    this.#dials.set(key(address, port), 'black-hole');
    this.#lost.set(key(address, port), 'black-hole');
  }

  /** Dials to there fail with `code`: later (by `cause`), or `atOnce` as the result of `dial`. Port 0: all ports. */
  failDial(address: HostAddress, port: number, code: HostErrorCode, atOnce = false, cause?: IcmpCause): void {
    this.#dials.set(key(address, port), { code, atOnce, cause });
  }

  /** Datagrams to there (echo requests: port 0) are lost with this error. Port 0: all ports. */
  failDatagram(address: HostAddress, port: number, error: MemoryDatagramError): void {
    this.#lost.set(key(address, port), error);
  }

  /** A UDP peer at that address and port. */
  listenUdp(address: HostAddress, port: number, receive: (arrival: MemoryDatagramArrival) => void): MemoryUdpPeer {
    this.#udp.set(key(address, port), receive);
    return {
      address,
      port,
      send: (bytes, toPort) =>
        this.deliveries.add(() => this.#sockets.get(toPort)?.arrive(bytes.slice(), { address, port })),
      close: () => this.#udp.delete(key(address, port)),
    };
  }

  /** `address` answers pings. */
  answerEcho(address: HostAddress): void {
    this.#echoes.add(address);
  }

  /**
   * Routers on the way to `address`, nearest first: a datagram or dial whose ttl ends at one gets time exceeded from
   * it.
   */
  route(address: HostAddress, routers: readonly HostAddress[]): void {
    this.#routers.set(address, routers);
  }

  /**
   * Datagrams to `address` that must not be fragmented and exceed `mtu` get fragmentation needed from `offender`; where
   * that is 0, the host's own MTU, they arrive as well.
   */
  pathMtu(address: HostAddress, mtu: number, offender: HostAddress): void {
    this.#mtus.set(address, { mtu, offender });
  }

  /** Guests that connect to `path` (any name) are given to `accept`. */
  listenPipes(path: string, accept: (pipe: HostPipe) => HostPipeHandler): { close(): void } {
    this.#pipes.set(path, accept);
    return { close: () => this.#pipes.delete(path) };
  }

  /** A scripted guest connects to the pipe listener at `path`. Throws when there is none. */
  connectPipe(path: string, guest: Acceptor): void {
    const accept = this.#pipes.get(path);
    if (accept === undefined) throw new Error(`No pipe listener at ${path}`);
    const pipe = new MemoryPipe(this.#arena, this.deliveries, this.#limits);
    this.deliveries.add(() => {
      pipe.handler = accept(pipe);
      pipe.stream.open(guest);
    });
  }

  // ── what the core asks ──

  dial(
    address: HostAddress,
    port: number,
    ttl: number,
    handler: HostStreamHandler,
    dscp = 0,
  ): HostStream | HostErrorCode {
    const target = this.#dials.get(key(address, port)) ?? this.#dials.get(key(address, 0));
    if (typeof target === 'object' && target.atOnce) return target.code;
    const stream = this.#stream(handler);
    stream.setDscp(dscp);
    const offender = ttl > 0 ? this.#routers.get(address)?.[ttl - 1] : undefined;
    if (offender !== undefined) {
      this.deliveries.add(() => stream.refuse('EHOSTUNREACH', { icmpType: 11, icmpCode: 0, offender }));
      return stream;
    }
    if (target === 'black-hole') return stream;
    this.deliveries.add(() => {
      if (typeof target === 'function') stream.open(target);
      else stream.refuse(target?.code ?? 'ECONNREFUSED', target?.cause);
    });
    return stream;
  }

  dialService(service: string, origin: Origin | undefined, handler: HostStreamHandler): HostStream | HostErrorCode {
    const stream = this.#stream(handler);
    this.deliveries.add(() => {
      const acceptor = this.#services.get(service);
      if (acceptor === undefined) stream.refuse('ECONNREFUSED');
      else stream.open(acceptor, origin && writeProxyV2(origin));
    });
    return stream;
  }

  openDatagram(handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return this.#socket(handler, 'udp');
  }

  openEcho(handler: HostDatagramHandler): HostDatagram | HostErrorCode {
    return this.capabilities.ping ? this.#socket(handler, 'echo') : 'EACCES';
  }

  listenStreams(sockets: BoundSockets, handler: HostListenerHandler): HostListener | HostErrorCode {
    return this.clients.listenStreams(sockets, handler);
  }

  serveDatagrams(sockets: BoundSockets, handler: HostDatagramServerHandler): HostDatagramServer | HostErrorCode {
    return this.clients.serveDatagrams(sockets, handler);
  }

  adoptStream(fd: number, handler: HostStreamHandler): HostStream | HostErrorCode {
    return this.clients.adoptStream(fd, handler);
  }

  #stream(handler: HostStreamHandler): MemoryStream {
    return new MemoryStream(this.#arena, this.deliveries, handler, this.#limits);
  }

  #socket(handler: HostDatagramHandler, protocol: 'udp' | 'echo'): MemoryDatagram | HostErrorCode {
    const port = this.#freePort();
    if (port === undefined) return 'EADDRINUSE';
    const route = {
      carry: (from: MemoryDatagram, bytes: Uint8Array, to: Remote, ttl: number, dontFragment: boolean, tos: number) =>
        this.deliveries.add(() => this.#carry(from, bytes, to, ttl, dontFragment, tos)),
      closed: (gone: MemoryDatagram) => this.#sockets.delete(gone.port),
    };
    const socket = new MemoryDatagram(this.#arena, route, handler, protocol, port);
    this.#sockets.set(port, socket);
    return socket;
  }

  /** The next port that no socket has; undefined when all are taken. */
  #freePort(): number | undefined {
    for (let tried = FIRST_LOCAL_PORT; tried <= 65_535; tried++) {
      const port = this.#nextPort;
      this.#nextPort = port === 65_535 ? FIRST_LOCAL_PORT : port + 1;
      if (!this.#sockets.has(port)) return port;
    }
    return undefined;
  }

  #declare(address: HostAddress, port: number, target: DialTarget): { close(): void } {
    this.#dials.set(key(address, port), target);
    return { close: () => this.#dials.delete(key(address, port)) };
  }

  /** One datagram's way: size, routers, declared losses, then the peer. */
  #carry(socket: MemoryDatagram, bytes: Uint8Array, to: Remote, ttl: number, dontFragment: boolean, tos: number): void {
    const error = this.#errorOnTheWay(socket, bytes, to, ttl, dontFragment);
    if (error === 'black-hole') return;
    const ownMtu = this.#mtus.get(to.address);
    const inFragments = dontFragment && ownMtu?.offender === 0 && isLonger(socket, bytes, ownMtu.mtu);
    if (inFragments) socket.fail(bytes, to, { code: 'EMSGSIZE', mtu: ownMtu.mtu });
    const receive = this.#udp.get(key(to.address, to.port)) ?? this.#udp.get(key(to.address, 0));
    if (error !== undefined) socket.fail(bytes, to, error);
    else if (socket.protocol === 'echo') this.#answerEcho(socket, bytes, to);
    else if (receive === undefined) socket.fail(bytes, to, { ...PORT_UNREACHABLE, offender: to.address });
    else {
      const from = { address: this.#address, port: socket.port };
      const reply = (answer: Uint8Array, answerTos = 0): void =>
        this.deliveries.add(() => this.#sockets.get(socket.port)?.arrive(answer.slice(), to, answerTos));
      receive({ bytes, from, ttl, dontFragment: dontFragment && !inFragments, tos, reply });
    }
  }

  #errorOnTheWay(
    socket: MemoryDatagram,
    bytes: Uint8Array,
    to: Remote,
    ttl: number,
    dontFragment: boolean,
  ): MemoryDatagramError | 'black-hole' | undefined {
    if (socket.protocol === 'udp' && bytes.length > UDP_MAX_PAYLOAD_BYTES) return { code: 'EMSGSIZE' };
    const routers = this.#routers.get(to.address) ?? [];
    const offender = ttl > 0 ? routers[ttl - 1] : undefined;
    if (offender !== undefined) return { code: 'EHOSTUNREACH', icmpType: 11, icmpCode: 0, offender };
    const path = this.#mtus.get(to.address);
    if (path !== undefined && path.offender !== 0 && dontFragment && isLonger(socket, bytes, path.mtu)) {
      return { code: 'EMSGSIZE', icmpType: 3, icmpCode: 4, ...path };
    }
    return this.#lost.get(key(to.address, to.port)) ?? this.#lost.get(key(to.address, 0));
  }

  /** ICMP echo reply: type 0 in place of 8; who does not answer is silent, as on a real network. */
  #answerEcho(socket: MemoryDatagram, bytes: Uint8Array, to: Remote): void {
    if (!this.#echoes.has(to.address) || bytes.length < 8) return;
    const reply = bytes.slice();
    const view = new DataView(reply.buffer);
    reply[0] = 0;
    // RFC 1624: the type's word falls by 0x0800, so the checksum rises by it.
    const sum = view.getUint16(2) + 0x0800;
    view.setUint16(2, (sum & 0xffff) + (sum >>> 16));
    this.deliveries.add(() => socket.arrive(reply, { address: to.address, port: 0 }));
  }
}

function isLonger({ protocol }: MemoryDatagram, payload: Uint8Array, mtu: number): boolean {
  const headerBytes = protocol === 'udp' ? IPV4_HEADER_BYTES + UDP_HEADER_BYTES : IPV4_HEADER_BYTES;
  return payload.length + headerBytes > mtu;
}

function key(address: HostAddress, port: number): string {
  return `${address}:${port}`;
}
