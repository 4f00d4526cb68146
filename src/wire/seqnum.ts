/**
 * TCP sequence numbers: unsigned 32-bit numbers that wrap (RFC 9293 §3.4). Comparisons hold for numbers less than 2^31
 * apart; the only place where sequence numbers are added or compared.
 */

/** a + n modulo 2^32; `n` may be negative. */
export function seqAdd(a: number, n: number): number {
  return (a + n) >>> 0;
}

/** The signed distance a − b, in −2^31 … 2^31 − 1. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** a < b */
export function seqLt(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** a ≤ b */
export function seqLte(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** a > b */
export function seqGt(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** a ≥ b */
export function seqGte(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** The later of the two. */
export function seqMax(a: number, b: number): number {
  return ((a - b) | 0) >= 0 ? a : b;
}
