/**
 * The Internet checksum's sum (RFC 1071) with 128-bit SIMD; AssemblyScript, compiled by scripts/wasm.ts.
 *
 * Words are summed in the machine's little-endian order and the folded result is swapped once at the end; four bytes at
 * a time are as good as two: the ones' complement sum does not care (RFC 1071 §2 B and C).
 *
 * The trick is to add 32-bit words in 64-bit lanes without masking them: one accumulator adds whole lanes and wraps, the
 * other adds the lanes' upper halves. The sum of the lower halves is then `whole − (upper << 32)`, exact because it is
 * below 2^64 itself. That is three instructions for 16 bytes and no constant that V8 would load again in every round
 * (measured: half the time of multiply-and-add by pairs).
 */

/**
 * Sum of `length` bytes at `at` as big-endian 16-bit words (an odd last byte padded with zero) added to `initial`,
 * folded to 16 bits. Reads nothing outside [at, at + length).
 */
export function sum(at: u32, length: u32, initial: u32): u32 {
  const end = at + length;
  const vectorEnd = at + (length & ~63);
  let total: u64 = 0;
  if (at < vectorEnd) {
    total = sumVectors(at, vectorEnd);
    at = vectorEnd;
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

/** The sum of the 32-bit words at [at, end), a multiple of 64 bytes above 0. Two accumulators of each kind, so additions overlap. */
function sumVectors(at: u32, end: u32): u64 {
  let wholeA = i64x2.splat(0);
  let wholeB = wholeA;
  let upperA = wholeA;
  let upperB = wholeA;
  do {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    wholeA = i64x2.add(wholeA, a);
    upperA = i64x2.add(upperA, i64x2.shr_u(a, 32));
    wholeB = i64x2.add(wholeB, b);
    upperB = i64x2.add(upperB, i64x2.shr_u(b, 32));
    wholeA = i64x2.add(wholeA, c);
    upperA = i64x2.add(upperA, i64x2.shr_u(c, 32));
    wholeB = i64x2.add(wholeB, d);
    upperB = i64x2.add(upperB, i64x2.shr_u(d, 32));
    at += 64;
  } while (at < end);
  const upper = lanes(i64x2.add(upperA, upperB));
  return lanes(i64x2.add(wholeA, wholeB)) - (upper << 32) + upper;
}

/** The two lanes added. */
function lanes(vector: v128): u64 {
  return i64x2.extract_lane(vector, 0) + i64x2.extract_lane(vector, 1);
}

/** To 16 bits with end-around carry. */
function fold(total: u64): u32 {
  total = (total >> 32) + (total & 0xffffffff);
  total = (total >> 16) + (total & 0xffff);
  total = (total >> 16) + (total & 0xffff);
  return <u32>((total >> 16) + (total & 0xffff));
}
