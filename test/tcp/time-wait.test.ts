import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '../../src/env/counters.ts';
import { TimeWaitTable } from '../../src/tcp/time-wait.ts';
import { Turn } from '../../src/turn/turn.ts';

test('TIME-WAIT is bounded: the oldest goes first and is counted, and a minute ends each', () => {
  const turn = new Turn(0);
  const counters = new Counters();
  const table = new TimeWaitTable(turn, counters, 1);
  const add = (n: number): void => table.add(1, n & 0xffff, n >>> 16, 80, n, n);
  for (let n = 0; n < 40_000; n++) add(n);
  assert.equal(table.size, 32_768);
  assert.equal(counters.get('tcp-time-wait-evicted'), 40_000 - 32_768);
  assert.equal(table.find(1, 0, 0, 80), -1);
  assert.equal(table.sndNxt(table.find(1, 39_999, 0, 80)), 39_999);
  assert.equal(table.sndNxt(table.find(1, 40_000 - 32_768, 0, 80)), 40_000 - 32_768);
  turn.run(59_999);
  assert.ok(table.find(1, 39_999, 0, 80) >= 0);
  turn.run(60_000);
  assert.equal(table.find(1, 39_999, 0, 80), -1);
  for (let n = 0; n < 40_000; n++) add(40_000 + n);
  assert.equal(counters.get('tcp-time-wait-evicted'), 2 * (40_000 - 32_768), 'what was over is not evicted');
});

test('the same ports may wait again, and the place of the one before does not end them', () => {
  const turn = new Turn(0);
  const table = new TimeWaitTable(turn, new Counters(), 1);
  table.add(1, 2, 3, 80, 5, 6);
  table.remove(table.find(1, 2, 3, 80));
  assert.equal(table.size, 0);
  table.add(1, 2, 3, 80, 7, 6);
  for (let n = 0; n < 32_767; n++) table.add(1, n & 0xffff, 9, n >>> 16, 5, 6);
  assert.equal(table.sndNxt(table.find(1, 2, 3, 80)), 7);
  assert.equal(table.size, 32_768);
});
