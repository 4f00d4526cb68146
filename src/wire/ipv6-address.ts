import { readU16 } from './bytes.ts';
import { parseIpv4Address } from './ipv4-address.ts';

const GROUPS = 8;

/**
 * An IPv6 address as text (RFC 4291 §2.2, perhaps with an IPv4 tail) as its 16 bytes; undefined for anything else,
 * zones included.
 */
export function parseIpv6Address(text: string): Uint8Array | undefined {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail !== null) {
    const low = parseIpv4Address(tail[2] ?? '');
    if (low === undefined) return undefined;
    return parseIpv6Address(`${tail[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, rest] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const groups = [...(head ?? []), ...(rest ?? [])];
  const missing = GROUPS - groups.length;
  if (rest === undefined ? missing !== 0 : missing < 1) return undefined;
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const all = [...(head ?? []), ...new Array<string>(rest === undefined ? 0 : missing).fill('0'), ...(rest ?? [])];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >>> 8, Number.parseInt(group, 16) & 0xff]));
}

/**
 * "2001:db8::1": the 16 bytes at `at` as RFC 5952 §4 wants them. IPv4-mapped addresses have a dotted tail
 * ("::ffff:192.0.2.1").
 */
export function formatIpv6Address(bytes: Uint8Array, at: number): string {
  const groups = Array.from({ length: GROUPS }, (_, i) => readU16(bytes, at + 2 * i));
  const texts = groups.map((group) => group.toString(16));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes.subarray(at + 12, at + 16).join('.')}`;
  }
  const { zerosAt, zeros } = longestZeros(groups);
  // One group of zeros alone is not shortened (RFC 5952 §4.2.2).
  if (zeros < 2) return texts.join(':');
  return `${texts.slice(0, zerosAt).join(':')}::${texts.slice(zerosAt + zeros).join(':')}`;
}

/** The first of the longest runs of zeros (RFC 5952 §4.2.3). */
function longestZeros(groups: readonly number[]): { zerosAt: number; zeros: number } {
  let zerosAt = 0;
  let zeros = 0;
  let run = 0;
  groups.forEach((group, i) => {
    run = group === 0 ? run + 1 : 0;
    if (run > zeros) {
      zeros = run;
      zerosAt = i + 1 - run;
    }
  });
  return { zerosAt, zeros };
}
