import { parseIpv4Address } from '../../wire/ipv4-address.ts';

/** An IPv6 address as getaddrinfo prints it (RFC 5952, perhaps with an IPv4 tail); undefined for anything else, zones included. */
export function ipv6Bytes(text: string): Uint8Array | undefined {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail !== null) {
    const low = parseIpv4Address(tail[2] ?? '');
    if (low === undefined) return undefined;
    return ipv6Bytes(`${tail[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, rest] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const groups = [...(head ?? []), ...(rest ?? [])];
  const missing = 8 - groups.length;
  if (rest === undefined ? missing !== 0 : missing < 1) return undefined;
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const all = [...(head ?? []), ...new Array<string>(rest === undefined ? 0 : missing).fill('0'), ...(rest ?? [])];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >>> 8, Number.parseInt(group, 16) & 0xff]));
}
