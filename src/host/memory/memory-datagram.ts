import type {
  DatagramBatch,
  DatagramFailure,
  HostAddress,
  HostDatagram,
  HostDatagramHandler,
  HostErrorCode,
} from '../../env/host.ts';
import { DatagramQueue } from '../datagram-queue.ts';

/** What the in-memory network does with one datagram. */
export interface MemoryDatagramRoute {
  /** `socket` sent `bytes` (its own copy). */
  carry(socket: MemoryDatagram, bytes: Uint8Array, to: Remote, ttl: number, dontFragment: boolean, tos: number): void;
  closed(socket: MemoryDatagram): void;
}

/** Where a datagram goes to or comes from. */
export interface Remote {
  readonly address: HostAddress;
  readonly port: number;
}

/** ICMP's part of a failure; the rest is known from the datagram. */
export interface MemoryDatagramError {
  readonly code: HostErrorCode;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly offender?: HostAddress;
  readonly mtu?: number;
}

/** One UDP socket or echo socket of the in-memory host. */
export class MemoryDatagram implements HostDatagram {
  /** Its port at the host, or its identifier when it is an echo socket. */
  readonly port: number;
  readonly protocol: 'udp' | 'echo';
  /** Datagrams that came while the queue was full. */
  dropped = 0;
  readonly #arena: Uint8Array;
  readonly #route: MemoryDatagramRoute;
  #handler: HostDatagramHandler | undefined;
  readonly #waiting = new DatagramQueue();

  constructor(
    arena: Uint8Array,
    route: MemoryDatagramRoute,
    handler: HostDatagramHandler,
    protocol: 'udp' | 'echo',
    port: number,
  ) {
    this.#arena = arena;
    this.#route = route;
    this.#handler = handler;
    this.protocol = protocol;
    this.port = port;
  }

  send(batch: DatagramBatch): number {
    if (this.#handler === undefined) return batch.count;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.at[i] as number;
      const bytes = this.#arena.slice(at, at + (batch.length[i] as number));
      const to = { address: batch.address[i] as number, port: batch.port[i] as number };
      this.#route.carry(this, bytes, to, batch.ttl[i] as number, batch.dontFragment[i] === 1, batch.tos[i] as number);
    }
    return 0;
  }

  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number {
    return this.#waiting.take(this.#arena, batch, at, slotBytes, count).length;
  }

  close(): void {
    this.#handler = undefined;
    this.#waiting.clear();
    this.#route.closed(this);
  }

  /** A datagram arrives, from `from`. */
  arrive(bytes: Uint8Array, from: Remote, tos = 0): void {
    if (this.#handler === undefined) return;
    if (this.#waiting.push({ bytes, address: from.address, port: from.port, tos })) this.#handler.readable();
    else this.dropped++;
  }

  /** The datagram `bytes` to `to` was lost. Called by the route from a later step. */
  fail(bytes: Uint8Array, to: Remote, error: MemoryDatagramError): void {
    const failure: DatagramFailure = {
      address: to.address,
      port: to.port,
      code: error.code,
      icmpType: error.icmpType ?? -1,
      icmpCode: error.icmpCode ?? -1,
      offender: error.offender ?? 0,
      mtu: error.mtu ?? 0,
      sequence: this.protocol === 'echo' ? ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0) : -1,
      length: bytes.length,
    };
    this.#handler?.failed(failure);
  }
}
