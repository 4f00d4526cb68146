import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Frame } from '../link/frame.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import {
  parseVirtioNet,
  VIRTIO_NET_DATA_VALID,
  VIRTIO_NET_GSO_ECN,
  VIRTIO_NET_GSO_NONE,
  VIRTIO_NET_GSO_TCPV4,
  VIRTIO_NET_GSO_TCPV6,
  VIRTIO_NET_GSO_UDP_L4,
  VIRTIO_NET_HEADER_BYTES,
  VIRTIO_NET_NEEDS_CHECKSUM,
  VirtioNetHeader,
  writeVirtioNet,
} from '../wire/virtio-net.ts';
import { FrameFraming } from './frame-framing.ts';

/** Reads the offload facts that a tap puts before a frame. */
export class FrameFacts {
  readonly #header = new VirtioNetHeader();

  /**
   * Fills `into` from the header at `at` and the frame after it; false when they contradict each other. hdr_len is a
   * hint that no one here needs and is not looked at. NEEDS_CSUM means that the bytes never left the machine: the
   * payload is as good as checked, so `checksumValid` is set too.
   */
  read(bytes: Uint8Array, at: number, end: number, into: Frame): boolean {
    const header = this.#header;
    if (parseVirtioNet(bytes, at, end, header) !== undefined) return false;
    const frameAt = at + VIRTIO_NET_HEADER_BYTES;
    const length = end - frameAt;
    if (length < ETHERNET_HEADER_BYTES) return false;
    into.plain(frameAt, length);
    if ((header.flags & VIRTIO_NET_NEEDS_CHECKSUM) !== 0) {
      const { checksumStart, checksumOffset } = header;
      if (checksumStart < ETHERNET_HEADER_BYTES || checksumStart + checksumOffset + 2 > length) return false;
      into.needsChecksum = true;
      into.checksumStart = checksumStart;
      into.checksumOffset = checksumOffset;
      into.checksumValid = true;
    }
    if ((header.flags & VIRTIO_NET_DATA_VALID) !== 0) into.checksumValid = true;
    const gsoType = header.gsoType & ~VIRTIO_NET_GSO_ECN;
    if (gsoType === VIRTIO_NET_GSO_NONE) return true;
    if (header.gsoSize === 0) return false;
    into.gsoSize = header.gsoSize;
    if (gsoType === VIRTIO_NET_GSO_TCPV4) into.gsoType = 'tcp4';
    else if (gsoType === VIRTIO_NET_GSO_TCPV6) into.gsoType = 'tcp6';
    else if (gsoType === VIRTIO_NET_GSO_UDP_L4) into.gsoType = 'udp';
    else return false;
    return true;
  }
}

/** Puts frames on a tap, the virtio-net header before each. */
export class TapFraming extends FrameFraming {
  readonly #arena: Arena;
  readonly #header = new VirtioNetHeader();

  constructor(arena: Arena, counters: Counters) {
    super({ arena, counters, refused: 'tap-frame-refused' }, VIRTIO_NET_HEADER_BYTES);
    this.#arena = arena;
  }

  protected override writeHeader(at: number, frame: Frame): void {
    const { bytes } = this.#arena;
    const headerAt = at - VIRTIO_NET_HEADER_BYTES;
    if (!frame.needsChecksum && frame.gsoSize === 0) {
      bytes.fill(0, headerAt, at);
      return;
    }
    const header = this.#header;
    header.flags = frame.needsChecksum ? VIRTIO_NET_NEEDS_CHECKSUM : 0;
    header.gsoType = gsoTypeOf(frame);
    header.headerLength = frame.gsoSize === 0 ? 0 : headersLength(bytes, at, frame);
    header.gsoSize = frame.gsoSize;
    header.checksumStart = frame.checksumStart;
    header.checksumOffset = frame.checksumOffset;
    writeVirtioNet(bytes, headerAt, header);
  }
}

function gsoTypeOf(frame: Frame): number {
  if (frame.gsoSize === 0) return VIRTIO_NET_GSO_NONE;
  if (frame.gsoType === 'tcp4') return VIRTIO_NET_GSO_TCPV4;
  return frame.gsoType === 'tcp6' ? VIRTIO_NET_GSO_TCPV6 : VIRTIO_NET_GSO_UDP_L4;
}

/** hdr_len: all headers of the frame; the kernel puts that much in one piece and refuses more than the frame has. */
function headersLength(bytes: Uint8Array, at: number, frame: Frame): number {
  const transport = frame.checksumStart;
  if (frame.gsoType === 'udp') return Math.min(frame.length, transport + UDP_HEADER_BYTES);
  // TCP's data offset: the high four bits of its 13th byte, in words of four bytes (RFC 9293 §3.1).
  return Math.min(frame.length, transport + ((bytes[at + transport + 12] as number) >>> 4) * 4);
}
