import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type HostAddress, LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import { hostAddressText, parseHostAddress } from '../../../src/host/address-text.ts';
import type {
  ListenOptions,
  PeerAddress,
  PeerConnection,
  PeerDatagram,
  PeerPlace,
  PeerServer,
  Peers,
  UnreachableAddresses,
} from './harness.ts';

/** Peers on real sockets of this process. */
export class NodePeers implements Peers {
  readonly unreachable: UnreachableAddresses | undefined;
  readonly echoAddress: HostAddress = LOOPBACK4;
  readonly #services: ReadonlyMap<string, string>;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #datagrams = new Set<UdpSocket>();

  constructor(services: ReadonlyMap<string, string>, unreachable: UnreachableAddresses | undefined) {
    this.#services = services;
    this.unreachable = unreachable;
  }

  async listenTcp(options: ListenOptions = {}): Promise<PeerServer> {
    const address = options.address ?? LOOPBACK4;
    return this.#listen({ host: hostAddressText(address), port: 0 }, address, options);
  }

  async listenService(name: string): Promise<PeerServer> {
    return this.#listen({ path: this.#services.get(name) as string }, LOOPBACK4, {});
  }

  async unusedPort(protocol: 'tcp' | 'udp'): Promise<number> {
    if (protocol === 'udp') {
      const socket = await this.openUdp();
      await socket.close();
      return socket.port;
    }
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    return port;
  }

  async openUdp(options: { address?: HostAddress; echo?: boolean } = {}): Promise<PeerDatagram> {
    const address = options.address ?? LOOPBACK4;
    const socket = createSocket({ type: address === LOOPBACK6 ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 });
    this.#datagrams.add(socket);
    const received: { bytes: Uint8Array; from: PeerAddress }[] = [];
    socket.on('message', (bytes, from) => {
      received.push({ bytes, from: { address: parseHostAddress(from.address) as number, port: from.port } });
      if (options.echo) socket.send(bytes, from.port, from.address);
    });
    socket.bind(0, hostAddressText(address));
    await once(socket, 'listening');
    const { port } = socket.address();
    return {
      address,
      port,
      received,
      send: (bytes, to) => socket.send(bytes, to.port, hostAddressText(to.address)),
      close: async () => {
        if (!this.#datagrams.delete(socket)) return;
        socket.close();
        await once(socket, 'close');
      },
    };
  }

  connect(to: PeerPlace): PeerConnection {
    const where = to.path === undefined ? { host: hostAddressText(to.address), port: to.port } : { path: to.path };
    return this.#adopt(connect({ ...where, allowHalfOpen: true }), false);
  }

  async dialPipe(path: string): Promise<PeerConnection> {
    const socket = connect({ path, allowHalfOpen: true });
    const connection = this.#adopt(socket, false);
    await once(socket, 'connect');
    return connection;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const socket of this.#datagrams) socket.close();
    for (const server of this.#servers) server.close();
    await Promise.all(this.#servers.map((server) => (server.listening ? once(server, 'close') : undefined)));
  }

  async #listen(
    where: { host: string; port: number } | { path: string },
    address: HostAddress,
    options: ListenOptions,
  ): Promise<PeerServer> {
    const connections: PeerConnection[] = [];
    const paused = options.paused === true;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: paused }, (socket) => {
      connections.push(this.#adopt(socket, paused));
      if (options.greeting !== undefined) socket.write(options.greeting);
    });
    this.#servers.push(server);
    server.listen({ ...where, backlog: 511 });
    await once(server, 'listening');
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    return { address, port, connections };
  }

  #adopt(socket: Socket, paused: boolean): NodePeerConnection {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return new NodePeerConnection(socket, paused);
  }
}

/** A connection over a socket of Node. */
export class NodePeerConnection implements PeerConnection {
  receivedBytes = 0;
  ended = false;
  error: string | undefined;
  readonly #socket: Socket;
  readonly #chunks: Uint8Array[] = [];

  constructor(socket: Socket, paused: boolean) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.receivedBytes += chunk.length;
    });
    if (paused) socket.pause();
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error) => {
      this.error = (error as NodeJS.ErrnoException).code;
    });
  }

  get from(): PeerAddress | undefined {
    const { localAddress, localPort } = this.#socket;
    if (localAddress === undefined || localPort === undefined) return undefined;
    return { address: parseHostAddress(localAddress) ?? -1, port: localPort };
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  received(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    // A unix socket has no RST: closing it is all that its peer can notice.
    if (this.#socket.remoteAddress === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
