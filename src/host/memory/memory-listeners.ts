/**
 * The listening side of the in-memory host: what clients of the host do is scripted with `connect` and `openUdp`.
 * Sockets are known by what the core was told to listen on: a descriptor's number (any number will do), an address, or
 * a path.
 */

import type { HostAddress, HostErrorCode, HostStream, HostStreamHandler } from '../../env/host.ts';
import { LOOPBACK4 } from '../../env/host.ts';
import type {
  BoundSockets,
  HostClient,
  HostDatagramServer,
  HostDatagramServerHandler,
  HostListener,
  HostListenerHandler,
  HostListeners,
} from '../../env/host-listener.ts';
import { MAPPED_ADDRESS_BYTES, readMappedAddress, writeMappedAddress } from '../mapped-address.ts';
import type { Deliveries } from './deliveries.ts';
import { type MemoryClientBytes, MemoryDatagramServer, type MemoryUdpClient } from './memory-datagram-server.ts';
import { type Acceptor, MemoryStream, type MemoryStreamLimits } from './memory-stream.ts';

/** A socket that the core was told to listen on. */
export type MemorySocketName =
  | { readonly fd: number }
  | { readonly path: string }
  | { readonly address: string; readonly port: number };

/** Where a scripted client comes from; unix sockets: address −1, port 0. */
export interface MemoryClientOrigin {
  readonly address: HostAddress;
  readonly port: number;
  /** The address in 16 bytes, for IPv6 other than ::1. */
  readonly bytes?: Uint8Array;
  /** What it connected to, 127.0.0.1 unless told. */
  readonly local?: HostAddress;
  readonly localPort?: number;
}

interface Listening {
  readonly handler: HostListenerHandler;
  readonly index: number;
  open: boolean;
}

/** What a stream without a handler yet calls. */
const NOBODY: HostStreamHandler = { connected() {}, failed() {}, readable() {}, writable() {} };

export class MemoryListeners implements HostListeners {
  readonly #arena: Uint8Array;
  readonly #deliveries: Deliveries;
  readonly #limits: MemoryStreamLimits;
  readonly #streams = new Map<string, Listening>();
  readonly #datagrams = new Map<string, { readonly server: MemoryDatagramServer; readonly index: number }>();
  /** UDP clients of scripts, which a served socket may also send to first. */
  readonly #remotes = new Map<string, MemoryClientBytes>();
  readonly #failures = new Map<string, HostErrorCode>();
  readonly #offered = new Map<number, Acceptor>();

  constructor(arena: Uint8Array, deliveries: Deliveries, limits: MemoryStreamLimits) {
    this.#arena = arena;
    this.#deliveries = deliveries;
    this.#limits = limits;
  }

  // ── what scripts do ──

