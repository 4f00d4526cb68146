import type { DatagramBatch, HostErrorCode } from '../../env/host.ts';
import type { HostDatagramServer, HostDatagramServerHandler } from '../../env/host-listener.ts';
import { isLoopbackIpv4 } from '../../wire/ipv4.ts';
import { DatagramClients } from '../datagram-clients.ts';
import type { EpollContext } from './context.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import { raiseBuffers, receivePacketInfo, setErrorQueue, setFragmenting, SO_DOMAIN } from '../socket-options.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';
import { MAX_MESSAGES } from './mmsg-table.ts';
import type { ServerMessages } from './server-messages.ts';
import type { ServerOutbox } from './server-outbox.ts';

/** As root; else what net.core.rmem_max and wmem_max allow. */
const BUFFER_BYTES = 4 * 2 ** 20;
/** Calls of one `receive` that brought only datagrams too long for their slots. */
const MAX_ROUNDS = 16;

/** One UDP socket of the row. */
interface ServedSocket extends PollHandler {
  readonly fd: number;
  readonly number: number;
  readonly index: number;
  readonly inet6: boolean;
  /** It is of IPv4 and not bound to a loopback address. */
  readonly outward: boolean;
  slot: number;
}

/**
 * The UDP sockets of one forward: bound by the control thread, which keeps their numbers as those of `ForwardListener`.
 *
 * Without IP_RECVERR an unconnected socket hears of no ICMP error, so none costs a datagram. Clients are known by the
 * socket and by both addresses, theirs and the one of ours that they asked: answers leave from there, on a computer of
 * many too.
 */
export class EpollDatagramServer implements HostDatagramServer {
  readonly #context: EpollContext;
  readonly #messages: ServerMessages;
  readonly #outbox: ServerOutbox;
  readonly #handler: HostDatagramServerHandler;
  readonly #clients = new DatagramClients();
  readonly #sockets: ServedSocket[] = [];
  /** Those of one place in the range: IPv4, IPv6 or both. */
  readonly #places = new Map<number, ServedSocket[]>();
  /** Which of a place's sockets is read first, in turn. */
  #first = 0;
  #closed = false;

  private constructor(
    context: EpollContext,
    messages: ServerMessages,
    outbox: ServerOutbox,
    handler: HostDatagramServerHandler,
  ) {
    this.#context = context;
    this.#messages = messages;
    this.#outbox = outbox;
    this.#handler = handler;
  }

  /** Takes over bound UDP sockets; closes them all when one is none. */
  static adopt(
    context: EpollContext,
    messages: ServerMessages,
    outbox: ServerOutbox,
    fds: readonly number[],
    index: readonly number[],
    handler: HostDatagramServerHandler,
  ): EpollDatagramServer | HostErrorCode {
    const server = new EpollDatagramServer(context, messages, outbox, handler);
    let number = 0;
    for (const [i, fd] of fds.entries()) number ||= server.#add(fd, index[i] as number);
    if (number === 0) return server;
    server.close();
    return errorCode(number);
  }

