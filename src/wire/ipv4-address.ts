const DOTTED_QUAD = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/**
 * '192.168.65.1' as an unsigned 32-bit number; undefined for anything but four decimal numbers up to 255 without
 * leading zeros (which some programs read as octal, RFC 6943 §3.1.1).
 */
export function parseIpv4Address(text: string): number | undefined {
  const match = DOTTED_QUAD.exec(text);
  if (match === null) return undefined;
  let address = 0;
  for (let i = 1; i <= 4; i++) {
    const digits = match[i]!;
    const value = Number(digits);
    if (value > 255 || (digits.length > 1 && digits.startsWith('0'))) return undefined;
    address = address * 256 + value;
  }
  return address;
}

/** The address in dotted decimal. */
export function formatIpv4Address(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}
