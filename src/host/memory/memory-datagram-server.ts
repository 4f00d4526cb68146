import type { DatagramBatch, HostAddress } from '../../env/host.ts';
import type { HostDatagramServer, HostDatagramServerHandler } from '../../env/host-listener.ts';
import { DatagramClients, clientPlace } from '../datagram-clients.ts';
import { type ArrivedDatagram, DatagramQueue } from '../datagram-queue.ts';
import type { Deliveries } from './deliveries.ts';

/** A scripted client of a UDP server. */
export interface MemoryUdpClient {
  /** Sends a datagram to the served socket. */
  send(bytes: Uint8Array): void;
}

/** A client as the server knows it. */
export interface MemoryClientBytes {
  readonly address: HostAddress;
  readonly port: number;
  readonly clientBytes: Uint8Array;
  receive(bytes: Uint8Array): void;
}

interface Arrival extends ArrivedDatagram {
  readonly from: MemoryClientBytes;
}

/** UDP sockets of the in-memory host that clients reach. */
export class MemoryDatagramServer implements HostDatagramServer {
  /** Datagrams that came while a queue was full. */
  dropped = 0;
  readonly #arena: Uint8Array;
  readonly #deliveries: Deliveries;
  readonly #clients = new DatagramClients();
  /** By place in the table. */
  readonly #receivers: MemoryClientBytes[] = [];
  readonly #waiting = new Map<number, DatagramQueue<Arrival>>();
  readonly #onClose: () => void;
  readonly #remote: (address: number, port: number) => MemoryClientBytes | undefined;
  #handler: HostDatagramServerHandler | undefined;

  constructor(
    arena: Uint8Array,
    deliveries: Deliveries,
    handler: HostDatagramServerHandler,
    remote: (address: number, port: number) => MemoryClientBytes | undefined,
    onClose: () => void,
  ) {
    this.#arena = arena;
    this.#deliveries = deliveries;
    this.#handler = handler;
    this.#remote = remote;
    this.#onClose = onClose;
  }

  receive(
    index: number,
    batch: DatagramBatch,
    client: Int32Array,
    at: number,
    slotBytes: number,
    count: number,
  ): number {
    const queue = this.#waiting.get(index);
    batch.count = 0;
    if (queue === undefined) return 0;
    const taken = queue.take(this.#arena, batch, at, slotBytes, count);
    for (const [i, { from }] of taken.entries()) client[i] = this.#handleOf(index, from);
    return taken.length;
  }

  reach(index: number, address: number, port: number): number {
    const from = this.#remote(address, port);
    return from === undefined ? -1 : this.#handleOf(index, from);
  }

  send(index: number, client: number, at: number, length: number): boolean {
    const words = this.#clients.at(client);
    if (this.#handler === undefined || words < 0 || this.#clients.words[words] !== index) return false;
    const to = this.#receivers[clientPlace(client)];
    const bytes = this.#arena.slice(at, at + length);
    this.#deliveries.add(() => to?.receive(bytes));
    return true;
  }

  close(): void {
    this.#handler = undefined;
    this.#waiting.clear();
    this.#onClose();
  }

  /** A datagram of a client arrives at socket `index`. */
  arrive(index: number, bytes: Uint8Array, from: MemoryClientBytes): void {
    const waiting = this.#waiting.get(index) ?? new DatagramQueue<Arrival>();
    this.#waiting.set(index, waiting);
    if (!waiting.push({ bytes, address: from.address, port: from.port, from })) this.dropped++;
    this.#handler?.readable(index);
  }

  #handleOf(index: number, from: MemoryClientBytes): number {
    const { key } = this.#clients;
    key.fill(0);
    key[0] = index;
    key[1] = from.port;
    for (let i = 0; i < 4; i++) key[2 + i] = new DataView(from.clientBytes.buffer).getInt32(4 * i);
    const handle = this.#clients.find();
    this.#receivers[clientPlace(handle)] = from;
    return handle;
  }
}
