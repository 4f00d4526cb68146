/**
 * Segmentation and checksum offload in software, for frames that leave for a port which takes neither.
 *
 * A super-segment (TCP over IPv4 or IPv6, UDP over either) is cut into frames of `gsoSize` payload bytes as a network
 * card does it (virtio 1.2 §5.1.6.2; Linux `tcp_gso_segment`, `__udp_gso_segment`): every frame gets a copy of the
 * headers with lengths, IPv4 identification, TCP sequence number and flags set to its place, and complete checksums. A
 * frame that only lacks its checksum is copied and gets it.
 *
 * The offload facts may come from a guest: they are checked against the bytes before anything is written. What does not
 * agree with them is 'switch-bad-offload'. It refuses IPv6 extension headers and VLAN tags, which no attachment offers
 * to offload. When the outlet fills up half-way the rest is lost, as in any queue; TCP recovers.
 */
import type { Arena } from '../env/arena.ts';
import { readU16, readU32, writeU16, writeU32 } from '../wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum } from '../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.ts';
import { FIN, PSH, TCP_CHECKSUM_OFFSET, TCP_HEADER_BYTES } from '../wire/tcp.ts';
import { UDP_HEADER_BYTES, UDP_MAX_SEGMENTS } from '../wire/udp.ts';
import { Frame } from './frame.ts';
import type { Outlet } from './outlet.ts';

export type SegmentationFault = 'switch-bad-offload' | 'switch-port-full' | 'switch-frame-too-big';

/** Linux sends no smaller TCP segment (TCP_MIN_GSO_SIZE): 8,192 frames out of one are the most. */
const MIN_GSO_BYTES = 8;
const IPV6_HEADER_BYTES = 40;
const TCP_SEQUENCE = 4;
const TCP_FLAGS = 13;
const UDP_LENGTH = 4;
const UDP_CHECKSUM = 6;
const FIN_PSH = FIN | PSH;
const CWR = 0x80;

/** Where the headers of the super-segment in hand lie. Offsets from the frame's start. */
class Layout {
  ipv4 = false;
  tcp = false;
  l4At = 0;
  payloadAt = 0;
  /** Where the IP packet ends, padding excluded. */
  end = 0;
}

export class SoftwareSegmentation {
  readonly #arena: Arena;
  readonly #layout = new Layout();
  readonly #out = new Frame();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /**
   * Copies `frame` into `outlet`, cut and checksummed. Returns how many frames it became, or why it was dropped
   * (perhaps in part).
   */
  send(frame: Frame, outlet: Outlet): number | SegmentationFault {
    return frame.gsoSize > 0 ? this.#cut(frame, outlet) : this.#complete(frame, outlet);
  }

  /** Whether the wire segments of a super-segment are within `mtu`; false also when its headers make no sense. */
  fits(frame: Frame, mtu: number): boolean {
    const layout = this.#layout;
    return this.#parse(frame) && layout.payloadAt - ETHERNET_HEADER_BYTES + this.#segmentBytes(frame) <= mtu;
  }

