/** The names under which the names of addresses are asked for (PTR). */

/** "1.65.168.192.in-addr.arpa" (RFC 1035 §3.5). */
export function reverseIpv4Name(address: number): string {
  const octets = [address & 0xff, (address >>> 8) & 0xff, (address >>> 16) & 0xff, address >>> 24];
  return `${octets.join('.')}.in-addr.arpa`;
}

/** One label for each four bits of the 16 bytes, the last first (RFC 3596 §2.5). */
export function reverseIpv6Name(address: Uint8Array): string {
  const nibbles = [...address].flatMap((octet) => [octet >>> 4, octet & 15]).reverse();
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}
