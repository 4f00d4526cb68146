import { readU16, writeU16, writeU32 } from './bytes.ts';
import { foldedComplement, sumBytes } from './checksum.ts';

/** ICMP for IPv4 (RFC 792). Every message that we read or write begins with eight bytes. */
export const ICMP_HEADER_BYTES = 8;
/** The place of the checksum in the message. */
export const ICMP_CHECKSUM_OFFSET = 2;

/** Types (RFC 792; RFC 1812 §5.2.7 for who sends which). */
export const ICMP_ECHO_REPLY = 0;
export const ICMP_DESTINATION_UNREACHABLE = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

/** Codes of ICMP_DESTINATION_UNREACHABLE (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). */
export const ICMP_NETWORK_UNREACHABLE = 0;
export const ICMP_HOST_UNREACHABLE = 1;
export const ICMP_PROTOCOL_UNREACHABLE = 2;
export const ICMP_PORT_UNREACHABLE = 3;
/** With the next hop's MTU in the last two bytes of the header (RFC 1191 §4). */
export const ICMP_FRAGMENTATION_NEEDED = 4;
export const ICMP_COMMUNICATION_PROHIBITED = 13;

/** Codes of ICMP_TIME_EXCEEDED. */
export const ICMP_TTL_EXCEEDED = 0;
export const ICMP_REASSEMBLY_EXCEEDED = 1;

/** An error message quotes as much as fits into an IP packet of 576 bytes (RFC 1812 §4.3.2.3): 576 − 20 − 8. */
export const ICMP_MAX_QUOTE_BYTES = 548;

export type IcmpFault = 'icmp-truncated';

/** Filled by `parseIcmp`. */
export class IcmpHeader {
  type = 0;
  code = 0;
  checksum = 0;
  /** Echo: identifier and sequence number. Other types: the two halves of the header's second word. */
  identifier = 0;
  sequence = 0;
}

/**
 * Reads the header at `at`; `end` is where the IP payload ends. Never throws, never reads past `end`. Does not check
 * the sum.
 */
export function parseIcmp(bytes: Uint8Array, at: number, end: number, into: IcmpHeader): IcmpFault | undefined {
  if (end - at < ICMP_HEADER_BYTES) return 'icmp-truncated';
  into.type = bytes[at]!;
  into.code = bytes[at + 1]!;
  into.checksum = readU16(bytes, at + 2);
  into.identifier = readU16(bytes, at + 4);
  into.sequence = readU16(bytes, at + 6);
  return undefined;
}

/** Whether `type` reports an error, so that no error may be sent about it (RFC 1122 §3.2.2). */
export function isIcmpError(type: number): boolean {
  return (
    type === ICMP_DESTINATION_UNREACHABLE ||
    type === ICMP_SOURCE_QUENCH ||
    type === ICMP_REDIRECT ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETER_PROBLEM
  );
}

/**
 * Writes the header of an echo request or reply with checksum 0: sum header and data, then `writeU16` at
 * ICMP_CHECKSUM_OFFSET.
 */
export function writeIcmpEcho(bytes: Uint8Array, at: number, type: number, identifier: number, sequence: number): void {
  bytes[at] = type;
  bytes[at + 1] = 0;
  writeU16(bytes, at + 2, 0);
  writeU16(bytes, at + 4, identifier);
  writeU16(bytes, at + 6, sequence);
}

/** Type and code of an error. */
export interface IcmpKind {
  readonly type: number;
  readonly code: number;
}

/** What an error message says, beside what it quotes. */
export interface IcmpError extends IcmpKind {
  /** Only for ICMP_FRAGMENTATION_NEEDED, else 0. */
  readonly mtu: number;
}

/**
 * Writes a whole error message about the packet at `quotedAt` (its IP header first; at most ICMP_MAX_QUOTE_BYTES of
 * `quotedLength` are quoted), checksum included. Returns the bytes written. The quoted packet may overlap the place it
 * is copied to.
 */
export function writeIcmpError(
  bytes: Uint8Array,
  at: number,
  error: IcmpError,
  quotedAt: number,
  quotedLength: number,
): number {
  const quoteBytes = Math.min(quotedLength, ICMP_MAX_QUOTE_BYTES);
  bytes.copyWithin(at + ICMP_HEADER_BYTES, quotedAt, quotedAt + quoteBytes);
  bytes[at] = error.type;
  bytes[at + 1] = error.code;
  writeU16(bytes, at + 2, 0);
  writeU32(bytes, at + 4, error.mtu & 0xffff);
  const length = ICMP_HEADER_BYTES + quoteBytes;
  writeU16(bytes, at + 2, foldedComplement(sumBytes(bytes, at, length, 0)));
  return length;
}
