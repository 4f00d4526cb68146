import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ranges } from '../../src/tcp/ranges.ts';
import { seqAdd, seqDiff } from '../../src/wire/seqnum.ts';

const SPAN = 60;

test('ranges are the set of all numbers inserted and not dropped, in order and disjoint, wherever the numbers wrap', () => {
  const insert = fc.tuple(fc.constant('insert' as const), fc.nat(SPAN - 1), fc.integer({ min: 1, max: 12 }));
  const drop = fc.tuple(fc.constant('drop' as const), fc.nat(SPAN), fc.constant(0));
  fc.assert(
    fc.property(
      fc.constantFrom(0, 0xffff_ffe0, 0x7fff_ffe0),
      fc.array(fc.oneof({ weight: 4, arbitrary: insert }, drop), { maxLength: 30 }),
      (base, commands) => {
        const ranges = new Ranges(100);
        const model = new Set<number>();
        for (const [what, at, length] of commands) {
          if (what === 'insert') {
            assert.equal(ranges.insert(seqAdd(base, at), seqAdd(base, at + length)), true);
            for (let i = at; i < at + length; i++) model.add(i);
            const latest = ranges.latest;
            assert.ok(seqDiff(ranges.left(latest), seqAdd(base, at)) <= 0, 'latest is the range just grown');
            assert.ok(ranges.covers(seqAdd(base, at), seqAdd(base, at + length)));
          } else {
            ranges.dropBefore(seqAdd(base, at));
            for (const i of model) if (i < at) model.delete(i);
          }
          const held: number[] = [];
          for (let r = 0; r < ranges.count; r++) {
            for (let n = seqDiff(ranges.left(r), base); n < seqDiff(ranges.right(r), base); n++) held.push(n);
            assert.ok(r === 0 || seqDiff(ranges.left(r), ranges.right(r - 1)) > 0, 'disjoint and not touching');
          }
          assert.deepEqual(
            held,
            [...model].sort((a, b) => a - b),
          );
          assert.equal(ranges.bytes, model.size);
        }
      },
    ),
  );
});

test('a full list refuses one more range, and still grows what it has', () => {
  const ranges = new Ranges(2);
  ranges.insert(10, 20);
  ranges.insert(30, 40);
  assert.equal(ranges.insert(50, 60), false);
  assert.equal(ranges.insert(20, 30), true);
  assert.deepEqual([ranges.count, ranges.left(0), ranges.right(0)], [1, 10, 40]);
});
