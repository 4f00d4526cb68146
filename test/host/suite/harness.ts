import type { Arena } from '../../../src/env/arena.ts';
import type { Host, HostAddress, HostPipe, HostPipeHandler } from '../../../src/env/host.ts';
import type { BoundSockets, HostListeners } from '../../../src/env/host-listener.ts';

/** What the suite needs of an engine: the engine itself, an arena, and a way to let time pass. */
export interface Harness {
  readonly host: Host & HostListeners;
  /** At least 8 MiB, none of it used by the engine for other things than its own allocations. */
  readonly arena: Arena;
  /** The other side of the sockets; left out, the suite uses real ones of this process (node:net, node:dgram). */
  readonly peers?: Peers;
  /**
   * Lets the engine and the peers (which live on Node's event loop) make progress once; waits a few milliseconds at
   * most.
   */
  poll(): Promise<void>;
  /** Polls until `condition` holds; rejects after 10 s with `what` in the message. */
  until(condition: () => boolean, what: string): Promise<void>;
  /**
   * Listens for guests at a unix socket path; `accept` is called for each that connects and returns its handler.
   * Left out by an engine whose pipes are tested elsewhere: then the pipe cases are skipped by name.
   */
  listenPipes?(path: string, accept: (pipe: HostPipe) => HostPipeHandler): Promise<{ close(): void }>;
  /**
   * Sockets of these addresses as the control thread binds them, or leaves them to the engine to bind: each at a port
   * that is free.
   */
  bind(protocol: 'tcp' | 'udp', wanted: readonly Wanted[]): Promise<Bound>;
  /** The same of a unix stream socket. */
  bindUnix(path: string): Promise<Bound>;
  /** One end of a pair of connected stream sockets, for `adoptStream`, and who holds the other. */
  pair(): Promise<{ readonly fd: number; readonly peer: PeerConnection }>;
  /** Releases the engine and all that it holds. */
  close(): Promise<void>;
}

export interface HarnessOptions {
  /** Gateway services by name: the unix socket path of each. */
  readonly services: ReadonlyMap<string, string>;
}

export type CreateHarness = (options: HarnessOptions) => Harness | Promise<Harness>;

export interface ListenOptions {
  /** 127.0.0.1 unless told. */
  readonly address?: HostAddress;
  readonly paused?: boolean;
  readonly greeting?: Uint8Array;
}

/** Where a peer is found. */
export interface PeerAddress {
  readonly address: HostAddress;
  readonly port: number;
}

/** A socket to be bound: its address, and its place in the range. */
export interface Wanted {
  readonly address: HostAddress;
  readonly index: number;
}

/** Bound sockets, and where clients find each. */
export interface Bound {
  readonly sockets: BoundSockets;
  readonly places: readonly PeerPlace[];
}

/** What a client connects to. */
export interface PeerPlace extends PeerAddress {
  /** A unix socket's; address and port mean nothing then. */
  readonly path?: string;
}

/** The far side of the engine's sockets: real sockets, or the scripted objects of the in-memory host. */
export interface Peers {
  /**
   * A TCP server whose connections are collected; a `paused` one reads nothing until told; a greeting is sent at once.
   */
  listenTcp(options?: ListenOptions): Promise<PeerServer>;
  /** The server behind a gateway service's name. */
  listenService(name: string): Promise<PeerServer>;
  /** A port of 127.0.0.1 at which nobody listens, for `protocol`. */
  unusedPort(protocol: 'tcp' | 'udp'): Promise<number>;
  /** A UDP socket; an `echo` one sends each datagram back. */
  openUdp(options?: { address?: HostAddress; echo?: boolean }): Promise<PeerDatagram>;
  /** A client that connects to a listener of the engine's; its `error` tells when it is refused. */
  connect(to: PeerPlace): PeerConnection;
  /** A guest that connects to the pipe listener at `path`. */
  dialPipe(path: string): Promise<PeerConnection>;
  /** Addresses that do not answer; undefined where the network around has none that is certain. */
  readonly unreachable: UnreachableAddresses | undefined;
  /** An address that answers pings. */
  readonly echoAddress: HostAddress;
  close(): Promise<void>;
}

/** Targets that a namespace of the test's own (or the in-memory host) makes deterministic. */
export interface UnreachableAddresses {
  /** Swallows all that is sent there. */
  readonly blackHole: HostAddress;
  /** Connecting fails with EHOSTUNREACH. */
  readonly hostUnreachable: HostAddress;
  /** Connecting fails with ENETUNREACH. */
  readonly networkUnreachable: HostAddress;
  /** Connecting fails with EACCES. */
  readonly prohibited: HostAddress;
  /** Stands behind one router; swallows what arrives. Undefined where there is no such router. */
  readonly behindRouter: HostAddress | undefined;
  /** The router: answers time exceeded, and fragmentation needed with this MTU for what goes to `behindRouter`. */
  readonly router: HostAddress;
  readonly routerMtu: number;
  /** An address of the host's own, answering pings, to which its own route has this MTU. */
  readonly narrow: HostAddress;
  readonly narrowMtu: number;
}

export interface PeerServer extends PeerAddress {
  /** In the order of their arrival. */
  readonly connections: readonly PeerConnection[];
}

export interface PeerConnection {
  /** Its own address, once it is connected; undefined for unix sockets and where it never was. */
  readonly from: PeerAddress | undefined;
  /** All that was read so far. */
  received(): Uint8Array;
  readonly receivedBytes: number;
  /** The engine's side ended cleanly (FIN). */
  readonly ended: boolean;
  /** The error that ended the connection, by its code. */
  readonly error: string | undefined;
  send(bytes: Uint8Array): void;
  /** Bytes that were sent and that the engine's side has not taken off the peer's hands. */
  readonly unsentBytes: number;
  /** Sends a FIN once all is sent. */
  end(): void;
  /** Sends RST now. */
  reset(): void;
  pause(): void;
  resume(): void;
}

export interface PeerDatagram extends PeerAddress {
  readonly received: readonly { readonly bytes: Uint8Array; readonly from: PeerAddress }[];
  send(bytes: Uint8Array, to: PeerAddress): void;
  close(): Promise<void>;
}
