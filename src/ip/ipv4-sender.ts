import type { Arena } from '../env/arena.ts';
import type { Random } from '../env/random.ts';
import { Frame } from '../link/frame.ts';
import type { Outlet } from '../link/outlet.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, IPV4_MAX_PAYLOAD_BYTES, IPV4_MIN_MTU, Ipv4Header, writeIpv4 } from '../wire/ipv4.ts';
import type { Destination, Ipv4Output, OutgoingPacket } from './output.ts';

const HEADERS_BYTES = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
/** 65,515 bytes in pieces of 48, which is what an MTU of 68 leaves. */
const MAX_FRAGMENTS = 1365;

export interface Ipv4SenderOptions {
  readonly arena: Arena;
  readonly random: Random;
  readonly gatewayMac: number;
}

/**
 * Sends datagrams to guests from the gateway's MAC, whole or in fragments of the guest's MTU (RFC 791 §3.2). Either all
 * of a datagram goes out or none of it. Don't Fragment is never set: what is sent here may be cut again by a guest that
 * routes.
 */
export class Ipv4Sender implements Ipv4Output {
  readonly gatewayMac: number;
  readonly #arena: Arena;
  readonly #frame = new Frame();
  readonly #header = new Ipv4Header();
  readonly #reserved = new Int32Array(MAX_FRAGMENTS);
  #identification: number;

  constructor(options: Ipv4SenderOptions) {
    this.gatewayMac = options.gatewayMac;
    this.#arena = options.arena;
    this.#identification = options.random.u32() & 0xffff;
  }

  send({ port, mac, address }: Destination, packet: OutgoingPacket): boolean {
    const { at, length } = packet;
    if (!port.attached || length > IPV4_MAX_PAYLOAD_BYTES) return false;
    const room = Math.max(port.outlet.mtu, IPV4_MIN_MTU) - IPV4_HEADER_BYTES;
    const step = length <= room ? length : room & ~7;
    const count = length <= room ? 1 : Math.ceil(length / step);
    if (!this.#reserve(port.outlet, count, step, length)) return false;
    const { bytes } = this.#arena;
    const header = this.#header;
    header.identification = this.nextIdentification();
    header.ttl = packet.ttl;
    header.protocol = packet.protocol;
    header.tos = packet.tos;
    header.source = packet.source;
    header.destination = address;
    for (let i = 0; i < count; i++) {
      const offset = i * step;
      const size = Math.min(step, length - offset);
      const frameAt = this.#reserved[i] ?? 0;
      header.totalLength = IPV4_HEADER_BYTES + size;
      header.moreFragments = i < count - 1;
      header.fragmentOffset = offset;
      writeEthernet(bytes, frameAt, mac, this.gatewayMac, ETHERTYPE_IPV4);
      writeIpv4(bytes, frameAt + ETHERNET_HEADER_BYTES, header);
      bytes.copyWithin(frameAt + HEADERS_BYTES, at + offset, at + offset + size);
      this.#frame.plain(frameAt, HEADERS_BYTES + size);
      port.outlet.commit(this.#frame);
    }
    return true;
  }

  nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }

  /** Room for all fragments, or for none. */
  #reserve(outlet: Outlet, count: number, step: number, length: number): boolean {
    for (let i = 0; i < count; i++) {
      const at = outlet.reserve(HEADERS_BYTES + Math.min(step, length - i * step));
      if (at < 0) {
        outlet.cancel();
        return false;
      }
      this.#reserved[i] = at;
    }
    return true;
  }
}
