import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FairWork } from '../../src/turn/fair-queue.ts';
import type { Work } from '../../src/turn/ready-queue.ts';
import { Timer } from '../../src/turn/timers.ts';
import { Turn } from '../../src/turn/turn.ts';

describe('a turn', () => {
  it('does so many pieces of ingress, and what it leaves goes first in the next', () => {
    const turn = new Turn(0);
    const log: number[] = [];
    const reader = (n: number): Work => ({ queued: false, work: () => log.push(n) });
    for (let i = 0; i < 100; i++) turn.ingress.add(reader(i));
    turn.run(1);
    assert.equal(log.length, 64);
    turn.ingress.add(reader(100));
    assert.equal(turn.waitMs(1000), 0);
    turn.run(2);
    assert.deepEqual(
      log,
      Array.from({ length: 101 }, (_, i) => i),
    );
  });

  it('ends a phase when its time is over, and goes on to the others', () => {
    let nowMs = 0;
    const turn = new Turn(0, { clock: { nowMs: () => nowMs } });
    const done = { ingress: 0, egress: 0, timers: 0, flushes: 0 };
    const slow = (phase: keyof typeof done): FairWork => ({
      queued: false,
      lane: turn,
      work: () => {
        done[phase]++;
        nowMs += 4;
      },
    });
    for (let i = 0; i < 20; i++) {
      turn.ingress.add(slow('ingress'));
      turn.egress.add(slow('egress'));
      turn.timers.arm(new Timer(() => slow('timers').work()), 0);
    }
    turn.flushes.add(slow('flushes'));
    nowMs = 8;
    turn.run(nowMs);
    assert.deepEqual(done, { ingress: 2, egress: 3, timers: 2, flushes: 1 });
    for (let i = 0; i < 9; i++) turn.run(nowMs);
    assert.deepEqual(done, { ingress: 20, egress: 20, timers: 20, flushes: 1 });
  });

  it('gives each piece of ingress an equal part of the time that is left, and the backlog a millisecond of its own', () => {
    let nowMs = 0;
    const turn = new Turn(0, { clock: { nowMs: () => nowMs } });
    const spent: number[] = [];
    const reader = (needsMs: number): Work => ({
      queued: false,
      work: () => {
        const beganMs = nowMs;
        do nowMs += 0.25;
        while (nowMs - beganMs < needsMs && !turn.late);
        spent.push(nowMs - beganMs);
      },
    });
    for (const needsMs of [9, 0.25, 9, 9, 9]) turn.ingress.add(reader(needsMs));
    for (let i = 0; i < 2; i++) turn.backlog.add(reader(9));
    turn.run(nowMs);
    // 5 / 5, what it needs, 3.75 / 3, 2.5 / 2, what is left; then 1 / 2 and what is left.
    assert.deepEqual(spent, [1, 0.25, 1.25, 1.25, 1.25, 0.5, 0.5]);
  });

  it('reads a guest that has little before those that used up their share, of which one at least is read each turn', () => {
    let nowMs = 0;
    const turn = new Turn(0, { clock: { nowMs: () => nowMs } });
    const log: string[] = [];
    const reader = (name: string): Work => ({
      queued: false,
      work: () => {
        log.push(name);
        nowMs += 4;
      },
    });
    for (let i = 0; i < 3; i++) turn.backlog.add(reader(`flooder ${i}`));
    for (let i = 0; i < 3; i++) turn.ingress.add(reader(`modest ${i}`));
    turn.run(nowMs);
    assert.deepEqual(log, ['modest 0', 'modest 1', 'flooder 0']);
    turn.run(nowMs);
    assert.deepEqual(log.slice(3), ['modest 2', 'flooder 1']);
    assert.equal(turn.waitMs(1_000), 0);
    turn.run(nowMs);
    assert.deepEqual(log.slice(5), ['flooder 2']);
    assert.equal(turn.waitMs(1_000), 1_000);
  });

  it('serves a guest with one flow after one piece of each other guest’s, however many they have', () => {
    const turn = new Turn(0);
    const log: string[] = [];
    const guests = Array.from({ length: 16 }, (_, i) => ({ name: `flooder ${i}` }));
    for (const guest of guests) {
      for (let i = 0; i < 1_000; i++) {
        turn.egress.add({ queued: false, lane: guest, work: () => log.push(guest.name) });
      }
    }
    turn.egress.add({ queued: false, lane: { name: 'modest' }, work: () => log.push('modest') });
    turn.run(1);
    assert.equal(log.indexOf('modest'), 16);
    assert.equal(log.length, 1_024);
    const late = { queued: false, lane: { name: 'late' }, work: () => log.push('late') };
    turn.egress.add(late);
    turn.run(2);
    assert.ok(log.indexOf('late') - 1_024 <= 17);
    for (let i = 0; i < 16; i++) turn.run(3 + i);
    assert.equal(log.length, 16_002);
    assert.equal(turn.waitMs(1_000), 1_000);
  });

  it('fires 10,000 timers that are due at once in ten turns, each once', () => {
    const turn = new Turn(0);
    let fired = 0;
    for (let i = 0; i < 10_000; i++) turn.timers.arm(new Timer(() => fired++), 100);
    turn.run(104);
    assert.equal(fired, 1_024);
    assert.equal(turn.waitMs(1_000), 0);
    for (let i = 1; i < 10; i++) turn.run(104 + i);
    assert.equal(fired, 10_000);
    assert.equal(turn.waitMs(1_000), 1_000);
  });

  it('beats between any two pieces of work', () => {
    let beats = 0;
    const turn = new Turn(0, { beat: () => beats++ });
    const seen: number[] = [];
    const work = (): FairWork => ({ queued: false, lane: turn, work: () => seen.push(beats) });
    for (const queue of [turn.ingress, turn.commits, turn.acknowledgements, turn.flushes]) {
      for (let i = 0; i < 3; i++) queue.add(work());
    }
    for (let i = 0; i < 3; i++) turn.egress.add(work());
    turn.timers.arm(new Timer(() => seen.push(beats)), 0);
    turn.run(8);
    assert.deepEqual(
      seen,
      Array.from({ length: 16 }, (_, i) => i),
    );
  });
});
