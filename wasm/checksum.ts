/**
 * The Internet checksum's sum (RFC 1071) with 128-bit SIMD; AssemblyScript, compiled by scripts/wasm.ts.
 *
 * Words are summed in the machine's little-endian order and the folded result is swapped once at the end: the ones'
 * complement sum does not care (RFC 1071 §2 B). The one instruction that multiplies and adds pairs of 16-bit words takes
 * them as signed, so each word is first moved down by 0x8000 (one xor) and the total is moved up again afterwards.
 */

/**
 * 256 KiB between two spills of the lanes: a lane gains at most 2^16 in magnitude per 16 bytes and there are four
 * accumulators, so 2^12 rounds stay below 2^28.
 */
const BLOCK_BYTES: u32 = 0x40000;

/** How far one vector of eight words moves the total down. */
const BIAS_PER_VECTOR: u64 = 8 * 0x8000;

/**
 * Sum of `length` bytes at `at` as big-endian 16-bit words (an odd last byte padded with zero) added to `initial`,
 * folded to 16 bits. Reads nothing outside [at, at + length).
 */
export function sum(at: u32, length: u32, initial: u32): u32 {
  let total: u64 = 0;
  const end = at + length;
  while (end - at >= 64) {
    const bytes = min(end - at, BLOCK_BYTES) & ~63;
    total += sumBlock(at, at + bytes);
    at += bytes;
  }
  while (end - at >= 16) {
    total += lanes(words(at)) + BIAS_PER_VECTOR;
    at += 16;
  }
  if (end - at >= 8) {
    total += <u64>load<u32>(at) + <u64>load<u32>(at, 4);
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

/** The sum of the words at [at, end), a multiple of 64 bytes. */
function sumBlock(at: u32, end: u32): u64 {
  const vectors = (end - at) >> 4;
  let a = words(at);
  let b = words(at + 16);
  let c = words(at + 32);
  let d = words(at + 48);
  for (at += 64; at < end; at += 64) {
    a = i32x4.add(a, words(at));
    b = i32x4.add(b, words(at + 16));
    c = i32x4.add(c, words(at + 32));
    d = i32x4.add(d, words(at + 48));
  }
  return lanes(i32x4.add(i32x4.add(a, b), i32x4.add(c, d))) + <u64>vectors * BIAS_PER_VECTOR;
}

/** Four sums of two words each, every word lowered by 0x8000. */
function words(at: u32): v128 {
  return i32x4.dot_i16x8_s(v128.xor(v128.load(at), i16x8.splat(-0x8000)), i16x8.splat(1));
}

/** The four signed lanes added; wraps below zero, which the bias brings back. */
function lanes(vector: v128): u64 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_s(vector), i64x2.extend_high_i32x4_s(vector));
  return i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1);
}

/** To 16 bits with end-around carry. */
function fold(total: u64): u32 {
  total = (total >> 32) + (total & 0xffffffff);
  total = (total >> 16) + (total & 0xffff);
  total = (total >> 16) + (total & 0xffff);
  return <u32>((total >> 16) + (total & 0xffff));
}
