import { type HostAddress, LOOPBACK6 } from '../env/host.ts';

/** The text that Node's sockets take: '192.0.2.1', or '::1' for LOOPBACK6. */
export function hostAddressText(address: HostAddress): string {
  if (address === LOOPBACK6) return '::1';
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** The number of an address that Node reported; undefined for IPv6 other than ::1 and IPv4-mapped. */
export function parseHostAddress(text: string): HostAddress | undefined {
  if (text === '::1') return LOOPBACK6;
  const parts = (text.startsWith('::ffff:') ? text.slice(7) : text).split('.');
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    const byte = Number(part);
    if (part === '' || !(byte >= 0 && byte <= 255)) return undefined;
    address = address * 256 + byte;
  }
  return address;
}
