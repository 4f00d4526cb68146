import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '../../src/env/counters.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import type { Port } from '../../src/link/port.ts';
import type { FlowEnds } from '../../src/tcp/flow-ends.ts';
import { TimeWaitTable } from '../../src/tcp/time-wait.ts';
import { Turn } from '../../src/turn/turn.ts';

const ENTRIES = 32_768;
/** A sixteenth is left to others. */
const OF_ONE = 30_720;

/** Of a guest with that address, with a server's port 80. */
function ends(guest: number, guestPort: number, remoteAddress: number): FlowEnds {
  return { neighbor: new Neighbor(guest, 0, {} as Port, 0), guestPort, remoteAddress, remotePort: 80 };
}

test('TIME-WAIT is bounded: the oldest goes first and is counted, and a minute ends each', () => {
  const turn = new Turn(0);
  const counters = new Counters();
  const table = new TimeWaitTable(turn, counters, 1);
  const add = (n: number): void => table.add('guest', ends(1, n & 0xffff, n >>> 16), n, n);
  for (let n = 0; n < 40_000; n++) add(n);
  assert.equal(table.size, OF_ONE);
  assert.equal(counters.get('tcp-time-wait-evicted'), 40_000 - OF_ONE);
  assert.equal(table.find(1, 0, 0, 80), -1);
  assert.equal(table.sndNxt(table.find(1, 39_999, 0, 80)), 39_999);
  assert.equal(table.sndNxt(table.find(1, 40_000 - OF_ONE, 0, 80)), 40_000 - OF_ONE);
  turn.run(59_999);
  assert.ok(table.find(1, 39_999, 0, 80) >= 0);
  turn.run(60_000);
  assert.equal(table.find(1, 39_999, 0, 80), -1);
  for (let n = 0; n < 40_000; n++) add(40_000 + n);
  assert.equal(counters.get('tcp-time-wait-evicted'), 2 * (40_000 - OF_ONE), 'what was over is not evicted');
});

test('the same ports may wait again, and the place of the one before does not end them', () => {
  const turn = new Turn(0);
  const table = new TimeWaitTable(turn, new Counters(), 1);
  table.add('guest', ends(1, 2, 3), 5, 6);
  table.remove(table.find(1, 2, 3, 80));
  assert.equal(table.size, 0);
  table.add('guest', ends(1, 2, 3), 7, 6);
  for (let n = 1; n < OF_ONE; n++) table.add('guest', { ...ends(1, n & 0xffff, 9), remotePort: n >>> 16 }, 5, 6);
  assert.equal(table.sndNxt(table.find(1, 2, 3, 80)), 7);
  assert.equal(table.size, OF_ONE);
});

test('a guest that closes many connections ends the TIME-WAIT of no other, and at most half of all is taken from it', () => {
  const counters = new Counters();
  const table = new TimeWaitTable(new Turn(0), counters, 1);
  const add = (owner: string, address: number, from: number, count: number): void => {
    for (let n = from; n < from + count; n++) table.add(owner, ends(address, n & 0xffff, n >>> 16), n, n);
  };
  add('modest', 1, 0, 10);
  add('greedy', 2, 0, 100_000);
  for (let n = 0; n < 10; n++) assert.ok(table.find(1, n, 0, 80) >= 0);
  assert.equal(table.size, OF_ONE + 10);
  add('second', 3, 0, 100_000);
  assert.equal(table.size, ENTRIES);
  for (let n = 0; n < 10; n++) assert.ok(table.find(1, n, 0, 80) >= 0, `the modest one's ${n}`);
  const left = Array.from({ length: 100_000 }, (_, n) => table.find(2, n & 0xffff, n >>> 16, 80)).filter(
    (at) => at >= 0,
  );
  assert.ok(left.length >= ENTRIES / 2 - 10, `${left.length}`);
});

test('entries that end anywhere in a queue leave their places to others', () => {
  const table = new TimeWaitTable(new Turn(0), new Counters(), 1);
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 9000; n++) table.add(`guest ${n % 3}`, ends(1, n, 2), n, round);
    for (let n = 0; n < 9000; n += 1 + (round % 3)) table.remove(table.find(1, n, 2, 80));
  }
  for (let n = 0; n < 9000; n++) {
    const place = table.find(1, n, 2, 80);
    if (place >= 0) assert.equal(table.sndNxt(place), n);
  }
  assert.ok(table.size < 9000);
});
