import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReceiveQueue } from '../../src/host/receive-queue.ts';

test('a receive queue behaves like one long byte string, however it is filled, peeked and consumed', () => {
  const operation = fc.oneof(
    fc.record({ push: fc.uint8Array({ maxLength: 50 }) }),
    fc.record({ copy: fc.nat(120), length: fc.nat(80) }),
    fc.record({ consume: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const queue = new ReceiveQueue();
      let model: number[] = [];
      for (const step of operations) {
        if ('push' in step) {
          queue.push(step.push);
          model.push(...step.push);
        } else if ('consume' in step) {
          queue.consume(step.consume);
          model = model.slice(step.consume);
        } else {
          const target = new Uint8Array(100).fill(0xee);
          const copied = queue.copy(step.copy, target, 10, step.length);
          const expected = model.slice(step.copy, step.copy + step.length);
          assert.equal(copied, expected.length);
          assert.deepEqual([...target.subarray(10, 10 + copied)], expected);
          assert.ok(target.subarray(10 + copied).every((byte) => byte === 0xee));
        }
        assert.equal(queue.length, model.length);
      }
    }),
  );
});

test('slots are filled in order, a stride apart, the last one partly', () => {
  const queue = new ReceiveQueue();
  for (const chunk of [[1, 2, 3], [4], [5, 6, 7, 8]]) queue.push(Uint8Array.from(chunk));
  queue.consume(1);
  const target = new Uint8Array(12);
  assert.equal(queue.copySlots(1, target, 1, 2, 4, 5), 6);
  assert.deepEqual([...target], [0, 3, 4, 0, 0, 5, 6, 0, 0, 7, 8, 0]);
});

test('a cleared queue is empty and can be filled again', () => {
  const queue = new ReceiveQueue();
  queue.push(Uint8Array.of(1, 2, 3));
  queue.copy(2, new Uint8Array(1), 0, 1);
  queue.clear();
  assert.equal(queue.length, 0);
  queue.push(Uint8Array.of(9));
  const target = new Uint8Array(1);
  assert.equal(queue.copy(0, target, 0, 1), 1);
  assert.equal(target[0], 9);
});
