import type { DatagramBatch, HostDatagram, HostDatagramHandler, HostErrorCode } from '../../env/host.ts';
import type { EpollContext } from './context.ts';
import * as libc from './libc.ts';
import { ICMP_FILTER } from '../socket-options.ts';
import { type MessageShape, MessageSocket } from './message-socket.ts';
import { ECHO_HEADER_BYTES, type MessageTables } from './message-tables.ts';
import { IPV4_HEADER_BYTES } from '../../wire/ipv4.ts';

/** How this process may send echo requests. */
export type EchoWay = 'ping' | 'raw';

/** What a person can do where neither way is open. */
export const PING_HINT =
  'allow unprivileged ping sockets: sysctl -w net.ipv4.ping_group_range="0 2147483647" (or run with CAP_NET_RAW)';

const ECHO_REPLY = 0;
/** linux/icmp.h: a set bit keeps that type from a raw socket. */
const ONLY_ECHO_REPLIES = ~(1 << ECHO_REPLY);

/** Identifiers of the raw sockets of this process: each of them hears the replies to all. */
const rawIdentifiers = new Set<number>();

/** A ping socket (net.ipv4.ping_group_range), else a raw one (CAP_NET_RAW), else none; found by trying. */
export function findEchoWay(): EchoWay | undefined {
  for (const way of ['ping', 'raw'] as const) {
    const fd = libc.socket(libc.AF_INET, socketType(way) | libc.SOCK_FLAGS, libc.IPPROTO_ICMP);
    if (fd < 0) continue;
    libc.close(fd);
    return way;
  }
  return undefined;
}

/**
 * Echo requests by the host. The kernel writes a ping socket's own identifier; a raw socket gets one here, and the
 * request's checksum is carried over. Replies come up with that identifier: who asked knows its own.
 */
export class EpollEcho implements HostDatagram {
  readonly #socket: MessageSocket;
  readonly #identifier: number;

  private constructor(socket: MessageSocket, identifier: number) {
    this.#socket = socket;
    this.#identifier = identifier;
  }

  static open(context: EpollContext, way: EchoWay, handler: HostDatagramHandler): EpollEcho | HostErrorCode {
    const identifier = way === 'raw' ? takeIdentifier() : -1;
    const shape = way === 'raw' ? rawShape(identifier) : PING_SHAPE;
    const socket = MessageSocket.open(context, libc.AF_INET, socketType(way), libc.IPPROTO_ICMP, shape, handler);
    if (typeof socket === 'string') {
      rawIdentifiers.delete(identifier);
      return socket;
    }
    if (way === 'raw') context.memory.setOption(socket.fd, ICMP_FILTER, ONLY_ECHO_REPLIES);
    return new EpollEcho(socket, identifier);
  }

  send(batch: DatagramBatch): number {
    return this.#socket.send(batch, 0, batch.count);
  }

  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number {
    batch.count = this.#socket.receive(batch, 0, at, slotBytes, count);
    return batch.count;
  }

  close(): void {
    this.#socket.close();
    rawIdentifiers.delete(this.#identifier);
  }
}

const PING_SHAPE: MessageShape = {
  echo: true,
  dress: (tables, index, batch, item) => tables.setOutgoing(index, batch, item),
  segments: false,
  prefixBytes: 0,
  undress: (_tables, _index, _at, received) => received,
  ownsError: () => true,
};

function rawShape(identifier: number): MessageShape {
  return {
    echo: true,
    dress(tables, index, batch, item): void {
      if ((batch.length[item] as number) < ECHO_HEADER_BYTES) {
        tables.setOutgoing(index, batch, item);
        return;
      }
      tables.setOutgoingBehindHeader(index, batch, item);
      writeHeader(tables, tables.prefix(index), batch.at[item] as number, identifier);
    },
    segments: false,
    prefixBytes: IPV4_HEADER_BYTES,
    undress(tables, index, at, received): number {
      const { view, bytes } = tables.memory.arena;
      const optionBytes = (view.getUint8(tables.prefix(index)) & 0x0f) * 4 - IPV4_HEADER_BYTES;
      const length = received - IPV4_HEADER_BYTES - optionBytes;
      if (optionBytes < 0 || length < ECHO_HEADER_BYTES) return -1;
      if (optionBytes > 0) bytes.copyWithin(at, at + optionBytes, at + optionBytes + length);
      return view.getUint8(at) === ECHO_REPLY && view.getUint16(at + 4) === identifier ? length : -1;
    },
    ownsError: (quoted) => quoted === identifier,
  };
}

/** Copies the ICMP header from `from` to `at` with another identifier; the checksum follows by RFC 1624 §3. */
function writeHeader(tables: MessageTables, at: number, from: number, identifier: number): void {
  const { bytes, view } = tables.memory.arena;
  bytes.copyWithin(at, from, from + ECHO_HEADER_BYTES);
  let sum = (~view.getUint16(from + 2) & 0xffff) + (~view.getUint16(from + 4) & 0xffff) + identifier;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at + 2, ~sum & 0xffff);
  view.setUint16(at + 4, identifier);
}

function socketType(way: EchoWay): number {
  return way === 'ping' ? libc.SOCK_DGRAM : libc.SOCK_RAW;
}

/** One that no other raw socket of this process has; another process's replies are told apart by who expects them. */
function takeIdentifier(): number {
  let identifier = Math.floor(Math.random() * 0x10000);
  while (rawIdentifiers.has(identifier) && rawIdentifiers.size < 0x10000) identifier = (identifier + 1) & 0xffff;
  rawIdentifiers.add(identifier);
  return identifier;
}
