/**
 * ICMP from guests (RFC 792). Echo requests to the gateway or the host address are answered here; to anywhere else they
 * go by a ping socket of the host, one for each guest address and identifier, so the replies, the hops of a traceroute
 * and the unreachables are the real ones. Mappings end after ECHO_IDLE_MS, or make room where the guest, the table or
 * the host has no more: `Shares` says which.
 *
 * Errors from guests are counted; a destination unreachable is handed on, for TCP. All other types are counted and go
 * no further.
 */
import { makeDatagramBatch } from '../env/datagram-batch.ts';
import type { Host } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import { isSameGuest } from '../ip/neighbor.ts';
import { OutgoingPacket } from '../ip/output.ts';
import type { OwnAddresses } from '../ip/own-addresses.ts';
import type { Packet, ProtocolHandler } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import { Shares } from '../turn/shares.ts';
import { writeU16 } from '../wire/bytes.ts';
import { foldedComplement } from '../wire/checksum.ts';
import {
  ICMP_CHECKSUM_OFFSET,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER_BYTES,
  type IcmpFault,
  IcmpHeader,
  isIcmpError,
  parseIcmp,
  writeIcmpEcho,
} from '../wire/icmpv4.ts';
import { PROTOCOL_ICMP } from '../wire/ipv4.ts';
import { ECHO_RECEIVE_BATCH, ECHO_SLOT_BYTES, type EchoContext, EchoMapping } from './echo-mapping.ts';

/** Each mapping is a descriptor of the host. */
export const MAX_ECHO_MAPPINGS = 1024;
/** A quarter: a guest that counts identifiers up leaves the others their share. */
export const MAX_ECHO_MAPPINGS_PER_GUEST = 256;
const REPLY_TTL = 64;

/** What became of a message that caused no request to the host; each is a counter. */
export type EchoOutcome =
  | IcmpFault
  | 'icmp-bad-checksum'
  | 'icmp-echo-answered'
  | 'icmp-echo-reply-port-full'
  | 'icmp-echo-no-ping-socket'
  | 'icmp-echo-open-failed'
  | 'icmp-error-from-guest'
  | 'icmp-unhandled-type';

export interface EchoOptions
  extends Omit<EchoContext, 'replies' | 'repliesAt' | 'reply' | 'onUsed' | 'onIdle' | 'gatewayAddress'> {
  readonly host: Host;
  readonly log: Log;
  /** `Interface.own` */
  readonly own: OwnAddresses;
  /**
   * A guest's destination unreachable, with its code and the MTU that fragmentation needed tells, about an IPv4 packet
   * of ours that is quoted at [at, end), truncated perhaps.
   */
  readonly unreachable?: (packet: Packet, code: number, mtu: number, at: number, end: number) => void;
}

export class IcmpEcho implements ProtocolHandler {
  readonly #options: EchoOptions;
  readonly #context: EchoContext;
  readonly #header = new IcmpHeader();
  /** By guest address and identifier. */
  readonly #mappings = new Map<number, EchoMapping>();
  readonly #shares: Shares<Port, EchoMapping> = new Shares();
  #hintLogged = false;

