import {
  type DatagramBatch,
  type HostDatagram,
  type HostDatagramHandler,
  type HostErrorCode,
  LOOPBACK6,
} from '../../env/host.ts';
import type { EpollContext } from './context.ts';
import * as libc from './libc.ts';
import { type MessageShape, MessageSocket } from './message-socket.ts';

const UDP_SHAPE: MessageShape = {
  echo: false,
  dress: (tables, index, batch, item) => tables.setOutgoing(index, batch, item),
  segments: true,
  prefixBytes: 0,
  undress: (_tables, _index, _at, received) => received,
  ownsError: () => true,
};

/**
 * The UDP sockets of one mapping: one for IPv4, and from the first datagram to [::1] on one for IPv6 (a dual-stack
 * socket would report IPv4's ICMP errors in IPv6's words).
 */
export class EpollDatagram implements HostDatagram {
  readonly #context: EpollContext;
  readonly #handler: HostDatagramHandler;
  readonly #inet: MessageSocket;
  #inet6: MessageSocket | undefined;

  private constructor(context: EpollContext, inet: MessageSocket, handler: HostDatagramHandler) {
    this.#context = context;
    this.#inet = inet;
    this.#handler = handler;
  }

  static open(context: EpollContext, handler: HostDatagramHandler): EpollDatagram | HostErrorCode {
    const inet = openUdp(context, libc.AF_INET, handler);
    return typeof inet === 'string' ? inet : new EpollDatagram(context, inet, handler);
  }

  send(batch: DatagramBatch): number {
    let dropped = 0;
    for (let first = 0; first < batch.count; ) {
      const inet6 = batch.address[first] === LOOPBACK6;
      let end = first + 1;
      while (end < batch.count && (batch.address[end] === LOOPBACK6) === inet6) end++;
      dropped += inet6 ? this.#sendInet6(batch, first, end) : this.#inet.send(batch, first, end);
      first = end;
    }
    return dropped;
  }

  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number {
    let received = this.#inet.receive(batch, 0, at, slotBytes, count);
    if (this.#inet6 !== undefined && received < count) {
      received += this.#inet6.receive(batch, received, at, slotBytes, count);
    }
    batch.count = received;
    return received;
  }

  close(): void {
    this.#inet.close();
    this.#inet6?.close();
  }

  #sendInet6(batch: DatagramBatch, first: number, end: number): number {
    if (this.#inet6 === undefined) {
      const opened = openUdp(this.#context, libc.AF_INET6, this.#handler);
      // A host without IPv6 has nobody at [::1]; without descriptors there is no room.
      if (typeof opened === 'string') return end - first;
      this.#inet6 = opened;
    }
    return this.#inet6.send(batch, first, end);
  }
}

function openUdp(context: EpollContext, family: number, handler: HostDatagramHandler): MessageSocket | HostErrorCode {
  return MessageSocket.open(context, family, libc.SOCK_DGRAM, 0, UDP_SHAPE, handler);
}
