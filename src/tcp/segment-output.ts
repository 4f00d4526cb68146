import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { Frame } from '../link/frame.ts';
import type { Outlet } from '../link/outlet.ts';
import { writeU16 } from '../wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum } from '../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.ts';
import { IPV4_DONT_FRAGMENT, IPV4_HEADER_BYTES, PROTOCOL_TCP, writeIpv4 } from '../wire/ipv4.ts';
import { TCP_CHECKSUM_OFFSET, TCP_HEADER_BYTES, writeTcp } from '../wire/tcp.ts';
import { MAX_SACK_BLOCKS, sackOptionBytes, writeSackOption, writeSynOptions } from '../wire/tcp-options.ts';
import type { Ranges } from './ranges.ts';

/** Ethernet, IPv4 and TCP header of a segment without options: where the payload starts. */
export const SEGMENT_HEADER_BYTES: number = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + TCP_HEADER_BYTES;
const TCP_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
/** IPv4 and TCP header: what an MTU holds beside the text. */
export const PACKET_HEADER_BYTES: number = IPV4_HEADER_BYTES + TCP_HEADER_BYTES;
/** Our packets towards guests start with the TTL of an ordinary Linux host. */
const TTL = 64;

/** The two ends of a segment to a guest. */
export interface SegmentAddress {
  readonly neighbor: Neighbor;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

/** Writes TCP segments into a guest's outlet: headers, checksums or the offload facts in place of them. */
export class SegmentOutput {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #gatewayMac: number;
  readonly #frame = new Frame();
  readonly #sackLeft = new Uint32Array(MAX_SACK_BLOCKS);
  readonly #sackRight = new Uint32Array(MAX_SACK_BLOCKS);

  constructor(arena: Arena, counters: Counters, gatewayMac: number) {
    this.#arena = arena;
    this.#counters = counters;
    this.#gatewayMac = gatewayMac;
  }

  /** A segment without text: ACK, FIN, RST. `held` are ranges to report by SACK. False when the outlet is full (nothing was sent). */
  control(
    to: SegmentAddress,
    flags: number,
    sequence: number,
    acknowledgment: number,
    window: number,
    held: Ranges | undefined,
  ): boolean {
    const outlet = this.#outletOf(to);
    const blocks = held === undefined ? 0 : this.#sackBlocks(held);
    const headerBytes = TCP_HEADER_BYTES + sackOptionBytes(blocks);
    const at = outlet === undefined ? -1 : outlet.reserve(TCP_AT + headerBytes);
    if (outlet === undefined || at < 0) return this.#full();
    const tcpAt = at + TCP_AT;
    if (blocks > 0) {
      writeSackOption(this.#arena.bytes, tcpAt + TCP_HEADER_BYTES, blocks, this.#sackLeft, this.#sackRight);
    }
    writeTcp(
      this.#arena.bytes,
      tcpAt,
      to.remotePort,
      to.guestPort,
      sequence,
      acknowledgment,
      headerBytes,
      flags,
      window,
    );
    this.#send(outlet, to, at, headerBytes, 0, 0);
    return true;
  }

  /** A SYN or SYN-ACK with its options; `windowScale` −1 and `sack` false leave theirs out. */
  syn(
    to: SegmentAddress,
    flags: number,
    sequence: number,
    acknowledgment: number,
    window: number,
    mss: number,
    windowScale: number,
    sack: boolean,
  ): boolean {
    const outlet = this.#outletOf(to);
    const at = outlet === undefined ? -1 : outlet.reserve(SEGMENT_HEADER_BYTES + 12);
    if (outlet === undefined || at < 0) return this.#full();
    const tcpAt = at + TCP_AT;
    const options = writeSynOptions(this.#arena.bytes, tcpAt + TCP_HEADER_BYTES, mss, windowScale, sack);
    const headerBytes = TCP_HEADER_BYTES + options;
    writeTcp(
      this.#arena.bytes,
      tcpAt,
      to.remotePort,
      to.guestPort,
      sequence,
      acknowledgment,
      headerBytes,
      flags,
      window,
    );
    this.#send(outlet, to, at, headerBytes, 0, 0);
    return true;
  }

  /** Completes and commits the frame reserved at `at`, whose `length` bytes of payload already stand behind SEGMENT_HEADER_BYTES. */
  data(
    outlet: Outlet,
    to: SegmentAddress,
    at: number,
    length: number,
    mss: number,
    flags: number,
    sequence: number,
    acknowledgment: number,
    window: number,
  ): void {
    writeTcp(
      this.#arena.bytes,
      at + TCP_AT,
      to.remotePort,
      to.guestPort,
      sequence,
      acknowledgment,
      TCP_HEADER_BYTES,
      flags,
      window,
    );
    this.#send(outlet, to, at, TCP_HEADER_BYTES, length, mss);
  }

  #send(
    outlet: Outlet,
    to: SegmentAddress,
    at: number,
    tcpHeaderBytes: number,
    payloadBytes: number,
    mss: number,
  ): void {
    const bytes = this.#arena.bytes;
    const guest = to.neighbor.address;
    const segmentBytes = tcpHeaderBytes + payloadBytes;
    writeEthernet(bytes, at, to.neighbor.mac, this.#gatewayMac, ETHERTYPE_IPV4);
    // Identification 0: the packet is atomic (RFC 6864 §4.1).
    writeIpv4(
      bytes,
      at + ETHERNET_HEADER_BYTES,
      IPV4_HEADER_BYTES + segmentBytes,
      0,
      IPV4_DONT_FRAGMENT,
      TTL,
      PROTOCOL_TCP,
      to.remoteAddress,
      guest,
    );
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
    if (payloadBytes > mss) {
      frame.gsoType = 'tcp4';
      frame.gsoSize = mss;
    }
    outlet.commit(frame);
  }

  #outletOf(to: SegmentAddress): Outlet | undefined {
    const port = to.neighbor.port;
    return port.attached ? port.outlet : undefined;
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