  /** Copies a frame that stands for itself and fills in its checksum. */
  #complete(frame: Frame, outlet: Outlet): number | SegmentationFault {
    const { at: from, length, checksumStart, checksumOffset } = frame;
    const fieldEnd = checksumStart + checksumOffset + 2;
    if (checksumStart < ETHERNET_HEADER_BYTES || checksumOffset < 0 || fieldEnd > length) return 'switch-bad-offload';
    if (length > outlet.mtu + ETHERNET_HEADER_BYTES || length > outlet.abilities.maxFrameBytes)
      return 'switch-frame-too-big';
    const at = outlet.reserve(length);
    if (at < 0) return 'switch-port-full';
    const { bytes } = this.#arena;
    bytes.copyWithin(at, from, from + length);
    // The field holds the pseudo-header's sum, so summing over it includes that.
    const checksum = foldedComplement(this.#arena.sum(at + checksumStart, length - checksumStart, 0));
    // 0 means "none" in UDP (RFC 768); in TCP 0xffff is the same number.
    writeU16(bytes, at + checksumStart + checksumOffset, checksum === 0 ? 0xffff : checksum);
    this.#out.plain(at, length);
    outlet.commit(this.#out);
    return 1;
  }

  #cut(frame: Frame, outlet: Outlet): number | SegmentationFault {
    if (!this.#parse(frame)) return 'switch-bad-offload';
    const { payloadAt, end } = this.#layout;
    const step = frame.gsoSize;
    const widest = payloadAt + this.#segmentBytes(frame);
    if (widest - ETHERNET_HEADER_BYTES > outlet.mtu || widest > outlet.abilities.maxFrameBytes)
      return 'switch-frame-too-big';
    let index = 0;
    for (let offset = payloadAt; offset < end || index === 0; offset += step) {
      const size = Math.min(step, end - offset);
      const at = outlet.reserve(payloadAt + size);
      if (at < 0) return 'switch-port-full';
      const { bytes } = this.#arena;
      bytes.copyWithin(at, frame.at, frame.at + payloadAt);
      bytes.copyWithin(at + payloadAt, frame.at + offset, frame.at + offset + size);
      this.#finish(at, size, index, offset - payloadAt, offset + size === end);
      this.#out.plain(at, payloadAt + size);
      outlet.commit(this.#out);
      index++;
    }
    return index;
  }

  /** Sets the header fields of segment `index`, which carries `size` bytes from `position` of the payload. */
  #finish(at: number, size: number, index: number, position: number, last: boolean): void {
    const { bytes } = this.#arena;
    const { ipv4, tcp, l4At, payloadAt } = this.#layout;
    const l4 = at + l4At;
    const l4Bytes = payloadAt - l4At + size;
    if (tcp) {
      writeU32(bytes, l4 + TCP_SEQUENCE, (readU32(bytes, l4 + TCP_SEQUENCE) + position) >>> 0);
      if (!last) bytes[l4 + TCP_FLAGS] = (bytes[l4 + TCP_FLAGS] ?? 0) & ~FIN_PSH;
      if (index > 0) bytes[l4 + TCP_FLAGS] = (bytes[l4 + TCP_FLAGS] ?? 0) & ~CWR;
    } else {
      writeU16(bytes, l4 + UDP_LENGTH, l4Bytes);
    }
    const protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    const ip = at + ETHERNET_HEADER_BYTES;
    const pseudo = ipv4 ? this.#finishIpv4(ip, l4, l4Bytes, index, protocol) : this.#finishIpv6(ip, l4Bytes, protocol);
    const field = l4 + (tcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM);
    writeU16(bytes, field, 0);
    const checksum = foldedComplement(this.#arena.sum(l4, l4Bytes, pseudo));
    writeU16(bytes, field, checksum === 0 && !tcp ? 0xffff : checksum);
  }

  /** Sets length, identification and checksum; returns the pseudo-header's sum. */
  #finishIpv4(ip: number, l4: number, l4Bytes: number, index: number, protocol: number): number {
    const { bytes } = this.#arena;
    writeU16(bytes, ip + 2, l4 - ip + l4Bytes);
    writeU16(bytes, ip + 4, readU16(bytes, ip + 4) + index);
    writeU16(bytes, ip + 10, 0);
    writeU16(bytes, ip + 10, foldedComplement(this.#arena.sum(ip, l4 - ip, 0)));
    return pseudoHeaderSum(readU32(bytes, ip + 12), readU32(bytes, ip + 16), protocol, l4Bytes);
  }

  /** Sets the payload length; returns the pseudo-header's sum (RFC 8200 §8.1). */
  #finishIpv6(ip: number, l4Bytes: number, protocol: number): number {
    writeU16(this.#arena.bytes, ip + 4, l4Bytes);
    return this.#arena.sum(ip + 8, 32, 0) + protocol + l4Bytes;
  }

  /** Payload bytes of the longest wire segment. */
  #segmentBytes(frame: Frame): number {
    return Math.min(frame.gsoSize, this.#layout.end - this.#layout.payloadAt);
  }

  /** Finds the headers of a super-segment; false when they do not agree with its offload facts or its length. */
  #parse(frame: Frame): boolean {
    const layout = this.#layout;
    layout.tcp = frame.gsoType !== 'udp';
    const found = this.#parseIp(frame);
    if (!found) return false;
    const { bytes } = this.#arena;
    const room = layout.end - layout.l4At;
    let headerBytes = UDP_HEADER_BYTES;
    if (layout.tcp) {
      if (room < TCP_HEADER_BYTES) return false;
      headerBytes = ((bytes[frame.at + layout.l4At + 12] ?? 0) >>> 4) * 4;
      if (headerBytes < TCP_HEADER_BYTES) return false;
    }
    if (room < headerBytes) return false;
    layout.payloadAt = layout.l4At + headerBytes;
    if (layout.tcp) return frame.gsoSize >= MIN_GSO_BYTES;
    return Math.ceil((room - headerBytes) / frame.gsoSize) <= UDP_MAX_SEGMENTS;
  }

  #parseIp(frame: Frame): boolean {
    const { bytes } = this.#arena;
    const layout = this.#layout;
    const ip = frame.at + ETHERNET_HEADER_BYTES;
    const room = frame.length - ETHERNET_HEADER_BYTES;
    if (room < IPV4_HEADER_BYTES) return false;
    const type = etherType(bytes, frame.at);
    const protocol = layout.tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    if (type === ETHERTYPE_IPV4 && frame.gsoType !== 'tcp6') {
      const first = bytes[ip] ?? 0;
      const headerBytes = (first & 15) * 4;
      const totalLength = readU16(bytes, ip + 2);
      layout.ipv4 = true;
      layout.l4At = ETHERNET_HEADER_BYTES + headerBytes;
      layout.end = ETHERNET_HEADER_BYTES + totalLength;
      if (first >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES || bytes[ip + 9] !== protocol) return false;
      return totalLength >= headerBytes && totalLength <= room && !isFragment(bytes, ip);
    }
    if (type === ETHERTYPE_IPV6 && frame.gsoType !== 'tcp4' && room >= IPV6_HEADER_BYTES) {
      layout.ipv4 = false;
      layout.l4At = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
      layout.end = layout.l4At + readU16(bytes, ip + 4);
      return (bytes[ip] ?? 0) >>> 4 === 6 && bytes[ip + 6] === protocol && layout.end <= frame.length;
    }
    return false;
  }
}

function isFragment(bytes: Uint8Array, ip: number): boolean {
  return (readU16(bytes, ip + 6) & 0x3fff) !== 0;
}
