import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '../../../src/env/counters.ts';
import { QueryLimit } from '../../../src/services/dns/query-limit.ts';

const ALICE = 'alice';
const BOB = 'bob';

interface World {
  readonly limit: QueryLimit;
  readonly counters: Counters;
  readonly lines: string[];
  nowMs: number;
}

function world(options: { queriesPerSecond?: number; lookups?: number } = {}): World {
  const counters = new Counters();
  const lines: string[] = [];
  const log = { info: () => {}, warn: (message: string) => void lines.push(message) };
  const made: World = {
    counters,
    lines,
    nowMs: 1_000_000,
    limit: new QueryLimit({
      queriesPerSecond: options.queriesPerSecond ?? 10,
      lookups: options.lookups ?? 8,
      clock: { nowMs: () => made.nowMs },
      counters,
      log,
    }),
  };
  return made;
}

function admitted(w: World, guest: string, times: number): number {
  let good = 0;
  for (let i = 0; i < times; i++) if (w.limit.admit(guest)) good++;
  return good;
}

test('a guest may ask a second’s worth at once, then as many as trickle in, and the others as before', () => {
  const w = world();
  assert.equal(admitted(w, ALICE, 50), 10);
  assert.equal(admitted(w, BOB, 5), 5);
  w.nowMs += 500;
  assert.equal(admitted(w, ALICE, 50), 5);
  assert.equal(w.counters.get('dns-over-limit'), 85);
});

test('one line a minute tells of a guest over its limit', () => {
  const w = world();
  admitted(w, ALICE, 50);
  admitted(w, BOB, 50);
  assert.deepEqual(w.lines, [
    'alice asks more than 10 DNS questions a second',
    'bob asks more than 10 DNS questions a second',
  ]);
  w.nowMs += 59_000;
  admitted(w, ALICE, 50);
  assert.equal(w.lines.length, 2);
  w.nowMs += 1000;
  admitted(w, ALICE, 50);
  assert.equal(w.lines.length, 3);
});

test('a question over a stream waits until its guest may ask', async () => {
  const w = world();
  assert.equal(admitted(w, ALICE, 11), 10);
  let settled = false;
  const waiting = w.limit.waitForTurn(ALICE).then(() => {
    settled = true;
  });
  // A wait of its own does not hold the process; this one does.
  const hold = setInterval(() => {}, 1000);
  await w.limit.waitForTurn(BOB);
  assert.equal(settled, false);
  w.nowMs += 100;
  await waiting;
  clearInterval(hold);
  assert.equal(w.counters.get('dns-over-limit'), 1);
});

test('one guest has at most half of the lookups, all together have them all', () => {
  const w = world();
  const places = [1, 2, 3, 4].map(() => w.limit.enter(ALICE));
  assert.ok(places.every((place) => place !== undefined));
  assert.equal(w.limit.enter(ALICE), undefined);
  for (let i = 0; i < 4; i++) assert.ok(w.limit.enter(BOB) !== undefined);
  assert.equal(w.limit.enter('carol'), undefined);
  assert.equal(w.limit.lookups, 8);
  assert.equal(w.counters.get('dns-busy'), 2);
  w.limit.leave(places[0]!);
  assert.ok(w.limit.enter(ALICE) !== undefined);
});

test('a flood of guests that come and go shares one bucket once the table is full, and room comes back', () => {
  const w = world();
  admitted(w, ALICE, 10);
  for (let i = 1; i < 4096; i++) w.limit.admit(`guest ${i}`);
  assert.equal(admitted(w, 'one more', 10) + admitted(w, 'two more', 10), 10);
  assert.equal(admitted(w, ALICE, 10), 0);
  w.nowMs += 61_000;
  assert.equal(admitted(w, 'one more', 10) + admitted(w, 'two more', 10), 20);
});
