import { readMac, readU16, writeMac, writeU16 } from './bytes.ts';

/**
 * Ethernet II, without a VLAN tag and without the frame check sequence (IEEE 802.3). MAC addresses are 48-bit numbers.
 */
export const ETHERNET_HEADER_BYTES = 14;
/** An IEEE 802.1Q tag. Its first half stands where the type of an untagged frame does, the type behind it. */
export const VLAN_TAG_BYTES = 4;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
/** IEEE 802.1ad, an outer tag. */
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;

/** ff:ff:ff:ff:ff:ff */
export const BROADCAST_MAC = 0xffff_ffff_ffff;

/** The readers want ETHERNET_HEADER_BYTES bytes from `at` on, which the caller has checked. */
export function destinationMac(bytes: Uint8Array, at: number): number {
  return readMac(bytes, at);
}

export function sourceMac(bytes: Uint8Array, at: number): number {
  return readMac(bytes, at + 6);
}

/** An ETHERTYPE_…; a number below 0x0600 is the length of an 802.3 frame. */
export function etherType(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 12);
}

/** Writes the 14 bytes of header. */
export function writeEthernet(bytes: Uint8Array, at: number, destination: number, source: number, type: number): void {
  writeMac(bytes, at, destination);
  writeMac(bytes, at + 6, source);
  writeU16(bytes, at + 12, type);
}

/** The group bit is set: multicast, broadcast included. No station may have such a source address. */
export function isMulticastMac(mac: number): boolean {
  return ((mac / 0x100_0000_0000) & 1) === 1;
}
