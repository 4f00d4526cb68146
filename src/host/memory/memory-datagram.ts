import type {
  DatagramBatch,
  DatagramFailure,
  HostAddress,
  HostDatagram,
  HostDatagramHandler,
  HostErrorCode,
} from '../../env/host.ts';

/** What the in-memory network does with one datagram. */
export interface MemoryDatagramRoute {
  /** `socket` sent `bytes` (its own copy). */
  carry(socket: MemoryDatagram, bytes: Uint8Array, to: Remote, ttl: number, dontFragment: boolean): void;
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

/** Received and not yet taken; more is dropped, as a socket's receive buffer does. */
const MAX_WAITING = 1024;

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
  #waiting: { bytes: Uint8Array; from: Remote }[] = [];

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
      this.#route.carry(this, bytes, to, batch.ttl[i] as number, batch.dontFragment[i] === 1);
    }
    return 0;
  }

  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number {
    const taken = this.#waiting.splice(0, count);
    for (const [i, { bytes, from }] of taken.entries()) {
      const length = Math.min(bytes.length, slotBytes);
      this.#arena.set(bytes.subarray(0, length), at + i * slotBytes);
      batch.at[i] = at + i * slotBytes;
      batch.length[i] = length;
      batch.address[i] = from.address;
      batch.port[i] = from.port;
    }
    batch.count = taken.length;
    return taken.length;
  }

  close(): void {
    this.#handler = undefined;
    this.#waiting = [];
    this.#route.closed(this);
  }

  /** A datagram arrives, from `from`. */
  arrive(bytes: Uint8Array, from: Remote): void {
    if (this.#handler === undefined) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.dropped++;
      return;
    }
    this.#waiting.push({ bytes, from });
    this.#handler.readable();
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
