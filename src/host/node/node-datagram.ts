/**
 * A UDP mapping over node:dgram: one unbound-peer socket, and a second one for [::1] made when it is first needed.
 *
 * Errors belong to the datagram whose send failed. Node hears of ICMP errors on connected sockets only, so none arrives
 * here (capability icmpErrors: false); time to live and Don't Fragment are not honoured (capability ttl: false).
 * Bounds: 1,024 datagrams or 4 MiB received and not taken, 4 MiB that wait to be sent; more is dropped and counted.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Counters } from '../../env/counters.ts';
import {
  type DatagramBatch,
  type HostAddress,
  type HostDatagram,
  type HostDatagramHandler,
  type HostErrorCode,
  LOOPBACK6,
} from '../../env/host.ts';
import { hostAddressText, parseHostAddress } from '../address-text.ts';
import { DatagramQueue } from '../datagram-queue.ts';
import { hostErrorCode } from '../errno.ts';

const MAX_UNSENT_BYTES = 4 << 20;
/** Asked of the kernel, which may grant less. */
const SOCKET_BUFFER_BYTES = 4 << 20;

export class NodeDatagram implements HostDatagram {
  readonly #arena: Uint8Array;
  readonly #wake: () => void;
  readonly #counters: Counters;
  #handler: HostDatagramHandler | undefined;
  #socket4: Socket | undefined;
  #socket6: Socket | undefined;
  readonly #waiting = new DatagramQueue();

  /** Opens the socket; the error's code when the host has none to give. */
  static open(
    arena: Uint8Array,
    handler: HostDatagramHandler,
    wake: () => void,
    counters: Counters,
  ): NodeDatagram | HostErrorCode {
    const datagram = new NodeDatagram(arena, handler, wake, counters);
    const socket = datagram.#bind('udp4');
    if (typeof socket === 'string') return socket;
    datagram.#socket4 = socket;
    return datagram;
  }

  private constructor(arena: Uint8Array, handler: HostDatagramHandler, wake: () => void, counters: Counters) {
    this.#arena = arena;
    this.#handler = handler;
    this.#wake = wake;
    this.#counters = counters;
  }

  send(batch: DatagramBatch): number {
    let dropped = 0;
    for (let i = 0; i < batch.count; i++) {
      const address = batch.address[i] as number;
      const at = batch.at[i] as number;
      const length = batch.length[i] as number;
      const socket = this.#socketFor(address);
      if (socket === undefined || socket.getSendQueueSize() > MAX_UNSENT_BYTES) dropped++;
      else this.#sendOne(socket, this.#arena.slice(at, at + length), address, batch.port[i] as number);
    }
    if (dropped > 0) this.#counters.add('host-datagram-send-dropped', dropped);
    return dropped;
  }

  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number {
    return this.#waiting.take(this.#arena, batch, at, slotBytes, count).length;
  }

  close(): void {
    this.#handler = undefined;
    this.#waiting.clear();
    this.#socket4?.close();
    this.#socket6?.close();
    this.#socket4 = undefined;
    this.#socket6 = undefined;
  }

  #sendOne(socket: Socket, bytes: Uint8Array, address: HostAddress, port: number): void {
    const length = bytes.length;
    try {
      socket.send(bytes, port, hostAddressText(address), (error) => {
        if (error !== null) this.#lost(hostErrorCode(error), address, port, length);
      });
    } catch (error) {
      // Node checks some arguments itself: a port of 0 is no destination.
      queueMicrotask(() => this.#lost(hostErrorCode(error), address, port, length));
    }
  }

  #lost(code: HostErrorCode, address: HostAddress, port: number, length: number): void {
    if (this.#handler === undefined) return;
    const none = { icmpType: -1, icmpCode: -1, offender: 0, mtu: 0, sequence: -1 };
    this.#handler.failed({ address, port, code, length, ...none });
    this.#wake();
  }

  #socketFor(address: HostAddress): Socket | undefined {
    if (address !== LOOPBACK6 || this.#handler === undefined) return this.#socket4;
    if (this.#socket6 === undefined) {
      const socket = this.#bind('udp6');
      if (typeof socket === 'string') return undefined;
      this.#socket6 = socket;
    }
    return this.#socket6;
  }

  /** A bound socket at once: with a lookup that answers synchronously, Node binds within the call. */
  #bind(type: 'udp4' | 'udp6'): Socket | HostErrorCode {
    let failure: HostErrorCode | undefined;
    const family = type === 'udp4' ? 4 : 6;
    const socket = createSocket({
      type,
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
      lookup: (host, _options, done) => done(null, host, family),
    });
    socket.on('error', (error) => {
      failure ??= hostErrorCode(error);
      this.#counters.add('host-datagram-socket-error');
    });
    socket.on('message', (bytes, from) => this.#arrived(bytes, from));
    socket.bind({ port: 0, address: type === 'udp4' ? '0.0.0.0' : '::', exclusive: true });
    if (failure === undefined) return socket;
    closeQuietly(socket);
    return failure;
  }

  #arrived(bytes: Uint8Array, from: RemoteInfo): void {
    const address = parseHostAddress(from.address);
    if (this.#handler === undefined || address === undefined) return;
    if (!this.#waiting.push({ bytes, address, port: from.port })) {
      this.#counters.add('host-datagram-receive-full');
      return;
    }
    this.#handler.readable();
    this.#wake();
  }
}

/** Closing a socket that never ran throws in Node; there is nothing left to close then. */
function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // Already closed.
  }
}
