import type { DatagramBatch, DatagramFailure, HostDatagramHandler, HostErrorCode } from '../../env/host.ts';
import type { EpollContext } from './context.ts';
import { takeError } from './error-queue.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import {
  IPV6_V6ONLY,
  receiveTos,
  setBuffers,
  setErrorQueue,
  setFragmenting,
  setTimeToLive,
  setTypeOfService,
} from '../socket-options.ts';
import type { MessageTables } from './message-tables.ts';
import { MAX_MESSAGES } from './mmsg-table.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';
import { segmentsFrom } from './udp-segments.ts';
import { IPV4_HEADER_BYTES } from '../../wire/ipv4.ts';
import { UDP_HEADER_BYTES } from '../../wire/udp.ts';

/** Entries taken from the error queue at once; the kernel bounds the queue by the receive buffer. */
const MAX_ERRORS = 1024;
/** A datagram is sent again after each pending error that was not its own, so often at most. */
const MAX_RETRIES = 64;
/** Best effort: the kernel grants what net.core.rmem_max and wmem_max allow. */
const BUFFER_BYTES = 4 * 2 ** 20;

/**
 * What precedes the payload in a packet. (An echo's own header counts as payload: eight bytes more are cut then.)
 */
const IPV4_AND_UDP_HEADER_BYTES = IPV4_HEADER_BYTES + UDP_HEADER_BYTES;

/** How a kind of socket dresses what it sends and undresses what it receives. */
export interface MessageShape {
  /** Whether errors quote an ICMP echo header instead of belonging to a port. */
  readonly echo: boolean;
  /** Fills message `index` from item `item`. */
  dress(tables: MessageTables, index: number, batch: DatagramBatch, item: number): void;
  /** Whether runs of equal datagrams may be sent as one (UDP_SEGMENT). */
  readonly segments: boolean;
  /** Bytes that the kernel puts before the payload; they are received beside it. */
  readonly prefixBytes: number;
  /** Length of the payload of message `index`, which is at `at`; −1 when it belongs to another socket. */
  undress(tables: MessageTables, index: number, at: number, received: number): number;
  /** Whether an error that quotes this identifier is ours. */
  ownsError(identifier: number): boolean;
}

/**
 * One unconnected socket that sends and receives in batches, with IP_RECVERR.
 *
 * An error from one peer is pending on the socket and fails whatever is called next, unsent; so after each failure the
 * error queue is emptied, and if it held something the same datagram is sent again. Only a failure with an empty queue
 * is the datagram's own. TTL, type of service and Don't Fragment are options of the socket: a batch is sent in runs
 * that agree in them. What is longer than the host's own MTU is sent again without Don't Fragment: the kernel cuts it.
 */
export class MessageSocket implements PollHandler {
  readonly #context: EpollContext;
  readonly #tables: MessageTables;
  readonly #fd: number;
  readonly #inet6: boolean;
  readonly #shape: MessageShape;
  readonly #handler: HostDatagramHandler;
  /** Cleared for good once the kernel or the way did not take a super-datagram. */
  #segments: boolean;
  #slot = -1;
  #ttl = 0;
  #tos = 0;
  #dontFragment = -1;
  /** Path MTU that the kernel told with the last EMSGSIZE of its own. */
  #localMtu = 0;
  readonly #failures: DatagramFailure[] = [];

  /** Takes over `fd`, registered in the descriptor table; check `watch`. */
  constructor(context: EpollContext, fd: number, inet6: boolean, shape: MessageShape, handler: HostDatagramHandler) {
    this.#context = context;
    this.#tables = context.tables;
    this.#fd = fd;
    this.#inet6 = inet6;
    this.#shape = shape;
    this.#segments = shape.segments;
    this.#handler = handler;
  }

