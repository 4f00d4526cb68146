import { readU16, readU32, writeU16, writeU32 } from './bytes.ts';
import { foldedComplement, sumBytes } from './checksum.ts';

/** IPv4 (RFC 791). Addresses are unsigned 32-bit numbers. The header without options: */
export const IPV4_HEADER_BYTES = 20;
/** The place of the source address in the header. */
export const IPV4_SOURCE_OFFSET = 12;
/** Largest packet, header included. */
export const IPV4_MAX_BYTES = 65_535;
/** What it carries: 65,535 − 20. */
export const IPV4_MAX_PAYLOAD_BYTES = 65_515;
/** Every link carries as much (RFC 791 §3.2): no MTU is below. */
export const IPV4_MIN_MTU = 68;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

/** In the 16 bits of flags and offset; the offset is in units of eight bytes. */
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

/** 255.255.255.255 */
export const IPV4_BROADCAST = 0xffff_ffff;

export type Ipv4Fault = 'ipv4-truncated' | 'ipv4-bad-version' | 'ipv4-bad-header-length' | 'ipv4-bad-total-length';

/** Filled by `parseIpv4`, or by who has `writeIpv4` write it: whoever sends keeps one for all its packets. */
export class Ipv4Header {
  /** Options included: 20 to 60. */
  headerBytes = 0;
  /** Header and payload; the rest up to the end of the frame is padding. */
  totalLength = 0;
  identification = 0;
  dontFragment = false;
  /** Type of service: DSCP (RFC 2474) and, in the two lowest bits, ECN (RFC 3168). */
  tos = 0;
  moreFragments = false;
  /** In bytes. */
  fragmentOffset = 0;
  ttl = 0;
  protocol = 0;
  checksum = 0;
  source = 0;
  destination = 0;
}

/**
 * Reads the header at `at`; `end` is the end of the frame. Never throws, never reads past `end`. Does not look at the
 * checksum nor at the options.
 */
export function parseIpv4(bytes: Uint8Array, at: number, end: number, into: Ipv4Header): Ipv4Fault | undefined {
  const fault = parseIpv4Header(bytes, at, end, into);
  if (fault !== undefined) return fault;
  return into.totalLength > end - at ? 'ipv4-bad-total-length' : undefined;
}

/** The same of a packet of which no more than the header need be there: what an ICMP error quotes. */
export function parseIpv4Header(bytes: Uint8Array, at: number, end: number, into: Ipv4Header): Ipv4Fault | undefined {
  if (end - at < IPV4_HEADER_BYTES) return 'ipv4-truncated';
  const first = bytes[at]!;
  if (first >>> 4 !== 4) return 'ipv4-bad-version';
  const headerBytes = (first & 15) * 4;
  if (headerBytes < IPV4_HEADER_BYTES || headerBytes > end - at) return 'ipv4-bad-header-length';
  const totalLength = readU16(bytes, at + 2);
  if (totalLength < headerBytes) return 'ipv4-bad-total-length';
  const flagsAndOffset = readU16(bytes, at + 6);
  into.headerBytes = headerBytes;
  into.totalLength = totalLength;
  into.tos = bytes[at + 1]!;
  into.identification = readU16(bytes, at + 4);
  into.dontFragment = (flagsAndOffset & DONT_FRAGMENT) !== 0;
  into.moreFragments = (flagsAndOffset & MORE_FRAGMENTS) !== 0;
  into.fragmentOffset = (flagsAndOffset & OFFSET_MASK) * 8;
  into.ttl = bytes[at + 8]!;
  into.protocol = bytes[at + 9]!;
  into.checksum = readU16(bytes, at + 10);
  into.source = readU32(bytes, at + 12);
  into.destination = readU32(bytes, at + 16);
  return undefined;
}

/** Whether the packet whose header is at `at` is a fragment that does not begin its datagram. */
export function isLaterFragment(bytes: Uint8Array, at: number): boolean {
  return (readU16(bytes, at + 6) & OFFSET_MASK) !== 0;
}

/** Whether the header checksum is right. `headerBytes` as parsed. */
export function ipv4ChecksumValid(bytes: Uint8Array, at: number, headerBytes: number): boolean {
  return sumBytes(bytes, at, headerBytes, 0) === 0xffff;
}

/** What `writeIpv4` reads of a header: it writes no options and computes the checksum. */
export type Ipv4Fields = Readonly<Omit<Ipv4Header, 'headerBytes' | 'checksum'>>;

/** Writes a header of 20 bytes, its checksum included. */
export function writeIpv4(bytes: Uint8Array, at: number, header: Ipv4Fields): void {
  const { totalLength, identification, ttl, protocol, source, destination } = header;
  const versionAndTos = 0x4500 | header.tos;
  const flagsAndOffset =
    (header.dontFragment ? DONT_FRAGMENT : 0) |
    (header.moreFragments ? MORE_FRAGMENTS : 0) |
    (header.fragmentOffset >>> 3);
  writeU16(bytes, at, versionAndTos);
  writeU16(bytes, at + 2, totalLength);
  writeU16(bytes, at + 4, identification);
  writeU16(bytes, at + 6, flagsAndOffset);
  bytes[at + 8] = ttl;
  bytes[at + 9] = protocol;
  writeU32(bytes, at + 12, source);
  writeU32(bytes, at + 16, destination);
  const sum =
    versionAndTos +
    (totalLength & 0xffff) +
    (identification & 0xffff) +
    flagsAndOffset +
    (((ttl & 0xff) << 8) | (protocol & 0xff)) +
    (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) +
    (destination & 0xffff);
  writeU16(bytes, at + 10, foldedComplement(sum));
}

/** 224.0.0.0/4 (RFC 5771) */
export function isMulticastIpv4(address: number): boolean {
  return address >>> 28 === 0xe;
}

/** 127.0.0.0/8 (RFC 1122 §3.2.1.3) */
export function isLoopbackIpv4(address: number): boolean {
  return address >>> 24 === 127;
}

/**
 * 10/8, 172.16/12, 192.168/16 (RFC 1918), 100.64/10 (RFC 6598) and 198.18/15 (RFC 2544): what networks inside a machine
 * are made of.
 */
export function isPrivateIpv4(address: number): boolean {
  const first = address >>> 24;
  if (first === 10) return true;
  const two = address >>> 16;
  return two >>> 4 === 0xac1 || two === 0xc0a8 || two >>> 6 === 0x6440 >>> 6 || two >>> 1 === 0xc612 >>> 1;
}
