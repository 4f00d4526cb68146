import type { TupleTable } from '../flow/tuple-table.ts';
import type { Packet } from '../ip/packet.ts';
import { readU32 } from '../wire/bytes.ts';
import { ICMP_FRAGMENTATION_NEEDED } from '../wire/icmpv4.ts';
import { Ipv4Header, PROTOCOL_TCP, parseIpv4Header } from '../wire/ipv4.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpContext } from './context.ts';

/** Ports and sequence number (RFC 792: at least eight bytes are quoted). */
const QUOTED_TCP_BYTES = 8;

/**
 * What is said by ICMP, from behind a guest's port, about segments of ours. Nobody proves that he saw the segment but
 * by its ports and sequence number (RFC 5927 §4.1); so it is believed only of a flow that goes through that very port,
 * and only two things: that our SYN is refused, and that a segment in flight is too long. For all else an established
 * flow has its timers (RFC 1122 §4.2.3.9).
 */
export class GuestIcmp {
  readonly #context: TcpContext;
  readonly #flows: TupleTable<TcpConnection>;
  readonly #quoted = new Ipv4Header();

  constructor(context: TcpContext, flows: TupleTable<TcpConnection>) {
    this.#context = context;
    this.#flows = flows;
  }

  /** Destination unreachable with that code and next-hop MTU; the header of the lost packet is quoted at [at, end). */
  unreachable(packet: Packet, code: number, mtu: number, at: number, end: number): void {
    const { bytes } = this.#context.arena;
    const quoted = this.#quoted;
    if (parseIpv4Header(bytes, at, end, quoted) !== undefined || quoted.protocol !== PROTOCOL_TCP) return;
    const tcpAt = at + quoted.headerBytes;
    if (tcpAt + QUOTED_TCP_BYTES > end || quoted.fragmentOffset > 0) return;
    const ports = readU32(bytes, tcpAt);
    const flow = this.#flows.get(quoted.destination, ports & 0xffff, quoted.source, ports >>> 16);
    const sequence = readU32(bytes, tcpAt + 4);
    const isBehindPort = flow?.neighbor.port === packet.neighbor.port;
    if (code !== ICMP_FRAGMENTATION_NEEDED) {
      // What Linux's REJECT rules send in place of a RST: from the guest itself.
      if (isBehindPort && packet.source === quoted.destination) flow?.unreachable(sequence);
      return;
    }
    const heeded = isBehindPort && flow?.tooLong(sequence, quoted.totalLength, mtu);
    this.#context.counters.add(heeded ? 'tcp-path-mtu-reduced' : 'tcp-path-mtu-ignored');
  }
}
