/**
 * The UDP sockets of one forward over node:dgram, which binds them itself.
 *
 * On an address of all interfaces answers leave from the address that the host's routes choose: Node does not tell
 * which one was asked. ICMP errors reach no one. Bounds: 1,024 datagrams or 4 MiB received and not taken for each place
 * of the range, 4 MiB that wait to be sent at each socket.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Counters } from '../../env/counters.ts';
import type { DatagramBatch, HostErrorCode } from '../../env/host.ts';
import type { BoundSockets, HostDatagramServer, HostDatagramServerHandler } from '../../env/host-listener.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { DatagramClients, clientPlace } from '../datagram-clients.ts';
import { type ArrivedDatagram, DatagramQueue } from '../datagram-queue.ts';
import { hostErrorCode } from '../errno.ts';
import { parseMappedAddress, readMappedAddress } from '../mapped-address.ts';

const MAX_UNSENT_BYTES = 4 << 20;
/** Asked of the kernel, which may grant less. */
const SOCKET_BUFFER_BYTES = 4 << 20;

/** A client's datagram. */
interface Arrival extends ArrivedDatagram {
  readonly socket: number;
  readonly from: RemoteInfo;
  /** The client's address, 16 bytes. */
  readonly clientBytes: Uint8Array;
}

/** Where an answer goes. */
interface Client {
  readonly socket: Socket;
  readonly index: number;
  readonly address: string;
  readonly port: number;
}

export interface NodeDatagramServerOptions {
  readonly arena: Uint8Array;
  readonly counters: Counters;
  readonly wake: () => void;
}

type Addresses = Extract<BoundSockets, { kind: 'addresses' }>['addresses'];

export class NodeDatagramServer implements HostDatagramServer {
  readonly #options: NodeDatagramServerOptions;
  readonly #handler: HostDatagramServerHandler;
  readonly #table = new DatagramClients();
  /** By place in the table. */
  readonly #clients: Client[] = [];
  /** What came to the sockets of each place of the range. */
  readonly #places = new Map<number, DatagramQueue<Arrival>>();
  readonly #sockets: Socket[] = [];
  /** Of each place the socket of IPv4 that is not bound to a loopback address. */
  readonly #outward = new Map<number, number>();
  #closed = false;

  private constructor(handler: HostDatagramServerHandler, options: NodeDatagramServerOptions) {
    this.#handler = handler;
    this.#options = options;
  }

  /** Binds all of the addresses, or none and says why. */
  static open(
    addresses: Addresses,
    handler: HostDatagramServerHandler,
    options: NodeDatagramServerOptions,
  ): NodeDatagramServer | HostErrorCode {
    const server = new NodeDatagramServer(handler, options);
    for (const { address, port, index } of addresses) {
      const failure = server.#bind(address, port, index);
      if (failure === undefined) continue;
      server.close();
      return failure;
    }
    return server;
  }

  receive(
    index: number,
    batch: DatagramBatch,
    client: Int32Array,
    at: number,
    slotBytes: number,
    count: number,
  ): number {
    const queue = this.#places.get(index);
    batch.count = 0;
    if (queue === undefined) return 0;
    const taken = queue.take(this.#options.arena, batch, at, slotBytes, count);
    for (const [i, arrival] of taken.entries()) client[i] = this.#handleOf(index, arrival);
    return taken.length;
  }

  reach(index: number, address: number, port: number): number {
    const socket = this.#outward.get(index);
    if (this.#closed || socket === undefined) return -1;
    const text = formatIpv4Address(address);
    const from = { address: text, port, family: 'IPv4' as const, size: 0 };
    return this.#handleOf(index, { socket, from, clientBytes: parseMappedAddress(text) });
  }

  send(index: number, client: number, at: number, length: number): boolean {
    if (this.#closed || this.#table.at(client) < 0) return false;
    const to = this.#clients[clientPlace(client)];
    if (to === undefined || to.index !== index || to.socket.getSendQueueSize() > MAX_UNSENT_BYTES) return false;
    to.socket.send(this.#options.arena.slice(at, at + length), to.port, to.address, (error) => {
      if (error !== null) this.#options.counters.add('forward-datagram-unsent');
    });
    return true;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
    this.#places.clear();
  }

  /** Binds within the call, since its lookup answers at once; the error when it cannot. */
  #bind(address: string, port: number, index: number): HostErrorCode | undefined {
    const inet6 = address.includes(':');
    let failure: HostErrorCode | undefined;
    const socket = createSocket({
      type: inet6 ? 'udp6' : 'udp4',
      ipv6Only: inet6,
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
      lookup: (host, _options, done) => done(null, host, inet6 ? 6 : 4),
    });
    socket.on('error', (error) => {
      failure ??= hostErrorCode(error);
      this.#options.counters.add('host-datagram-socket-error');
    });
    socket.bind({ port, address, exclusive: true });
    if (failure !== undefined) return failure;
    const number = this.#sockets.push(socket) - 1;
    if (!inet6 && !address.startsWith('127.')) this.#outward.set(index, number);
    if (!this.#places.has(index)) this.#places.set(index, new DatagramQueue());
    socket.on('message', (bytes, from) => this.#arrived(index, number, bytes, from));
    return undefined;
  }

  #arrived(index: number, socket: number, bytes: Uint8Array, from: RemoteInfo): void {
    const place = this.#places.get(index);
    if (this.#closed || place === undefined) return;
    const clientBytes = parseMappedAddress(from.address);
    const address = readMappedAddress(clientBytes, 0);
    if (!place.push({ bytes, address, port: from.port, socket, from, clientBytes })) {
      this.#options.counters.add('host-datagram-receive-full');
      return;
    }
    this.#handler.readable(index);
    this.#options.wake();
  }

  #handleOf(index: number, { socket, from, clientBytes }: Pick<Arrival, 'socket' | 'from' | 'clientBytes'>): number {
    const { key } = this.#table;
    const view = new DataView(clientBytes.buffer);
    key.fill(0);
    key[0] = socket;
    key[1] = from.port;
    for (let i = 0; i < 4; i++) key[2 + i] = view.getInt32(4 * i);
    const handle = this.#table.find();
    // With its zone, which an answer to a link-local address needs.
    const client = { socket: this.#sockets[socket] as Socket, index, address: from.address, port: from.port };
    this.#clients[clientPlace(handle)] = client;
    return handle;
  }
}
