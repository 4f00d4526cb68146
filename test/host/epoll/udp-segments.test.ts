import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeDatagramBatch } from '../../../src/env/datagram-batch.ts';
import { segmentsFrom } from '../../../src/host/epoll/udp-segments.ts';

function batchOf(datagrams: readonly { length: number; port: number }[]): ReturnType<typeof makeDatagramBatch> {
  const batch = makeDatagramBatch(64);
  for (const { length, port } of datagrams) {
    batch.length[batch.count] = length;
    batch.address[batch.count] = 0x7f000001;
    batch.port[batch.count] = port;
    batch.count++;
  }
  return batch;
}

test('equal datagrams to one place go as one, with a shorter last one', () => {
  const run = [1400, 1400, 1400, 1400, 9, 1400].map((length) => ({ length, port: 53 }));
  assert.equal(segmentsFrom(batchOf(run), 0, 6), 5);
});

test('few, empty, large or differently addressed ones go by themselves', () => {
  const alone = (lengths: number[], ports = [53]): number =>
    segmentsFrom(batchOf(lengths.map((length, i) => ({ length, port: ports[i % ports.length]! }))), 0, lengths.length);
  assert.equal(alone([1400, 1400, 1400]), 1);
  assert.equal(alone([0, 0, 0, 0, 0]), 1);
  assert.equal(alone([1473, 1473, 1473, 1473]), 1);
  assert.equal(alone([100, 100, 100, 100], [53, 54]), 1);
});

test('a run never exceeds what the kernel takes, and all but its last are equal', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ length: fc.constantFrom(0, 1, 700, 1200, 1472), port: fc.constantFrom(1, 2) }), {
        minLength: 1,
        maxLength: 64,
      }),
      (datagrams) => {
        const batch = batchOf(datagrams);
        const count = segmentsFrom(batch, 0, batch.count);
        const run = datagrams.slice(0, count);
        assert.ok(count >= 1 && count <= 64);
        assert.ok(run.reduce((sum, { length }) => sum + length, 0) <= 65_507);
        for (const [i, { length, port }] of run.entries()) {
          assert.equal(port, run[0]!.port);
          if (i < count - 1) assert.equal(length, run[0]!.length);
          else assert.ok(length <= run[0]!.length);
        }
      },
    ),
  );
});
