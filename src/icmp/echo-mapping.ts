import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import { makeDatagramBatch } from '../env/datagram-batch.ts';
import type { DatagramBatch, DatagramFailure, HostDatagram, HostDatagramHandler } from '../env/host.ts';
import type { IcmpErrors } from '../ip/icmp-errors.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { Ipv4Output, OutgoingPacket } from '../ip/output.ts';
import type { Packet } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Rank, Shared } from '../turn/shares.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import { readU16, writeU16 } from '../wire/bytes.ts';
import { foldedComplement } from '../wire/checksum.ts';
import { ICMP_CHECKSUM_OFFSET, ICMP_ECHO_REPLY, ICMP_HEADER_BYTES, writeIcmpEcho } from '../wire/icmpv4.ts';
import { PROTOCOL_ICMP } from '../wire/ipv4.ts';
import { unreachableFor } from './unreachable.ts';

/** A ping that nobody continues is forgotten after this (RFC 5508 §3.2 REQ-2: not before a minute). */
export const ECHO_IDLE_MS = 60_000;
/** Requests in one call to the host: one turn rarely brings more of one ping. */
export const ECHO_BATCH = 16;
/** Replies in one call; each may have 64 KiB. */
export const ECHO_RECEIVE_BATCH = 8;
export const ECHO_SLOT_BYTES = 65_536;
/** Requests remembered for the ICMP errors that come back about them: traceroute -I has 16 under way. */
const REMEMBERED = 32;

/** What every mapping works with. */
export interface EchoContext {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly output: Ipv4Output;
  readonly errors: IcmpErrors;
  readonly gatewayAddress: number;
  /** Shared by all mappings: filled and emptied within one call. */
  readonly replies: DatagramBatch;
  readonly repliesAt: number;
  /** The reply that is being sent: one record for all mappings. */
  readonly reply: OutgoingPacket;
  /** The mapping was used just now and is wanted as much as `rank` says. */
  readonly onUsed: (mapping: EchoMapping, rank: Rank) => void;
  /** The mapping had nothing to do for ECHO_IDLE_MS. */
  readonly onIdle: (mapping: EchoMapping) => void;
}

/** The work of one phase of the turn. */
class Phase implements FairWork {
  queued = false;
  readonly lane: Port;
  readonly work: () => void;

  constructor(lane: Port, work: () => void) {
    this.lane = lane;
    this.work = work;
  }
}

