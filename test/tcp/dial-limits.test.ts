import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DialLimits } from '../../src/tcp/dial-limits.ts';

/** A dial that can be told from others. */
interface Dial {
  readonly name: string;
}

function begun(limits: DialLimits<Dial>, owner: string, nowMs: number, ...names: readonly string[]): Dial[] {
  return names.map((name) => {
    const dial = { name };
    limits.begin(dial, owner, nowMs);
    return dial;
  });
}

test('dials are bounded in all, one guest leaves an eighth, and one that ends makes room', () => {
  const limits = new DialLimits<Dial>(8);
  const dials = begun(limits, 'greedy', 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g');
  assert.equal(limits.obstacle('greedy', 0), 'tcp-dial-limit-of-guest');
  assert.equal(limits.obstacle('other', 0), undefined);
  limits.end(dials[0]!);
  limits.end(dials[0]!);
  assert.equal(limits.inFlight, 6);
  assert.equal(limits.obstacle('greedy', 0), undefined);
  for (const dial of dials) limits.end(dial);
  assert.equal(limits.inFlight, 0);
});

test('a guest that finds none free takes the place of the one that has most', () => {
  const limits = new DialLimits<Dial>(8);
  begun(limits, 'greedy', 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g');
  begun(limits, 'second', 0, 'h');
  assert.deepEqual(limits.obstacle('third', 0), { name: 'a' });
  assert.deepEqual(limits.obstacle('second', 0), { name: 'a' });
  assert.equal(limits.obstacle('greedy', 0), 'tcp-dial-limit');
});

test('of its own a guest gives up the dial whose next SYN is due for longest, and none that has just asked', () => {
  const limits = new DialLimits<Dial>(8);
  const [patient, gone] = begun(limits, 'guest', 0, 'patient', 'gone', 'c', 'd', 'e', 'f', 'g') as [Dial, Dial];
  assert.equal(limits.obstacle('guest', 999), 'tcp-dial-limit-of-guest');
  for (const at of [1000, 3000, 7000]) limits.repeated(patient, at);
  for (const at of [1000, 3000]) limits.repeated(gone, at);
  const given = (nowMs: number): string | undefined => {
    const dial = limits.obstacle('guest', nowMs);
    if (typeof dial !== 'object') return dial;
    limits.end(dial);
    limits.begin({ name: 'new' }, 'guest', nowMs);
    return dial.name;
  };
  // Who never repeated goes first, then who should have at 7 s; the patient one is expected at 15 s.
  assert.deepEqual([8000, 8000, 8000, 8000, 8000].map(given), ['c', 'd', 'e', 'f', 'g']);
  assert.equal(given(8000), 'gone');
  assert.equal(given(8000), 'patient');
  assert.equal(given(8000), 'tcp-dial-limit-of-guest');
});
