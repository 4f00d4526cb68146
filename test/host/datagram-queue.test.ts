import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDatagramBatch } from '../../src/env/datagram-batch.ts';
import { DatagramQueue } from '../../src/host/datagram-queue.ts';

const FROM = { address: 0x0a00_0001, port: 5353 };

test('datagrams are taken in order, each in its slot and no longer than that', () => {
  const queue = new DatagramQueue();
  const [arena, batch] = [new Uint8Array(64), makeDatagramBatch(4)];
  for (const bytes of [[1, 2], [3, 4, 5, 6, 7], []]) assert.ok(queue.push({ ...FROM, bytes: Uint8Array.from(bytes) }));
  assert.equal(queue.take(arena, batch, 8, 4, 2).length, 2);
  assert.deepEqual([batch.count, batch.at[1], batch.length[0], batch.length[1]], [2, 12, 2, 4]);
  assert.deepEqual([batch.address[1], batch.port[1]], [FROM.address, FROM.port]);
  assert.deepEqual([...arena.subarray(8, 17)], [1, 2, 0, 0, 3, 4, 5, 6, 0]);
  assert.equal(queue.take(arena, batch, 8, 4, 2).length, 1);
  assert.equal(queue.take(arena, batch, 8, 4, 2).length, 0);
  assert.equal(batch.count, 0);
});

test('what is not taken is bounded in number and in bytes', () => {
  const [arena, batch] = [new Uint8Array(65_536), makeDatagramBatch(1)];
  const fill = (bytes: Uint8Array): [DatagramQueue, number] => {
    const queue = new DatagramQueue();
    let held = 0;
    while (queue.push({ ...FROM, bytes })) held++;
    return [queue, held];
  };
  assert.equal(fill(new Uint8Array(1))[1], 1024);
  const [queue, held] = fill(new Uint8Array(65_507));
  assert.equal(held, Math.floor((4 << 20) / 65_507));
  assert.equal(queue.take(arena, batch, 0, 65_536, 1).length, 1);
  assert.ok(queue.push({ ...FROM, bytes: new Uint8Array(65_507) }), 'there is room again');
});