/** Echo requests of one guest address under one identifier, and the ping socket of the host that carries them. */
export class EchoMapping implements HostDatagramHandler, Shared<Port, EchoMapping> {
  readonly key: number;
  readonly identifier: number;
  owner: Port;
  /** Its guest's, with `owner` to know that guest again: another may have got the address. */
  mac: number;
  rank: Rank = 0;
  older: EchoMapping | undefined;
  newer: EchoMapping | undefined;
  /** Where replies go; updated with each request. */
  neighbor: Neighbor;
  readonly #context: EchoContext;
  readonly #requests = makeDatagramBatch(ECHO_BATCH);
  readonly #sending: Phase;
  readonly #receiving: Phase;
  readonly #idle: Timer = new Timer(() => this.#context.onIdle(this));
  /** The last requests, a ring: sequence, destination, IP payload length, ICMP checksum. */
  readonly #asked = Array.from({ length: REMEMBERED }, () => ({
    sequence: -1,
    destination: 0,
    length: 0,
    checksum: 0,
  }));
  #askedCount = 0;
  /** `Packet.probesPath` of the last request. */
  #probesPath = false;
  #socket: HostDatagram | undefined;

  constructor(context: EchoContext, key: number, neighbor: Neighbor, identifier: number) {
    this.#context = context;
    this.key = key;
    this.neighbor = neighbor;
    this.owner = neighbor.port;
    this.mac = neighbor.mac;
    this.identifier = identifier;
    this.#sending = new Phase(neighbor.port, () => this.#flush());
    this.#receiving = new Phase(neighbor.port, () => this.#receive());
  }

  open(socket: HostDatagram): void {
    this.#socket = socket;
  }

  /** Sends the request at the turn's commit phase. */
  request(packet: Packet): void {
    const { arena, turn } = this.#context;
    const batch = this.#requests;
    this.#probesPath = packet.probesPath;
    if (batch.count === ECHO_BATCH) this.#flush();
    const i = batch.count++;
    batch.at[i] = packet.payloadAt;
    batch.length[i] = packet.payloadEnd - packet.payloadAt;
    batch.address[i] = packet.destination;
    batch.port[i] = 0;
    batch.ttl[i] = Math.max(packet.ttl - 1, 1);
    batch.dontFragment[i] = packet.dontFragment ? 1 : 0;
    batch.tos[i] = packet.tos;
    const asked = this.#asked[this.#askedCount++ % REMEMBERED];
    if (asked !== undefined) {
      asked.sequence = readU16(arena.bytes, packet.payloadAt + 6);
      asked.destination = packet.destination;
      asked.length = packet.payloadEnd - packet.payloadAt;
      asked.checksum = readU16(arena.bytes, packet.payloadAt + ICMP_CHECKSUM_OFFSET);
    }
    turn.commits.add(this.#sending);
    turn.timers.arm(this.#idle, ECHO_IDLE_MS);
    this.#context.onUsed(this, this.rank === 0 ? 0 : 2);
  }

  readable(): void {
    if (this.#socket !== undefined) this.#context.turn.egress.add(this.#receiving);
  }

  failed(failure: DatagramFailure): void {
    const { counters, errors, gatewayAddress } = this.#context;
    counters.add('icmp-echo-failed');
    const kind =
      failure.icmpType >= 0 ? { type: failure.icmpType, code: failure.icmpCode } : unreachableFor(failure.code);
    if (kind === undefined) return;
    if (failure.code === 'EMSGSIZE' && failure.offender === 0 && !this.#probesPath) {
      if (failure.mtu > 0) errors.pathMtu(this.neighbor, this.neighbor.address, failure.address, failure.mtu);
      return;
    }
    const asked = this.#find(failure);
    const sequence = asked?.sequence ?? Math.max(failure.sequence, 0);
    const quoted = {
      protocol: PROTOCOL_ICMP,
      source: this.neighbor.address,
      destination: failure.address,
      firstWord: (0x0800_0000 | (asked?.checksum ?? 0)) >>> 0,
      secondWord: ((this.identifier << 16) | sequence) >>> 0,
      length: asked?.length ?? Math.max(failure.length, ICMP_HEADER_BYTES),
    };
    // A hop of a traceroute is who sent the error, not the gateway.
    const speaker = failure.offender === 0 ? gatewayAddress : failure.offender;
    errors.aboutQuoted(this.neighbor, quoted, kind, speaker, failure.mtu);
  }

  close(): void {
    this.#context.turn.timers.cancel(this.#idle);
    this.#requests.count = 0;
    this.#socket?.close();
    this.#socket = undefined;
  }

  #flush(): void {
    const batch = this.#requests;
    if (batch.count === 0 || this.#socket === undefined) return;
    const dropped = this.#socket.send(batch);
    if (dropped > 0) this.#context.counters.add('icmp-echo-host-full', dropped);
    batch.count = 0;
  }

  #receive(): void {
    const { replies, repliesAt, turn, counters } = this.#context;
    if (this.#socket === undefined) return;
    const count = this.#socket.receive(replies, repliesAt, ECHO_SLOT_BYTES, ECHO_RECEIVE_BATCH);
    if (count === ECHO_RECEIVE_BATCH) turn.egress.add(this.#receiving);
    if (!this.neighbor.port.attached) {
      if (count > 0) counters.add('icmp-echo-guest-gone', count);
      return;
    }
    for (let i = 0; i < count; i++) {
      this.#reply(replies.address[i] ?? 0, replies.at[i] ?? 0, replies.length[i] ?? 0, replies.tos[i] ?? 0);
    }
    if (count === 0) return;
    turn.timers.arm(this.#idle, ECHO_IDLE_MS);
    this.#context.onUsed(this, this.rank === 2 ? 2 : 1);
  }

  /** The reply with the guest's own identifier in it again. */
  #reply(source: number, at: number, length: number, tos: number): void {
    const { arena, counters, output, reply } = this.#context;
    const { bytes } = arena;
    if (length < ICMP_HEADER_BYTES || bytes[at] !== ICMP_ECHO_REPLY) {
      counters.add('icmp-echo-bad-reply');
      return;
    }
    writeIcmpEcho(bytes, at, ICMP_ECHO_REPLY, this.identifier, readU16(bytes, at + 6));
    writeU16(bytes, at + ICMP_CHECKSUM_OFFSET, foldedComplement(arena.sum(at, length, 0)));
    reply.source = source;
    reply.tos = tos;
    reply.at = at;
    reply.length = length;
    if (!output.send(this.neighbor, reply)) counters.add('icmp-echo-reply-port-full');
  }

  #find(failure: DatagramFailure): { sequence: number; length: number; checksum: number } | undefined {
    const newest = this.#askedCount - 1;
    for (let i = newest; i >= 0 && i > newest - REMEMBERED; i--) {
      const asked = this.#asked[i % REMEMBERED];
      if (asked === undefined || asked.destination !== failure.address) continue;
      if (failure.sequence < 0 || asked.sequence === failure.sequence) return asked;
    }
    return undefined;
  }
}
