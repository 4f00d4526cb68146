import { readU16, readU32, writeU16, writeU32 } from './bytes.ts';

/** TCP (RFC 9293 §3.1). The header without options: */
export const TCP_HEADER_BYTES = 20;
/** The place of the checksum in the header. */
export const TCP_CHECKSUM_OFFSET = 16;

/** Control bits (RFC 9293 §3.1; ECE and CWR: RFC 3168). */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;

export type TcpFault = 'tcp-truncated' | 'tcp-bad-header-length';

/** Filled by `parseTcp`, or by who has `writeTcp` write it: whoever sends keeps one for all its segments. */
export class TcpHeader {
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgment = 0;
  /** Options included: 20 to 60. */
  headerBytes = 0;
  /** FIN, SYN, … or-ed. */
  flags = 0;
  /** As sent, not scaled. */
  window = 0;
  checksum = 0;
  urgent = 0;
}

/**
 * Reads the header at `at`; `end` is where the IP payload ends. Never throws, never reads past `end`. Does not check
 * the sum nor read the options (`parseTcpOptions` from at + TCP_HEADER_BYTES to at + headerBytes).
 */
export function parseTcp(bytes: Uint8Array, at: number, end: number, into: TcpHeader): TcpFault | undefined {
  if (end - at < TCP_HEADER_BYTES) return 'tcp-truncated';
  const headerBytes = (bytes[at + 12]! >>> 4) * 4;
  if (headerBytes < TCP_HEADER_BYTES || headerBytes > end - at) return 'tcp-bad-header-length';
  into.sourcePort = readU16(bytes, at);
  into.destinationPort = readU16(bytes, at + 2);
  into.sequence = readU32(bytes, at + 4);
  into.acknowledgment = readU32(bytes, at + 8);
  into.headerBytes = headerBytes;
  into.flags = bytes[at + 13]!;
  into.window = readU16(bytes, at + 14);
  into.checksum = readU16(bytes, at + 16);
  into.urgent = readU16(bytes, at + 18);
  return undefined;
}

/** What `writeTcp` reads of a header. */
export type TcpFields = Readonly<Omit<TcpHeader, 'checksum' | 'urgent'>>;

/**
 * Writes the 20 fixed bytes, checksum 0 and urgent pointer 0. `headerBytes` includes options, a multiple of 4 up to 60;
 * `window` is already scaled to 16 bits.
 */
export function writeTcp(bytes: Uint8Array, at: number, header: TcpFields): void {
  writeU16(bytes, at, header.sourcePort);
  writeU16(bytes, at + 2, header.destinationPort);
  writeU32(bytes, at + 4, header.sequence);
  writeU32(bytes, at + 8, header.acknowledgment);
  bytes[at + 12] = header.headerBytes << 2;
  bytes[at + 13] = header.flags;
  writeU16(bytes, at + 14, header.window);
  writeU32(bytes, at + 16, 0);
}
