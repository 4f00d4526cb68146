import { readMac, readU16, readU32, writeMac, writeU16, writeU32 } from './bytes.ts';

/** ARP for IPv4 over Ethernet (RFC 826). */
export const ARP_BYTES = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;

/** Too short; or another hardware or protocol than Ethernet and IPv4. */
export type ArpFault = 'arp-truncated' | 'arp-bad-type';

/**
 * Filled by `parseArp`, or by who has `writeArp` write it. Addresses as numbers; the target MAC of a request has no
 * meaning.
 */
export class ArpPacket {
  operation = 0;
  senderMac = 0;
  senderAddress = 0;
  targetMac = 0;
  targetAddress = 0;
}

/** Reads the packet at `at`; `end` is the end of the frame. Never throws, never reads past `end`. */
export function parseArp(bytes: Uint8Array, at: number, end: number, into: ArpPacket): ArpFault | undefined {
  if (end - at < ARP_BYTES) return 'arp-truncated';
  if (readU16(bytes, at) !== HARDWARE_ETHERNET || readU16(bytes, at + 2) !== PROTOCOL_IPV4) return 'arp-bad-type';
  if (bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return 'arp-bad-type';
  into.operation = readU16(bytes, at + 6);
  into.senderMac = readMac(bytes, at + 8);
  into.senderAddress = readU32(bytes, at + 14);
  into.targetMac = readMac(bytes, at + 18);
  into.targetAddress = readU32(bytes, at + 24);
  return undefined;
}

/** Writes ARP_BYTES bytes. */
export function writeArp(bytes: Uint8Array, at: number, packet: Readonly<ArpPacket>): void {
  writeU16(bytes, at, HARDWARE_ETHERNET);
  writeU16(bytes, at + 2, PROTOCOL_IPV4);
  bytes[at + 4] = 6;
  bytes[at + 5] = 4;
  writeU16(bytes, at + 6, packet.operation);
  writeMac(bytes, at + 8, packet.senderMac);
  writeU32(bytes, at + 14, packet.senderAddress);
  writeMac(bytes, at + 18, packet.targetMac);
  writeU32(bytes, at + 24, packet.targetAddress);
}
