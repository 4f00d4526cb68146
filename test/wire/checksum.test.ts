import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeU16, writeU32 } from '../../src/wire/bytes.ts';
import { fold, foldedComplement, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { hex } from '../support/hostile-bytes.ts';

/** RFC 1071 §1 as it is written: add, and bring each carry round at once. */
function naiveSum(bytes: Uint8Array, initial: number): number {
  let sum = BigInt(initial);
  for (let i = 0; i < bytes.length; i += 2) sum += BigInt(bytes[i]! * 256 + (bytes[i + 1] ?? 0));
  while (sum > 0xffffn) sum = (sum >> 16n) + (sum & 0xffffn);
  return Number(sum);
}

test('the example of RFC 1071 §3', () => {
  assert.equal(sumBytes(hex('0001 f203 f4f5 f6f7'), 0, 8, 0), 0xddf2);
});

test('an IPv4 header sums to all ones, so its checksum is what makes it so', () => {
  const header = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
  assert.equal(sumBytes(header, 0, 20, 0), 0xffff);
  assert.equal(foldedComplement(sumBytes(header, 0, 20, 0) - 0xb861), 0xb861);
});

test('sums agree with the definition at every length, place and beginning', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat({ max: 9 }),
      fc.nat({ max: 0xffffffff }),
      (data, at, initial) => {
        const bytes = new Uint8Array(at + data.length + 3).fill(0xa5);
        bytes.set(data, at);
        assert.equal(sumBytes(bytes, at, data.length, initial), naiveSum(data, initial));
      },
    ),
  );
});

test('a megabyte of ones does not overflow', () => {
  const bytes = new Uint8Array(2 ** 20 + 1).fill(0xff);
  assert.equal(sumBytes(bytes, 0, bytes.length, 0xffffffff), naiveSum(bytes, 0xffffffff));
});

test('folding brings both carries round', () => {
  assert.equal(fold(0xffff_ffff), 0xffff);
  assert.equal(fold(0x1_ffff), 1);
  assert.equal(fold(0), 0);
});

test('the pseudo-header sums like its bytes', () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xffffffff }), fc.nat({ max: 0xffffffff }), fc.nat({ max: 0xffff }), (a, b, length) => {
      const bytes = new Uint8Array(12);
      writeU32(bytes, 0, a);
      writeU32(bytes, 4, b);
      writeU16(bytes, 8, 6);
      writeU16(bytes, 10, length);
      assert.equal(fold(pseudoHeaderSum(a, b, 6, length)), naiveSum(bytes, 0));
    }),
  );
});
