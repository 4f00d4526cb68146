import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seqAdd, seqDiff, seqGt, seqGte, seqLt, seqLte, seqMax } from '../../src/wire/seqnum.ts';

const LAST = 0xffff_ffff;

test('numbers wrap at 2^32 in both directions', () => {
  assert.equal(seqAdd(LAST, 1), 0);
  assert.equal(seqAdd(0, -1), LAST);
  assert.equal(seqDiff(3, LAST), 4);
  assert.equal(seqDiff(LAST, 3), -4);
  assert.equal(seqDiff(0x8000_0000, 0), -(2 ** 31));
});

test('order holds across the wrap', () => {
  assert.ok(seqLt(LAST, 0) && seqLte(LAST, 0) && seqGt(0, LAST) && seqGte(0, LAST));
  assert.ok(!seqLt(7, 7) && !seqGt(7, 7) && seqLte(7, 7) && seqGte(7, 7));
  assert.equal(seqMax(LAST, 2), 2);
  assert.equal(seqMax(2, LAST), 2);
});

test('comparisons agree with the distance that was added', () => {
  fc.assert(
    fc.property(fc.nat({ max: LAST }), fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), (a, n) => {
      const b = seqAdd(a, n);
      assert.equal(seqDiff(b, a), n);
      assert.equal(seqGt(b, a), n > 0);
      assert.equal(seqLt(b, a), n < 0);
      assert.equal(seqGte(b, a), n >= 0);
      assert.equal(seqLte(b, a), n <= 0);
      assert.equal(seqMax(a, b), n >= 0 ? b : a);
    }),
  );
});
