import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import { Frame } from '../link/frame.ts';
import type { Outlet, OutletWaiter } from '../link/outlet.ts';
import { writeU16 } from '../wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum } from '../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, Ipv4Header, PROTOCOL_TCP, writeIpv4 } from '../wire/ipv4.ts';
import { RST, TCP_CHECKSUM_OFFSET, TCP_HEADER_BYTES, writeTcp } from '../wire/tcp.ts';
import {
  MAX_SACK_BLOCKS,
  MAX_SYN_OPTIONS_BYTES,
  sackOptionBytes,
  writeSackOption,
  writeSynOptions,
} from '../wire/tcp-options.ts';
import type { FlowEnds } from './flow-ends.ts';
import { OutgoingSegment } from './outgoing-segment.ts';
import type { Ranges } from './ranges.ts';

/** Ethernet, IPv4 and TCP header of a segment without options: where the payload starts. */
export const SEGMENT_HEADER_BYTES: number = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + TCP_HEADER_BYTES;
const TCP_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
/** IPv4 and TCP header: what an MTU holds beside the text. */
export const PACKET_HEADER_BYTES: number = IPV4_HEADER_BYTES + TCP_HEADER_BYTES;
/** Our packets towards guests start with the TTL of an ordinary Linux host. */
const TTL = 64;

/** Writes TCP segments into a guest's outlet: headers, checksums or the offload facts in place of them. */
export class SegmentOutput {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #gatewayMac: number;
  readonly #frame = new Frame();
  readonly #segment = new OutgoingSegment();
  readonly #header = new Ipv4Header();
  readonly #sackLeft = new Uint32Array(MAX_SACK_BLOCKS);
  readonly #sackRight = new Uint32Array(MAX_SACK_BLOCKS);

  constructor(arena: Arena, counters: Counters, gatewayMac: number) {
    this.#arena = arena;
    this.#counters = counters;
    this.#gatewayMac = gatewayMac;
    // Identification 0: the packet is atomic (RFC 6864 §4.1).
    this.#header.dontFragment = true;
    this.#header.ttl = TTL;
    this.#header.protocol = PROTOCOL_TCP;
  }

  /** The record of the next segment, cleared. It is the caller's until it is sent, or not needed after all. */
  begin(flags: number): OutgoingSegment {
    this.#segment.clear(flags);
    return this.#segment;
  }

  /** A RST that acknowledges nothing (RFC 9293 §3.5.2). False when the outlet is full. */
  reset(to: FlowEnds, sequence: number): boolean {
    const segment = this.begin(RST);
    segment.sequence = sequence;
    return this.control(to, segment);
  }

  /** A segment without text: ACK, FIN, RST. False when the outlet is full (nothing was sent). */
  control(to: FlowEnds, segment: OutgoingSegment): boolean {
    const outlet = this.#outletOf(to);
    const blocks = segment.held === undefined ? 0 : this.#sackBlocks(segment.held);
    segment.headerBytes = TCP_HEADER_BYTES + sackOptionBytes(blocks);
    const at = outlet === undefined ? -1 : outlet.reserve(TCP_AT + segment.headerBytes);
    if (outlet === undefined || at < 0) return this.#full();
    if (blocks > 0) {
      writeSackOption(this.#arena.bytes, at + SEGMENT_HEADER_BYTES, blocks, this.#sackLeft, this.#sackRight);
    }
    segment.frameAt = at;
    this.send(outlet, to, segment);
    return true;
  }

  /** A SYN or SYN-ACK with its options. False when the outlet is full. */
  syn(to: FlowEnds, segment: OutgoingSegment): boolean {
    const outlet = this.#outletOf(to);
    const at = outlet === undefined ? -1 : outlet.reserve(SEGMENT_HEADER_BYTES + MAX_SYN_OPTIONS_BYTES);
    if (outlet === undefined || at < 0) return this.#full();
    const { mss, windowScale, sackPermitted } = segment;
    const options = writeSynOptions(this.#arena.bytes, at + SEGMENT_HEADER_BYTES, mss, windowScale, sackPermitted);
    segment.headerBytes = TCP_HEADER_BYTES + options;
    segment.frameAt = at;
    this.send(outlet, to, segment);
    return true;
  }

  /** Completes and commits the frame reserved at `frameAt`, in which text and options already stand. */
  send(outlet: Outlet, to: FlowEnds, segment: OutgoingSegment): void {
    const { bytes } = this.#arena;
    const { frameAt: at, textBytes } = segment;
    const guest = to.neighbor.address;
    const segmentBytes = segment.headerBytes + textBytes;
    segment.sourcePort = to.remotePort;
    segment.destinationPort = to.guestPort;
    writeTcp(bytes, at + TCP_AT, segment);
    const header = this.#header;
    header.totalLength = IPV4_HEADER_BYTES + segmentBytes;
    header.source = to.remoteAddress;
    header.destination = guest;
    writeEthernet(bytes, at, to.neighbor.mac, this.#gatewayMac, ETHERTYPE_IPV4);
    writeIpv4(bytes, at + ETHERNET_HEADER_BYTES, header);
    const frame = this.#frame;
    frame.plain(at, TCP_AT + segmentBytes);
    const pseudo = pseudoHeaderSum(to.remoteAddress, guest, PROTOCOL_TCP, segmentBytes);
    const checksumAt = at + TCP_AT + TCP_CHECKSUM_OFFSET;
    if (outlet.abilities.checksum) {
      writeU16(bytes, checksumAt, 0xffff ^ foldedComplement(pseudo));
      frame.needsChecksum = true;
      frame.checksumStart = TCP_AT;
      frame.checksumOffset = TCP_CHECKSUM_OFFSET;
    } else {
      writeU16(bytes, checksumAt, foldedComplement(this.#arena.sum(at + TCP_AT, segmentBytes, pseudo)));
    }
    if (textBytes > segment.mss) {
      frame.gsoType = 'tcp4';
      frame.gsoSize = segment.mss;
    }
    outlet.commit(frame);
  }

  #outletOf(to: FlowEnds): Outlet | undefined {
    const port = to.neighbor.port;
    return port.attached ? port.outlet : undefined;
  }

  /** `waiter` hears when the guest's outlet has room again, if the guest is there. */
  awaitRoom(to: FlowEnds, waiter: OutletWaiter): void {
    this.#outletOf(to)?.whenWritable(waiter);
  }

  #full(): boolean {
    this.#counters.add('tcp-outlet-full');
    return false;
  }

  /** The newest range first (RFC 2018 §4), then the others; at most four. */
  #sackBlocks(held: Ranges): number {
    const count = Math.min(held.count, MAX_SACK_BLOCKS);
    for (let i = 0; i < count; i++) {
      const index = (held.latest + i) % held.count;
      this.#sackLeft[i] = held.left(index);
      this.#sackRight[i] = held.right(index);
    }
    return count;
  }
}
