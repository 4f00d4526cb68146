import { readU16 } from './bytes.ts';

const GROUPS = 8;

/** "2001:db8::1": the 16 bytes at `at` as RFC 5952 §4 wants them. IPv4-mapped addresses have a dotted tail ("::ffff:192.0.2.1"). */
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
