/**
 * The Internet checksum's sum (RFC 1071) with 128-bit SIMD; AssemblyScript, compiled by scripts/wasm.ts.
 *
 * Words are summed in the machine's little-endian order and the folded result is swapped once at the end; eight bytes
 * at a time are as good as two: the ones' complement sum does not care (RFC 1071 §2 B and C).
 *
 * The trick is to add 64-bit words and let them wrap. What is lost is how often they did, and for that a rough second
 * sum is enough: the words' top 16 bits, averaged over eight vectors by the rounding average of 16-bit lanes. Two
 * instructions for 16 bytes, where unpacking the halves of each word takes three (measured: 1.3 times as fast; three
 * were twice as fast as multiply-and-add by pairs).
 */

/** What the rough sum can bear: see `wraps`. */
const BLOCK_BYTES: u32 = 1 << 17;

/**
 * Sum of `length` bytes at `at` as big-endian 16-bit words (an odd last byte padded with zero) added to `initial`,
 * folded to 16 bits. Reads nothing outside [at, at + length).
 */
export function sum(at: u32, length: u32, initial: u32): u32 {
  const end = at + length;
  let total: u64 = 0;
  while (end - at >= 128) {
    const bytes = min<u32>((end - at) & ~127, BLOCK_BYTES);
    total += sumBlock(at, at + bytes);
    at += bytes;
  }
  while (end - at >= 8) {
    const pair = load<u64>(at);
    total += (pair >> 32) + (pair & 0xffffffff);
    at += 8;
  }
  if (end - at >= 4) {
    total += load<u32>(at);
    at += 4;
  }
  if (end - at >= 2) {
    total += load<u16>(at);
    at += 2;
  }
  if (end > at) total += load<u8>(at);
  const little = fold(total);
  const big = ((little & 0xff) << 8) | (little >> 8);
  return fold(<u64>big + <u64>initial);
}

/** The sum of [at, end), a multiple of 128 bytes above 0 and at most BLOCK_BYTES, below 2^34. */
function sumBlock(at: u32, end: u32): u64 {
  let wholeA = i64x2.splat(0);
  let wholeB = wholeA;
  let rough = wholeA;
  do {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    wholeA = i64x2.add(wholeA, a);
    wholeB = i64x2.add(wholeB, b);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const ab = i16x8.avgr_u(a, b);
    wholeA = i64x2.add(wholeA, c);
    wholeB = i64x2.add(wholeB, d);
    const cd = i16x8.avgr_u(c, d);
    const e = v128.load(at, 64);
    const f = v128.load(at, 80);
    wholeA = i64x2.add(wholeA, e);
    wholeB = i64x2.add(wholeB, f);
    const ef = i16x8.avgr_u(e, f);
    const g = v128.load(at, 96);
    const h = v128.load(at, 112);
    wholeA = i64x2.add(wholeA, g);
    wholeB = i64x2.add(wholeB, h);
    const gh = i16x8.avgr_u(g, h);
    const eight = i16x8.avgr_u(i16x8.avgr_u(ab, cd), i16x8.avgr_u(ef, gh));
    rough = i64x2.add(rough, i64x2.shr_u(eight, 48));
    at += 128;
  } while (at < end);
  const whole = i64x2.add(wholeA, wholeB);
  return (
    lane(i64x2.extract_lane(whole, 0), i64x2.extract_lane(rough, 0)) +
    lane(i64x2.extract_lane(whole, 1), i64x2.extract_lane(rough, 1))
  );
}

/**
 * A lane's sum modulo 2^64 − 1, as two halves added: `whole` is the sum modulo 2^64, 8 × `rough` in units of 2^48 is
 * near it.
 *
 * How near: each word's lower 48 bits are left out (less than 1), and each of three averages rounds up by at most a
 * half, so a round of eight words is wrong by more than −8 and at most 12. A block has 1,024 rounds: less than 2^14 of
 * the 2^15 up to which the number of wraps is the nearest one.
 */
function lane(whole: u64, rough: u64): u64 {
  const wraps = ((rough << 3) + 0x8000 - (whole >> 48)) >> 16;
  return (whole >> 32) + (whole & 0xffffffff) + wraps;
}

/** To 16 bits with end-around carry. */
function fold(total: u64): u32 {
  total = (total >> 32) + (total & 0xffffffff);
  total = (total >> 16) + (total & 0xffff);
  total = (total >> 16) + (total & 0xffff);
  return <u32>((total >> 16) + (total & 0xffff));
}
