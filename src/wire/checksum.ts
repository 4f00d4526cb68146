/**
 * The Internet checksum (RFC 1071) in plain TypeScript: for short headers, for tests, and where an arena has no faster
 * routine. `Arena.sum` has the same contract as `sumBytes`.
 *
 * A *sum* may be unfolded (any integer up to 2^32 − 1) or folded (16 bits). Only `foldedComplement` turns it into the
 * checksum that stands in a header.
 */

/** 32 KiB: 16,384 words of at most 0xffff stay below 2^30, so the inner loop adds small integers. */
const BLOCK_BYTES = 0x8000;

/**
 * Ones' complement sum of `length` bytes at `at`, as big-endian 16-bit words, an odd last byte padded with zero, added
 * to `initial`. Folded to 16 bits, not complemented; 0 only if everything is 0.
 */
export function sumBytes(bytes: Uint8Array, at: number, length: number, initial: number): number {
  let sum = fold(initial);
  const evenEnd = at + (length & ~1);
  while (at < evenEnd) {
    const blockEnd = Math.min(at + BLOCK_BYTES, evenEnd);
    for (; at < blockEnd; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
    sum = fold(sum);
  }
  return (length & 1) === 0 ? sum : fold(sum + (bytes[at]! << 8));
}

/** The sum folded to 16 bits with end-around carry. `sum` < 2^32. */
export function fold(sum: number): number {
  sum = (sum >>> 16) + (sum & 0xffff);
  return (sum >>> 16) + (sum & 0xffff);
}

/** The checksum field for a sum: folded and complemented. */
export function foldedComplement(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** Unfolded sum of the pseudo-header that TCP and UDP checksums begin with (RFC 9293 §3.1, RFC 768). */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
}
