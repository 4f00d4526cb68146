import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindowBudget } from '../../src/tcp/window-budget.ts';
import { WindowTarget } from '../../src/tcp/window-target.ts';

const MIB = 1024 * 1024;
const FIRST = 65_535;

/** Moves `windows` whole windows, each in `ms`. */
function move(target: WindowTarget, windows: number, ms: number): void {
  let moved = 0;
  let nowMs = 0;
  for (let i = 0; i < windows; i++) {
    moved += target.bytes;
    nowMs += ms;
    target.progressed(moved, nowMs);
  }
}

test('a window doubles with each whole one moved within 200 ms, up to the largest share', () => {
  const target = new WindowTarget(new WindowBudget(256 * MIB), 0);
  assert.equal(target.bytes, FIRST);
  move(target, 1, 200);
  assert.equal(target.bytes, 2 * FIRST);
  const busy = new WindowTarget(new WindowBudget(256 * MIB), 0);
  move(busy, 20, 1);
  assert.equal(busy.bytes, 4 * MIB);
});

test('a flow that takes longer for its window keeps the first one, however much it moves', () => {
  const target = new WindowTarget(new WindowBudget(256 * MIB), 0);
  move(target, 1_000, 201);
  assert.equal(target.bytes, FIRST);
});

test('a flow that was idle is judged by what it moves afterwards', () => {
  const target = new WindowTarget(new WindowBudget(256 * MIB), 0);
  target.progressed(FIRST, 10_000);
  assert.equal(target.bytes, FIRST);
  target.progressed(2 * FIRST, 10_100);
  assert.equal(target.bytes, 2 * FIRST);
});

test('what others have promised since makes the wish smaller', () => {
  const budget = new WindowBudget(64 * MIB);
  const target = new WindowTarget(budget, 0);
  move(target, 20, 1);
  assert.equal(target.bytes, 4 * MIB);
  budget.reserve(48 * MIB);
  assert.equal(target.bytes, MIB);
});