  /** A socket of that family, type and protocol with big buffers and an error queue, or why there is none. */
  static open(
    context: EpollContext,
    family: number,
    type: number,
    protocol: number,
    shape: MessageShape,
    handler: HostDatagramHandler,
  ): MessageSocket | HostErrorCode {
    const fd = libc.socket(family, type | libc.SOCK_FLAGS, protocol);
    if (fd < 0) return errorCode(libc.errno());
    const { memory } = context;
    const inet6 = family === libc.AF_INET6;
    context.descriptors.record(fd, 'flow');
    if (inet6) memory.setOption(fd, IPV6_V6ONLY, 1);
    setErrorQueue(memory, fd, inet6, true);
    if (!inet6) receiveTos(memory, fd);
    setBuffers(memory, fd, BUFFER_BYTES);
    const socket = new MessageSocket(context, fd, inet6, shape, handler);
    socket.#slot = context.poller.add(fd, socket, INPUT_EVENTS);
    if (socket.#slot >= 0) return socket;
    const code = errorCode(libc.errno());
    context.poller.closeDescriptor(fd);
    return code;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Sends items [first, end) in order; returns how many were dropped because the host has no room. */
  send(batch: DatagramBatch, first: number, end: number): number {
    // Once closed, the number may be another socket's.
    if (this.#slot < 0) return end - first;
    let dropped = 0;
    for (let next = first; next < end && dropped === 0; ) {
      const ttl = batch.ttl[next] as number;
      const dontFragment = batch.dontFragment[next] as number;
      const tos = batch.tos[next] as number;
      let count = 0;
      while (next + count < end && count < MAX_MESSAGES) {
        const item = next + count;
        if (batch.ttl[item] !== ttl || batch.dontFragment[item] !== dontFragment) break;
        if (batch.tos[item] !== tos) break;
        this.#shape.dress(this.#tables, count++, batch, item);
      }
      this.#setRoute(ttl, dontFragment, tos);
      const left = this.#sendRun(batch, next, count);
      if (left > 0) dropped = left + (end - next - count);
      next += count;
    }
    this.#report();
    return dropped;
  }

  /**
   * Receives up to `count` datagrams as `HostDatagram.receive`, filling the batch from item `item` and memory from slot
   * `item` on. Returns how many.
   */
  receive(batch: DatagramBatch, item: number, at: number, slotBytes: number, count: number): number {
    const asked = Math.min(count, MAX_MESSAGES) - item;
    if (asked <= 0 || this.#slot < 0) return 0;
    const tables = this.#tables;
    const { messages } = tables;
    const { prefixBytes } = this.#shape;
    for (let i = 0; i < asked; i++) tables.setIncoming(i, at + (item + i) * slotBytes, slotBytes, prefixBytes);
    const received = this.#receiveMessages(asked);
    let kept = 0;
    for (let i = 0; i < received; i++) {
      const slot = at + (item + i) * slotBytes;
      const length = this.#shape.undress(tables, i, slot, messages.receivedBytes(i));
      const address = tables.memory.readAddress(messages.name(i));
      const cut = (messages.receivedFlags(i) & libc.MSG_TRUNC) !== 0;
      if (cut) this.#context.counters.add('host-datagram-cut');
      if (length < 0 || cut || address < 0) continue;
      const target = item + kept++;
      batch.at[target] = at + target * slotBytes;
      batch.length[target] = length;
      batch.address[target] = address;
      batch.tos[target] = tables.receivedTos(i);
      batch.port[target] = this.#shape.echo ? 0 : tables.memory.readPort(messages.name(i));
      // Behind one that was left out: each lies in its own slot.
      if (kept <= i) tables.memory.arena.bytes.copyWithin(batch.at[target] as number, slot, slot + length);
    }
    // What was left out makes the count short although more may wait.
    if (kept < received && received === asked) this.#context.poller.owe(this);
    return kept;
  }

  ready(events: number): void {
    if (this.#slot < 0) return;
    if ((events & libc.EPOLLERR) !== 0) {
      this.#takeErrors();
      this.#report();
    }
    if (this.#slot >= 0 && (events & libc.EPOLLIN) !== 0) this.#handler.readable();
  }

  close(): void {
    if (this.#slot < 0) return;
    this.#context.poller.remove(this.#slot);
    this.#slot = -1;
    this.#failures.length = 0;
    this.#context.poller.closeDescriptor(this.#fd);
  }

  /** Sends messages 0…count−1, items from `first` on; returns how many the host had no room for. */
  #sendRun(batch: DatagramBatch, first: number, count: number): number {
    let done = 0;
    let retries = 0;
    /** Messages before this go in fragments. */
    let cut = 0;
    while (done < count) {
      if (done >= cut && cut > 0) {
        cut = 0;
        this.#setDontFragment(1);
      }
      const segments = this.#segments && cut === 0 ? segmentsFrom(batch, first + done, first + count) : 1;
      const sent =
        segments > 1
          ? this.#sendSegments(batch, first + done, segments)
          : this.#sendMessages(done, cut > 0 ? cut : count);
      if (sent > 0) {
        done += sent;
        retries = 0;
        continue;
      }
      const number = libc.errno();
      if (number === Errno.EAGAIN || number === Errno.ENOBUFS) return count - done;
      this.#localMtu = 0;
      if (this.#takeErrors() > 0 && retries++ < MAX_RETRIES) continue;
      if (segments > 1) {
        this.#segments = false;
        continue;
      }
      const tooLong = number === Errno.EMSGSIZE;
      // In fragments it is too long only for IPv4 itself; that it is too long has been said.
      if (!(tooLong && cut > 0)) this.#failures.push(ownFailure(batch, first + done, number, this.#localMtu));
      if (tooLong && cut === 0 && this.#dontFragment === 1) {
        this.#setDontFragment(0);
        cut = done + this.#tooLongFrom(batch, first + done, first + count);
        continue;
      }
      done++;
      retries = 0;
    }
    return 0;
  }

  /**
   * How many items from `first` on, which the host refused, are too long for the same way: one failure tells of them
   * all.
   */
  #tooLongFrom(batch: DatagramBatch, first: number, end: number): number {
    const longest = this.#localMtu > 0 ? this.#localMtu - IPV4_AND_UDP_HEADER_BYTES : Infinity;
    let item = first + 1;
    while (item < end && batch.address[item] === batch.address[first] && (batch.length[item] as number) > longest)
      item++;
    return item - first;
  }

  /** Messages [from, to) in one call; how many went, or a negative number with errno set. */
  #sendMessages(from: number, to: number): number {
    return libc.sendmmsg(
      this.#fd,
      this.#tables.messages.address(from),
      to - from,
      libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT,
    );
  }

  /** All of the run or nothing. */
  #sendSegments(batch: DatagramBatch, first: number, count: number): number {
    return this.#tables.segments.send(this.#fd, batch, first, count) < 0 ? -1 : count;
  }

  #receiveMessages(count: number): number {
    for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
      const received = libc.recvmmsg(this.#fd, this.#tables.messages.address(0), count, libc.MSG_DONTWAIT, 0);
      if (received >= 0) return received;
      if (libc.errno() === Errno.EAGAIN) return 0;
      // A pending error of something sent stands before what was received; its report waits for EPOLLERR's own time.
      if (this.#takeErrors() > 0) this.#context.poller.owe({ ready: () => this.#report() });
    }
    return 0;
  }

  /** Empties the error queue into #failures; returns how many entries came from outside. */
  #takeErrors(): number {
    let taken = 0;
    for (let i = 0; i < MAX_ERRORS; i++) {
      const error = takeError(this.#tables, this.#fd, this.#shape.echo);
      if (error === undefined) return taken;
      if (error.local) {
        this.#localMtu = error.failure.mtu;
        continue;
      }
      taken++;
      if (error.failure.address >= 0 && this.#shape.ownsError(error.identifier)) this.#failures.push(error.failure);
    }
    // More than one turn takes; no new edge will tell of the rest.
    this.#context.poller.owe({ ready: () => this.ready(libc.EPOLLERR) });
    return taken;
  }

  #report(): void {
    while (this.#failures.length > 0 && this.#slot >= 0)
      this.#handler.failed(this.#failures.shift() as DatagramFailure);
  }

  #setRoute(ttl: number, dontFragment: number, tos: number): void {
    const { memory } = this.#context;
    if (ttl !== this.#ttl) {
      this.#ttl = ttl;
      setTimeToLive(memory, this.#fd, this.#inet6, ttl);
    }
    // What goes to [::1] stays in this computer.
    if (this.#inet6) return;
    this.#setDontFragment(dontFragment);
    if (tos === this.#tos) return;
    this.#tos = tos;
    setTypeOfService(memory, this.#fd, tos);
  }

  #setDontFragment(dontFragment: number): void {
    if (dontFragment === this.#dontFragment) return;
    this.#dontFragment = dontFragment;
    setFragmenting(this.#context.memory, this.#fd, false, dontFragment === 0);
  }
}

/** What the host itself said to sending item `item`. */
function ownFailure(batch: DatagramBatch, item: number, number: number, mtu: number): DatagramFailure {
  return {
    address: batch.address[item] as number,
    port: batch.port[item] as number,
    code: errorCode(number),
    icmpType: -1,
    icmpCode: -1,
    offender: 0,
    mtu: number === Errno.EMSGSIZE ? mtu : 0,
    sequence: -1,
    length: batch.length[item] as number,
  };
}