  receive(
    index: number,
    batch: DatagramBatch,
    client: Int32Array,
    at: number,
    slotBytes: number,
    count: number,
  ): number {
    const sockets = this.#places.get(index) ?? [];
    const wanted = Math.min(count, MAX_MESSAGES);
    let received = 0;
    this.#first++;
    for (let i = 0; i < sockets.length && received < wanted; i++) {
      const socket = sockets[(this.#first + i) % sockets.length] as ServedSocket;
      received = this.#receiveFrom(socket, batch, client, at, slotBytes, received, wanted);
    }
    batch.count = received;
    return received;
  }

  reach(index: number, address: number, port: number): number {
    const socket = this.#places.get(index)?.find(({ outward }) => outward);
    if (socket === undefined || this.#closed) return -1;
    this.#messages.writeRemote(socket.number, address, port, this.#clients.key);
    return this.#clients.find();
  }

  send(index: number, client: number, at: number, length: number): boolean {
    const key = this.#clients.at(client);
    if (key < 0 || this.#closed) return false;
    const socket = this.#sockets[this.#messages.socketOf(this.#clients, key)];
    if (socket === undefined || socket.index !== index) return false;
    this.#outbox.add(socket.fd, socket.inet6, this.#clients, client, key, at, length);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.flush();
    const { poller, descriptors } = this.#context;
    for (const { fd, slot } of this.#sockets) {
      if (slot >= 0) {
        poller.remove(slot);
        poller.deregister(fd);
      }
      // At once: who hears that the forward is closed may bind the port again.
      descriptors.forget(fd);
      libc.close(fd);
    }
    this.#sockets.length = 0;
    this.#places.clear();
  }

  /** 0 or an errno; the socket is ours either way. */
  #add(fd: number, index: number): number {
    const { memory, descriptors, poller } = this.#context;
    const family = memory.option(fd, SO_DOMAIN);
    const unknown = family < 0 ? libc.errno() : 0;
    const inet6 = family === libc.AF_INET6;
    const socket: ServedSocket = {
      fd,
      number: this.#sockets.length,
      index,
      inet6,
      outward: family === libc.AF_INET && !isLoopbackIpv4(memory.localAddress(fd)),
      slot: -1,
      ready: () => {
        if (!this.#closed) this.#handler.readable(index);
      },
    };
    descriptors.record(fd, 'listener');
    this.#sockets.push(socket);
    const place = this.#places.get(index);
    if (place === undefined) this.#places.set(index, [socket]);
    else place.push(socket);
    if (unknown !== 0) return unknown;
    this.#setOptions(fd, inet6);
    socket.slot = poller.add(fd, socket, INPUT_EVENTS);
    return socket.slot < 0 ? libc.errno() : 0;
  }

  #setOptions(fd: number, inet6: boolean): void {
    const { memory } = this.#context;
    libc.fcntl(fd, libc.F_SETFL, libc.O_NONBLOCK);
    libc.fcntl(fd, libc.F_SETFD, libc.FD_CLOEXEC);
    receivePacketInfo(memory, fd, inet6);
    setErrorQueue(memory, fd, inet6, false);
    // A guest's answer that is too long for the way is cut by it, not lost.
    setFragmenting(memory, fd, inet6, true);
    raiseBuffers(memory, fd, BUFFER_BYTES);
  }

  /** Fills the batch from item `item` on; returns the items that are filled then. */
  #receiveFrom(
    socket: ServedSocket,
    batch: DatagramBatch,
    client: Int32Array,
    at: number,
    slotBytes: number,
    item: number,
    wanted: number,
  ): number {
    let filled = item;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const asked = wanted - filled;
      const received = this.#messages.receive(socket.fd, at + filled * slotBytes, slotBytes, asked);
      // Somebody's error was pending on the socket (ss --kill): it is taken, what waits is not.
      if (received < 0 && libc.errno() !== Errno.EAGAIN) continue;
      const from = filled;
      for (let i = 0; i < received; i++) {
        const length = this.#messages.length(i);
        if (length < 0) {
          this.#context.counters.add('host-datagram-cut');
          continue;
        }
        const target = filled++;
        batch.at[target] = at + target * slotBytes;
        batch.length[target] = length;
        batch.address[target] = this.#messages.address(i);
        batch.port[target] = this.#messages.port(i);
        this.#messages.writeKey(i, socket.number, this.#clients.key);
        client[target] = this.#clients.find();
        const slot = at + (from + i) * slotBytes;
        // Behind one that was left out.
        if (slot !== batch.at[target]) {
          this.#context.memory.arena.bytes.copyWithin(batch.at[target] as number, slot, slot + length);
        }
      }
      if (received < asked || filled === wanted) return filled;
    }
    // No new edge will tell of the rest.
    this.#context.poller.owe(socket);
    return filled;
  }
}
