/** Addresses of the host's clients as sockets have them: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
import { type HostAddress, LOOPBACK6 } from '../env/host.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { parseIpv6Address } from '../wire/ipv6-address.ts';

export const MAPPED_ADDRESS_BYTES = 16;

/** Writes IPv4 (mapped) or ::1 into the 16 bytes at `at`; −1, which has no bytes of its own, as zeros. */
export function writeMappedAddress(bytes: Uint8Array, at: number, address: HostAddress): void {
  bytes.fill(0, at, at + MAPPED_ADDRESS_BYTES);
  if (address === LOOPBACK6) bytes[at + 15] = 1;
  if (address < 0 || address === LOOPBACK6) return;
  bytes.fill(0xff, at + 10, at + 12);
  for (let i = 0; i < 4; i++) bytes[at + 12 + i] = address >>> (24 - 8 * i);
}

/** The seam's number of the 16 bytes at `at`: IPv4, LOOPBACK6, or −1 for what it has none for. */
export function readMappedAddress(bytes: Uint8Array, at: number): HostAddress {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return -1;
  const low =
    (((bytes[at + 12] as number) << 24) |
      ((bytes[at + 13] as number) << 16) |
      ((bytes[at + 14] as number) << 8) |
      (bytes[at + 15] as number)) >>>
    0;
  const marker = ((bytes[at + 10] as number) << 8) | (bytes[at + 11] as number);
  if (marker === 0xffff) return low;
  return marker === 0 && low === 1 ? LOOPBACK6 : -1;
}

/** The 16 bytes of an address as Node writes it; a zone ("fe80::1%eth0") is left out. Zeros for anything else. */
export function parseMappedAddress(text: string): Uint8Array {
  const bytes = new Uint8Array(MAPPED_ADDRESS_BYTES);
  const address4 = parseIpv4Address(text);
  if (address4 !== undefined) writeMappedAddress(bytes, 0, address4);
  else bytes.set(parseIpv6Address(text.replace(/%.*$/, '')) ?? bytes);
  return bytes;
}
