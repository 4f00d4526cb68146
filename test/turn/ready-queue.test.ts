import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadyQueue, type Work } from '../../src/turn/ready-queue.ts';
import { Slice } from '../../src/turn/slice.ts';
import { TokenBucket } from '../../src/turn/token-bucket.ts';
import { Turn } from '../../src/turn/turn.ts';

const whole = (): Slice => new Slice({}).whole();

test('work runs in the order it was added, each once however often it was added', () => {
  const queue = new ReadyQueue();
  const log: number[] = [];
  const works = [0, 1, 2].map((n): Work => ({ queued: false, work: () => log.push(n) }));
  for (const work of [...works, ...works]) queue.add(work);
  assert.equal(queue.pending, true);
  queue.run(whole());
  assert.deepEqual(log, [0, 1, 2]);
  assert.equal(queue.pending, false);
});

test('what adds itself again waits for the next run, behind those that were added meanwhile', () => {
  const queue = new ReadyQueue();
  const log: string[] = [];
  const late: Work = { queued: false, work: () => log.push('late') };
  const greedy: Work = {
    queued: false,
    work: () => {
      log.push('greedy');
      queue.add(late);
      queue.add(greedy);
    },
  };
  queue.add(greedy);
  queue.run(whole());
  assert.deepEqual(log, ['greedy']);
  queue.run(whole());
  assert.deepEqual(log, ['greedy', 'late', 'greedy']);
});

test('a turn runs frames, commits, egress, timers, commits again, acknowledgements, flushes; it sleeps only without work', () => {
  const turn = new Turn(0);
  const log: string[] = [];
  const work = (name: string): Work => ({ queued: false, work: () => log.push(name) });
  const second = work('second commit');
  turn.flushes.add(work('flush'));
  turn.acknowledgements.add(work('acknowledge'));
  turn.egress.add({ queued: false, lane: turn, work: () => turn.commits.add(second) });
  turn.commits.add(work('commit'));
  turn.ingress.add(work('frame'));
  assert.equal(turn.waitMs(1000), 0);
  turn.run(1);
  assert.deepEqual(log, ['frame', 'commit', 'second commit', 'acknowledge', 'flush']);
  assert.equal(turn.waitMs(1000), 1000);
});

test('a token bucket lets a burst through at once and its rate on the long run', () => {
  const bucket = new TokenBucket(1000, 5);
  const take = (nowMs: number): number => {
    let taken = 0;
    while (bucket.take(nowMs)) taken++;
    return taken;
  };
  assert.equal(take(1e6), 5);
  assert.equal(take(1e6), 0);
  assert.equal(take(1e6 + 3), 3);
  assert.equal(take(2e6), 5);
});
