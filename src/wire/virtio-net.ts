import { readU16le, writeU16le } from './bytes.ts';

/**
 * `struct virtio_net_hdr`, which a tap opened with IFF_VNET_HDR puts before each frame (virtio 1.2 §5.1.6; the legacy
 * form of ten bytes). Little-endian on every machine that Slipway runs on: the kernel uses the host's own order.
 */
export const VIRTIO_NET_HEADER_BYTES = 10;

/** Flags. */
export const VIRTIO_NET_NEEDS_CHECKSUM = 1;
export const VIRTIO_NET_DATA_VALID = 2;

/** Gso types; ECN may be or-ed to a TCP type. */
export const VIRTIO_NET_GSO_NONE = 0;
export const VIRTIO_NET_GSO_TCPV4 = 1;
export const VIRTIO_NET_GSO_TCPV6 = 4;
/** UDP segmentation (USO): each segment its own datagram. */
export const VIRTIO_NET_GSO_UDP_L4 = 5;
export const VIRTIO_NET_GSO_ECN = 0x80;

export type VirtioNetFault = 'virtio-net-truncated';

/** Filled by `parseVirtioNet`, or by who has `writeVirtioNet` write it. Offsets count from the Ethernet header. */
export class VirtioNetHeader {
  /** VIRTIO_NET_NEEDS_CHECKSUM, VIRTIO_NET_DATA_VALID. */
  flags = 0;
  gsoType = 0;
  /** Bytes of all headers, Ethernet included; a hint that may be wrong. */
  headerLength = 0;
  /** Payload bytes of each segment. */
  gsoSize = 0;
  checksumStart = 0;
  /** From checksumStart. */
  checksumOffset = 0;
}

/** Reads the header at `at`. Never throws, never reads past `end`. */
export function parseVirtioNet(
  bytes: Uint8Array,
  at: number,
  end: number,
  into: VirtioNetHeader,
): VirtioNetFault | undefined {
  if (end - at < VIRTIO_NET_HEADER_BYTES) return 'virtio-net-truncated';
  into.flags = bytes[at]!;
  into.gsoType = bytes[at + 1]!;
  into.headerLength = readU16le(bytes, at + 2);
  into.gsoSize = readU16le(bytes, at + 4);
  into.checksumStart = readU16le(bytes, at + 6);
  into.checksumOffset = readU16le(bytes, at + 8);
  return undefined;
}

/** Writes VIRTIO_NET_HEADER_BYTES bytes. */
export function writeVirtioNet(bytes: Uint8Array, at: number, header: Readonly<VirtioNetHeader>): void {
  bytes[at] = header.flags;
  bytes[at + 1] = header.gsoType;
  writeU16le(bytes, at + 2, header.headerLength);
  writeU16le(bytes, at + 4, header.gsoSize);
  writeU16le(bytes, at + 6, header.checksumStart);
  writeU16le(bytes, at + 8, header.checksumOffset);
}
