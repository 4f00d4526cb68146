/**
 * ICMP errors towards guests (RFC 792, RFC 1812 §4.3.2). Quotes as much of the packet as fits into 576 bytes. Says
 * nothing about an ICMP error, a later fragment, a broadcast or multicast, or a guest without an address (RFC 1122
 * §3.2.2), and to one guest no more than a token bucket lets through (RFC 1812 §4.3.2.8).
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { IcmpErrors, QuotedPacket } from '../ip/icmp-errors.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { type Ipv4Output, OutgoingPacket } from '../ip/output.ts';
import type { Packet } from '../ip/packet.ts';
import { TokenBuckets } from '../turn/token-buckets.ts';
import type { Turn } from '../turn/turn.ts';
import { writeU32 } from '../wire/bytes.ts';
import type { Cidr } from '../wire/cidr.ts';
import {
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HEADER_BYTES,
  ICMP_MAX_QUOTE_BYTES,
  type IcmpKind,
  isIcmpError,
  writeIcmpError,
} from '../wire/icmpv4.ts';
import {
  IPV4_BROADCAST,
  IPV4_HEADER_BYTES,
  IPV4_MAX_BYTES,
  Ipv4Header,
  isLaterFragment,
  isMulticastIpv4,
  PROTOCOL_ICMP,
  writeIpv4,
} from '../wire/ipv4.ts';

/** Errors to one guest: a traceroute or a port scan is answered, a flood is not. */
const ERRORS_PER_SECOND = 1_000;
const BURST_ERRORS = 100;
const ERROR_TTL = 64;
/** What an earlier packet's quoted header says: it is not remembered, and nobody looks. */
const QUOTED_TTL = 64;
const TOO_LONG: IcmpKind = { type: ICMP_DESTINATION_UNREACHABLE, code: ICMP_FRAGMENTATION_NEEDED };
/** The header of what is quoted and eight bytes more (RFC 792). */
const SHORT_QUOTE_BYTES = IPV4_HEADER_BYTES + 8;

export interface IcmpErrorOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly output: Ipv4Output;
  readonly gatewayAddress: number;
  readonly subnet: Cidr;
}

export class IcmpErrorSender implements IcmpErrors {
  readonly #options: IcmpErrorOptions;
  /** By the port that a guest is behind, for it may speak from many addresses. */
  readonly #buckets = new TokenBuckets(ERRORS_PER_SECOND, BURST_ERRORS);
  /** Of what is quoted. */
  readonly #header = new Ipv4Header();
  readonly #error = { type: 0, code: 0, mtu: 0 };
  readonly #message = new OutgoingPacket(PROTOCOL_ICMP, ERROR_TTL);
  readonly #quoteAt: number;
  readonly #messageAt: number;

  constructor(options: IcmpErrorOptions) {
    this.#options = options;
    this.#quoteAt = options.arena.allocate(SHORT_QUOTE_BYTES);
    this.#messageAt = options.arena.allocate(ICMP_HEADER_BYTES + ICMP_MAX_QUOTE_BYTES);
    if (this.#messageAt < 0) throw new RangeError('the arena has no room for ICMP errors: make it larger');
  }

  about(packet: Packet, type: number, code: number, source?: number, mtu = 0): void {
    const { bytes } = this.#options.arena;
    const first = packet.payloadEnd > packet.payloadAt ? (bytes[packet.payloadAt] ?? 0) : 0;
    if (
      isLaterFragment(bytes, packet.headerAt) ||
      !this.#mayAnswer(packet.neighbor, packet.destination, packet.protocol, first)
    ) {
      this.#options.counters.add('icmp-error-suppressed');
      return;
    }
    const length = packet.payloadEnd - packet.headerAt;
    this.#message.source = source ?? this.#options.gatewayAddress;
    this.#say(type, code, mtu);
    this.#send(packet.neighbor, packet.headerAt, length);
  }

  aboutQuoted(neighbor: Neighbor, quoted: QuotedPacket, { type, code }: IcmpKind, source: number, mtu = 0): void {
    const { bytes } = this.#options.arena;
    if (!this.#mayAnswer(neighbor, quoted.destination, quoted.protocol, quoted.firstWord >>> 24)) {
      this.#options.counters.add('icmp-error-suppressed');
      return;
    }
    const at = this.#quoteAt;
    const header = this.#header;
    header.totalLength = Math.min(IPV4_HEADER_BYTES + Math.max(quoted.length, 8), IPV4_MAX_BYTES);
    header.ttl = QUOTED_TTL;
    header.protocol = quoted.protocol;
    header.source = quoted.source;
    header.destination = quoted.destination;
    writeIpv4(bytes, at, header);
    writeU32(bytes, at + IPV4_HEADER_BYTES, quoted.firstWord);
    writeU32(bytes, at + IPV4_HEADER_BYTES + 4, quoted.secondWord);
    this.#message.source = source;
    this.#say(type, code, mtu);
    this.#send(neighbor, at, SHORT_QUOTE_BYTES);
  }

  /**
   * Quotes an echo reply, whose errors Linux takes for the route and for no socket. About a datagram of a connected
   * socket the error would fail that socket's next call; a ping would count it as a loss.
   */
  pathMtu(neighbor: Neighbor, source: number, destination: number, mtu: number): void {
    const quoted = { protocol: PROTOCOL_ICMP, source, destination, firstWord: 0, secondWord: 0, length: mtu };
    this.aboutQuoted(neighbor, quoted, TOO_LONG, this.#options.gatewayAddress, mtu);
  }

  #mayAnswer(neighbor: Neighbor, destination: number, protocol: number, firstByte: number): boolean {
    const { subnet } = this.#options;
    if (neighbor.address === 0 || destination === IPV4_BROADCAST || isMulticastIpv4(destination)) return false;
    if (destination === subnet.broadcast && subnet.prefix < 31) return false;
    return protocol !== PROTOCOL_ICMP || !isIcmpError(firstByte);
  }

  #say(type: number, code: number, mtu: number): void {
    this.#error.type = type;
    this.#error.code = code;
    this.#error.mtu = mtu;
  }

  /** Sends `#error` in `#message`, whose sender is filled in, about the packet at `quoteAt`. */
  #send(to: Neighbor, quoteAt: number, length: number): void {
    const { arena, counters, output, turn } = this.#options;
    if (!this.#buckets.take(to.port, turn.nowMs)) {
      counters.add('icmp-error-rate-limited');
      return;
    }
    this.#message.at = this.#messageAt;
    this.#message.length = writeIcmpError(arena.bytes, this.#messageAt, this.#error, quoteAt, length);
    const sent = output.send(to, this.#message);
    counters.add(sent ? 'icmp-error-sent' : 'icmp-error-port-full');
  }
}