  /**
   * A client connects; it hears `reset('ECONNREFUSED')` where nobody listens (or it is paused), and
   * `reset('ECONNRESET')` when it is turned away.
   */
  connect(to: MemorySocketName, from: MemoryClientOrigin, client: Acceptor): void {
    this.#deliveries.add(() => {
      const stream = this.#stream(NOBODY);
      const listening = this.#streams.get(keyOf(to));
      if (listening?.open !== true) {
        stream.peer.accept(client);
        stream.peer.lose('ECONNREFUSED');
        return;
      }
      const facts = hostClient(from);
      stream.openAccepted(client, () => listening.handler.accepted(stream, facts, listening.index));
    });
  }

  /** A UDP client of a served socket: `receive` gets each answer. What nobody serves swallows its datagrams. */
  openUdp(to: MemorySocketName, from: MemoryClientOrigin, receive: (bytes: Uint8Array) => void): MemoryUdpClient {
    const client: MemoryClientBytes = { ...hostClient(from), receive };
    this.#remotes.set(`${from.address}:${from.port}`, client);
    return {
      send: (bytes) =>
        this.#deliveries.add(() => {
          const served = this.#datagrams.get(keyOf(to));
          served?.server.arrive(served.index, bytes.slice(), client);
        }),
    };
  }

  /** From now on listening on (TCP: also resuming) and serving that socket fails with `code`; undefined: no more. */
  failListen(name: MemorySocketName, code: HostErrorCode | undefined): void {
    if (code === undefined) this.#failures.delete(keyOf(name));
    else this.#failures.set(keyOf(name), code);
  }

  /** `adoptStream(fd)` will find `peer` at the other end. */
  offerStream(fd: number, peer: Acceptor): void {
    this.#offered.set(fd, peer);
  }

  /** Whether clients can connect there now. */
  isListening(name: MemorySocketName): boolean {
    return this.#streams.get(keyOf(name))?.open === true;
  }

  /** Sockets that are held, listening or paused or served. */
  get held(): number {
    return this.#streams.size + this.#datagrams.size;
  }

  // ── what the core asks ──

  listenStreams(sockets: BoundSockets, handler: HostListenerHandler): HostListener | HostErrorCode {
    const names = namesOf(sockets);
    const failure = this.#failureOf(names, this.#streams);
    if (failure !== undefined) return failure;
    const all = names.map(([name, index]): [string, Listening] => [name, { handler, index, open: false }]);
    for (const [name, listening] of all) this.#streams.set(name, listening);
    const setOpen = (open: boolean): void => {
      for (const [, listening] of all) listening.open = open;
    };
    return {
      pause: () => setOpen(false),
      resume: () => {
        const refused = all.map(([name]) => this.#failures.get(name)).find((code) => code !== undefined);
        setOpen(refused === undefined);
        return refused;
      },
      close: () => {
        setOpen(false);
        for (const [name, listening] of all) if (this.#streams.get(name) === listening) this.#streams.delete(name);
      },
    };
  }

  serveDatagrams(sockets: BoundSockets, handler: HostDatagramServerHandler): HostDatagramServer | HostErrorCode {
    const names = namesOf(sockets);
    const failure = this.#failureOf(names, this.#datagrams);
    if (failure !== undefined) return failure;
    const remote = (address: number, port: number): MemoryClientBytes | undefined =>
      this.#remotes.get(`${address}:${port}`);
    const server = new MemoryDatagramServer(this.#arena, this.#deliveries, handler, remote, () => {
      for (const [name] of names) if (this.#datagrams.get(name)?.server === server) this.#datagrams.delete(name);
    });
    for (const [name, index] of names) this.#datagrams.set(name, { server, index });
    return server;
  }

  adoptStream(fd: number, handler: HostStreamHandler): HostStream | HostErrorCode {
    const peer = this.#offered.get(fd);
    if (peer === undefined) return 'EINVAL';
    this.#offered.delete(fd);
    const stream = this.#stream(NOBODY);
    stream.openAccepted(peer, () => handler);
    return stream;
  }

  #stream(handler: HostStreamHandler): MemoryStream {
    return new MemoryStream(this.#arena, this.#deliveries, handler, this.#limits);
  }

  #failureOf(
    names: readonly (readonly [string, number])[],
    taken: ReadonlyMap<string, unknown>,
  ): HostErrorCode | undefined {
    for (const [name] of names) {
      const failure = this.#failures.get(name) ?? (taken.has(name) ? 'EADDRINUSE' : undefined);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}

function namesOf(sockets: BoundSockets): (readonly [name: string, index: number])[] {
  if (sockets.kind === 'addresses') return sockets.addresses.map((socket) => [keyOf(socket), socket.index]);
  return sockets.fds.map((fd, i) => [keyOf({ fd }), sockets.index[i] as number]);
}

function keyOf(
  name: MemorySocketName | { readonly address: string; readonly port: number; readonly path?: string },
): string {
  if ('fd' in name) return `fd ${name.fd}`;
  if ('path' in name && name.path !== undefined) return name.path;
  return 'port' in name ? `${name.address} ${name.port}` : '';
}

function hostClient(from: MemoryClientOrigin): HostClient {
  const isUnix = from.port === 0;
  const clientBytes = new Uint8Array(MAPPED_ADDRESS_BYTES);
  const localBytes = new Uint8Array(MAPPED_ADDRESS_BYTES);
  if (isUnix) return { address: -1, port: 0, clientBytes, localBytes, localPort: 0 };
  if (from.bytes === undefined) writeMappedAddress(clientBytes, 0, from.address);
  else clientBytes.set(from.bytes);
  writeMappedAddress(localBytes, 0, from.local ?? LOOPBACK4);
  const address = readMappedAddress(clientBytes, 0);
  return { address, port: from.port, clientBytes, localBytes, localPort: from.localPort ?? 0 };
}