  constructor(options: EchoOptions) {
    this.#options = options;
    const repliesAt = options.arena.allocate(ECHO_RECEIVE_BATCH * ECHO_SLOT_BYTES);
    if (repliesAt < 0) throw new RangeError('the arena has no room for echo replies: make it larger');
    this.#context = {
      ...options,
      gatewayAddress: options.own.gateway,
      replies: makeDatagramBatch(ECHO_RECEIVE_BATCH),
      repliesAt,
      reply: new OutgoingPacket(PROTOCOL_ICMP, REPLY_TTL),
      onUsed: (mapping, rank) => this.#shares.used(mapping, mapping.neighbor.port, rank),
      onIdle: (mapping) => this.#remove(mapping),
    };
  }

  /** Mappings that hold a ping socket. */
  get size(): number {
    return this.#mappings.size;
  }

  receive(packet: Packet): void {
    const outcome = this.#handle(packet);
    if (outcome !== undefined) this.#options.counters.add(outcome);
  }

  /** Releases every ping socket. */
  close(): void {
    for (const mapping of this.#mappings.values()) this.#remove(mapping);
  }

  #handle(packet: Packet): EchoOutcome | undefined {
    const { arena, own } = this.#options;
    const { payloadAt, payloadEnd, frame } = packet;
    const fault = parseIcmp(arena.bytes, payloadAt, payloadEnd, this.#header);
    if (fault !== undefined) return fault;
    const unchecked = frame.checksumValid || frame.needsChecksum;
    if (!unchecked && arena.sum(payloadAt, payloadEnd - payloadAt, 0) !== 0xffff) return 'icmp-bad-checksum';
    const { type, code, sequence: mtu } = this.#header;
    if (type === ICMP_DESTINATION_UNREACHABLE) {
      this.#options.unreachable?.(packet, code, mtu, payloadAt + ICMP_HEADER_BYTES, payloadEnd);
    }
    if (type !== ICMP_ECHO_REQUEST) return isIcmpError(type) ? 'icmp-error-from-guest' : 'icmp-unhandled-type';
    if (own.has(packet.destination)) return this.#answer(packet);
    return this.#forward(packet);
  }

  /** Turns the request into the reply where it lies (it is ours until the turn's end) and sends a copy. */
  #answer(packet: Packet): EchoOutcome {
    const { arena, output } = this.#options;
    const { payloadAt: at, payloadEnd } = packet;
    const length = payloadEnd - at;
    writeIcmpEcho(arena.bytes, at, ICMP_ECHO_REPLY, this.#header.identifier, this.#header.sequence);
    writeU16(arena.bytes, at + ICMP_CHECKSUM_OFFSET, foldedComplement(arena.sum(at, length, 0)));
    const { reply } = this.#context;
    reply.source = packet.destination;
    reply.tos = packet.tos;
    reply.at = at;
    reply.length = length;
    const sent = output.send(packet.neighbor, reply);
    return sent ? 'icmp-echo-answered' : 'icmp-echo-reply-port-full';
  }

  #forward(packet: Packet): EchoOutcome | undefined {
    const { identifier } = this.#header;
    const key = packet.source * 0x1_0000 + identifier;
    const known = this.#mappings.get(key);
    if (known !== undefined && isSameGuest({ mac: known.mac, port: known.owner }, packet.neighbor)) {
      known.neighbor = packet.neighbor;
      known.mac = packet.neighbor.mac;
      known.request(packet);
      return undefined;
    }
    if (known !== undefined) this.#remove(known);
    const { capabilities } = this.#options.host;
    if (!capabilities.ping) return this.#noPing(capabilities.pingHint);
    const { port } = packet.neighbor;
    this.#makeRoom(port);
    const mapping = new EchoMapping(this.#context, key, packet.neighbor, identifier);
    let socket = this.#options.host.openEcho(mapping);
    if ((socket === 'EMFILE' || socket === 'ENFILE') && this.#evict(this.#shares.leastWantedOf(port))) {
      socket = this.#options.host.openEcho(mapping);
    }
    if (socket === 'EACCES' || socket === 'EPERM') return this.#noPing(capabilities.pingHint);
    if (typeof socket === 'string') return 'icmp-echo-open-failed';
    mapping.open(socket);
    this.#mappings.set(key, mapping);
    this.#shares.add(mapping);
    mapping.request(packet);
    return undefined;
  }

  #noPing(hint: string): EchoOutcome {
    if (!this.#hintLogged) {
      this.#hintLogged = true;
      this.#options.log.warn('guests cannot ping the outside: this host gives the process no ping socket', { hint });
    }
    return 'icmp-echo-no-ping-socket';
  }

  #makeRoom(guest: Port): void {
    if (this.#shares.of(guest) >= MAX_ECHO_MAPPINGS_PER_GUEST) this.#evict(this.#shares.leastWantedOf(guest));
    else if (this.#mappings.size >= MAX_ECHO_MAPPINGS) this.#evict(this.#shares.leastWantedFor(guest));
  }

  #evict(mapping: EchoMapping | undefined): boolean {
    if (mapping === undefined) return false;
    this.#remove(mapping);
    this.#options.counters.add('icmp-echo-evicted');
    return true;
  }

  #remove(mapping: EchoMapping): void {
    if (!this.#mappings.delete(mapping.key)) return;
    this.#shares.remove(mapping);
    mapping.close();
  }
}
