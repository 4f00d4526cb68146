import type { Arena } from '../env/arena.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { type Ipv4Output, OutgoingPacket } from '../ip/output.ts';
import type { Packet, ProtocolHandler } from '../ip/packet.ts';
import { writeU16 } from '../wire/bytes.ts';
import { foldedComplement } from '../wire/checksum.ts';
import {
  ICMP_CHECKSUM_OFFSET,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER_BYTES,
  IcmpHeader,
  parseIcmp,
  writeIcmpEcho,
} from '../wire/icmpv4.ts';
import { PROTOCOL_ICMP } from '../wire/ipv4.ts';

const TTL = 64;
/** What ping sends. */
const DATA_BYTES = 56;

/** Echo requests of the guest in memory, and the replies to them; other ICMP is ignored. */
export class GuestEcho implements ProtocolHandler {
  readonly #arena: Arena;
  readonly #output: Ipv4Output;
  readonly #scratch: number;
  readonly #header = new IcmpHeader();
  readonly #asked = new Set<number>();

  constructor(arena: Arena, output: Ipv4Output) {
    this.#arena = arena;
    this.#output = output;
    this.#scratch = arena.allocate(ICMP_HEADER_BYTES + DATA_BYTES);
    if (this.#scratch < 0) throw new RangeError('the arena has no room for an echo request');
  }

  /** Sends one request; what it returns tells whether the reply is there. */
  ask(neighbor: Neighbor, source: number, identifier: number): () => boolean {
    const { bytes } = this.#arena;
    const at = this.#scratch;
    const length = ICMP_HEADER_BYTES + DATA_BYTES;
    writeIcmpEcho(bytes, at, ICMP_ECHO_REQUEST, identifier, 1);
    for (let i = 0; i < DATA_BYTES; i++) bytes[at + ICMP_HEADER_BYTES + i] = i;
    writeU16(bytes, at + ICMP_CHECKSUM_OFFSET, foldedComplement(this.#arena.sum(at, length, 0)));
    this.#asked.add(identifier);
    const request = new OutgoingPacket(PROTOCOL_ICMP, TTL);
    request.source = source;
    request.at = at;
    request.length = length;
    this.#output.send(neighbor, request);
    return () => !this.#asked.has(identifier);
  }

  receive({ payloadAt, payloadEnd }: Packet): void {
    const header = this.#header;
    if (parseIcmp(this.#arena.bytes, payloadAt, payloadEnd, header) !== undefined) return;
    if (foldedComplement(this.#arena.sum(payloadAt, payloadEnd - payloadAt, 0)) !== 0) return;
    if (header.type === ICMP_ECHO_REPLY) this.#asked.delete(header.identifier);
  }
}
