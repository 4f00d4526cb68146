import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DescriptorTable } from '../../../src/host/epoll/descriptors.ts';
import { LoopControl, runLoop } from '../../../src/host/epoll/loop.ts';
import { Poller } from '../../../src/host/epoll/poller.ts';
import { Timer } from '../../../src/turn/timers.ts';
import { Turn } from '../../../src/turn/turn.ts';
import { createEpollHarness } from './harness.ts';

describe('the loop', () => {
  it('runs turns until it is told to stop, then closes what the last turn let go', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const clock = { nowMs: () => performance.now() };
    const turn = new Turn(clock.nowMs());
    const control = new LoopControl();
    let turns = 0;
    turn.ingress.add({
      queued: false,
      work(): void {
        if (++turns === 5) control.stop();
        else turn.ingress.add(this);
      },
    });
    runLoop({ turn, clock, control, poller: harness.poller });
    assert.equal(turns, 5);
    assert.equal(control.beats, 5);
  });

  it('returns after a turn in which it is to pause, and goes on when it is called again', (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const clock = { nowMs: () => performance.now() };
    const control = new LoopControl();
    let pauses = true;
    const turn = { waitMs: () => 0, run: () => void (control.beats === 3 && control.stop()) };
    const loop = { turn, clock, control, poller: harness.poller, pauses: () => pauses };
    runLoop(loop);
    assert.equal(control.beats, 1);
    pauses = false;
    runLoop(loop);
    assert.equal(control.beats, 3);
  });

  it('lets an exception of a handler through', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const clock = { nowMs: () => performance.now() };
    harness.poller.onWake = () => {
      throw new Error('from a handler');
    };
    harness.poller.wake();
    const loop = { turn: new Turn(clock.nowMs()), clock, control: new LoopControl(), poller: harness.poller };
    assert.throws(() => runLoop(loop), /from a handler/);
  });

  it('in a Worker ends when another thread sets the stop word and writes the eventfd; its descriptors are known', async () => {
    const worker = new Worker(new URL('./loop-worker.ts', import.meta.url));
    const [{ control, descriptors, wakeDescriptor }] = (await once(worker, 'message')) as [
      { control: SharedArrayBuffer; descriptors: SharedArrayBuffer; wakeDescriptor: number },
    ];
    assert.ok(new DescriptorTable(descriptors).list('other').includes(wakeDescriptor));
    new LoopControl(control).stop();
    writeSync(wakeDescriptor, new BigUint64Array([1n]));
    const [status] = await once(worker, 'exit');
    assert.equal(status, 0);
    assert.deepEqual(new DescriptorTable(descriptors).list('other'), []);
  });
});

describe('the poller', () => {
  it('runs its timers and wakes for them', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    let woken = 0;
    harness.poller.onWake = () => woken++;
    harness.poller.wake();
    harness.poller.wake();
    harness.poller.wait(1000);
    assert.equal(woken, 1);
  });

  it('counts a timer that a handler arms from the end of the sleep', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    let nowMs = 0;
    const clock = { nowMs: () => nowMs };
    const poller = new Poller(harness.memory, harness.descriptors, clock);
    t.after(() => poller.close());
    let fired = false;
    const timer = new Timer(() => {
      fired = true;
    });
    poller.onWake = () => poller.timers.arm(timer, 500);
    poller.wake();
    // Looked at before the sleep and after it, which takes 700 ms.
    clock.nowMs = () => {
      const now = nowMs;
      nowMs += 700;
      return now;
    };
    poller.wait(0);
    clock.nowMs = () => 1190;
    poller.wait(0);
    assert.equal(fired, false);
    clock.nowMs = () => 1210;
    poller.wait(0);
    assert.equal(fired, true);
  });
});

describe('the descriptor table', () => {
  it('tells both threads which descriptors are open, by kind', () => {
    const table = new DescriptorTable();
    const other = new DescriptorTable(table.buffer);
    table.record(7, 'flow');
    table.record(9, 'tap');
    table.record(12, 'flow');
    table.forget(7);
    assert.deepEqual(other.list('flow'), [12]);
    assert.deepEqual(other.list('tap', 'listener', 'flow'), [9, 12]);
    assert.equal(other.kind(9), 'tap');
    assert.equal(other.kind(7), undefined);
  });
});
