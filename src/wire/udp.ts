import { readU16, writeU16 } from './bytes.ts';

/** UDP (RFC 768). */
export const UDP_HEADER_BYTES = 8;
/** The place of the checksum in the header. */
export const UDP_CHECKSUM_OFFSET = 6;
/** Largest payload over IPv4: 65,535 − 20 − 8. */
export const UDP_MAX_PAYLOAD_BYTES = 65_507;
/** Datagrams that a super-datagram may stand for: Linux's UDP_MAX_SEGMENTS. */
export const UDP_MAX_SEGMENTS = 128;

export type UdpFault = 'udp-truncated' | 'udp-bad-length';

/** Filled by `parseUdp`. */
export class UdpHeader {
  sourcePort = 0;
  destinationPort = 0;
  /** Header and payload; at most what the IP packet carries. */
  length = 0;
  /** 0: the sender computed none. */
  checksum = 0;
}

/**
 * Reads the header at `at`; `end` is where the IP payload ends. Never throws, never reads past `end`. Does not check
 * the sum.
 */
export function parseUdp(bytes: Uint8Array, at: number, end: number, into: UdpHeader): UdpFault | undefined {
  if (end - at < UDP_HEADER_BYTES) return 'udp-truncated';
  const length = readU16(bytes, at + 4);
  if (length < UDP_HEADER_BYTES || length > end - at) return 'udp-bad-length';
  into.sourcePort = readU16(bytes, at);
  into.destinationPort = readU16(bytes, at + 2);
  into.length = length;
  into.checksum = readU16(bytes, at + 6);
  return undefined;
}

/** Writes the header with checksum 0; `length` is header and payload. */
export function writeUdp(
  bytes: Uint8Array,
  at: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
): void {
  writeU16(bytes, at, sourcePort);
  writeU16(bytes, at + 2, destinationPort);
  writeU16(bytes, at + 4, length);
  writeU16(bytes, at + 6, 0);
}
