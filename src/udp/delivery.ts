import type { Arena } from '../env/arena.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { type Ipv4Output, OutgoingPacket } from '../ip/output.ts';
import { Frame } from '../link/frame.ts';
import { writeU16 } from '../wire/bytes.ts';
import { fold, foldedComplement, pseudoHeaderSum } from '../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, Ipv4Header, PROTOCOL_UDP, writeIpv4 } from '../wire/ipv4.ts';
import { UDP_CHECKSUM_OFFSET, UDP_HEADER_BYTES, writeUdp } from '../wire/udp.ts';
import type { OutgoingDatagram } from './outgoing-datagram.ts';

const DATAGRAM_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
const HEADERS_BYTES = DATAGRAM_AT + UDP_HEADER_BYTES;
/** What the host received has no TTL that we know; 64 is the common default (RFC 1700). */
const TTL = 64;

/** Puts datagrams before guests: straight into the outlet with one copy when it fits a frame, else in fragments. */
export class UdpDelivery {
  readonly #arena: Arena;
  readonly #output: Ipv4Output;
  readonly #frame = new Frame();
  readonly #header = new Ipv4Header();
  readonly #packet = new OutgoingPacket(PROTOCOL_UDP, TTL);

  constructor(arena: Arena, output: Ipv4Output) {
    this.#arena = arena;
    this.#output = output;
    this.#header.ttl = TTL;
    this.#header.protocol = PROTOCOL_UDP;
  }

  /** Returns false when the outlet had no room: nothing was sent. */
  send(neighbor: Neighbor, datagram: OutgoingDatagram): boolean {
    const { source, at, length } = datagram;
    const datagramBytes = UDP_HEADER_BYTES + length;
    if (IPV4_HEADER_BYTES + datagramBytes <= neighbor.port.outlet.mtu) return this.#sendFrame(neighbor, datagram);
    const { bytes } = this.#arena;
    const datagramAt = at - UDP_HEADER_BYTES;
    writeUdp(bytes, datagramAt, datagram.sourcePort, datagram.destinationPort, datagramBytes);
    const pseudo = pseudoHeaderSum(source, neighbor.address, PROTOCOL_UDP, datagramBytes);
    this.#writeChecksum(datagramAt, datagramBytes, pseudo);
    const packet = this.#packet;
    packet.source = source;
    packet.tos = datagram.tos;
    packet.at = datagramAt;
    packet.length = datagramBytes;
    return this.#output.send(neighbor, packet);
  }

  #sendFrame(neighbor: Neighbor, datagram: OutgoingDatagram): boolean {
    const { source, at: payloadAt, length } = datagram;
    const { outlet } = neighbor.port;
    const at = outlet.reserve(HEADERS_BYTES + length);
    if (at < 0) return false;
    const { bytes } = this.#arena;
    const datagramAt = at + DATAGRAM_AT;
    const datagramBytes = UDP_HEADER_BYTES + length;
    const header = this.#header;
    header.totalLength = IPV4_HEADER_BYTES + datagramBytes;
    header.identification = this.#output.nextIdentification();
    header.tos = datagram.tos;
    header.source = source;
    header.destination = neighbor.address;
    writeEthernet(bytes, at, neighbor.mac, this.#output.gatewayMac, ETHERTYPE_IPV4);
    writeIpv4(bytes, at + ETHERNET_HEADER_BYTES, header);
    writeUdp(bytes, datagramAt, datagram.sourcePort, datagram.destinationPort, datagramBytes);
    bytes.copyWithin(at + HEADERS_BYTES, payloadAt, payloadAt + length);
    const frame = this.#frame;
    frame.plain(at, HEADERS_BYTES + length);
    const pseudo = pseudoHeaderSum(source, neighbor.address, PROTOCOL_UDP, datagramBytes);
    if (outlet.abilities.checksum) {
      writeU16(bytes, datagramAt + UDP_CHECKSUM_OFFSET, fold(pseudo));
      frame.needsChecksum = true;
      frame.checksumStart = DATAGRAM_AT;
      frame.checksumOffset = UDP_CHECKSUM_OFFSET;
    } else {
      this.#writeChecksum(datagramAt, datagramBytes, pseudo);
    }
    outlet.commit(frame);
    return true;
  }

  #writeChecksum(datagramAt: number, datagramBytes: number, pseudo: number): void {
    const checksum = foldedComplement(this.#arena.sum(datagramAt, datagramBytes, pseudo));
    // 0 would say that there is none (RFC 768).
    writeU16(this.#arena.bytes, datagramAt + UDP_CHECKSUM_OFFSET, checksum === 0 ? 0xffff : checksum);
  }
}
