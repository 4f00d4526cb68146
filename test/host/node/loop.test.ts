import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { NodeLoop, runNodeLoop } from '../../../src/host/node/loop.ts';
import { pollUntil } from '../suite/poll-until.ts';

const clock = { nowMs: () => performance.now() };
const round = async (): Promise<void> => {
  await setImmediate();
};

test('many wakes make one turn', async (t) => {
  let turns = 0;
  const loop = runNodeLoop({ clock, turn: { run: () => turns++, waitMs: (limit) => limit } });
  t.after(() => loop.stop());
  await pollUntil(round, () => turns === 1, 'the first turn');
  for (let i = 0; i < 100; i++) loop.wake();
  assert.equal(turns, 1);
  await pollUntil(round, () => turns === 2, 'the second turn');
  for (let i = 0; i < 10; i++) await round();
  assert.equal(turns, 2);
});

test('a turn that leaves work is followed by another, and other events come between', async (t) => {
  let turns = 0;
  let between = 0;
  const loop = runNodeLoop({ clock, turn: { run: () => turns++, waitMs: () => 0 } });
  t.after(() => loop.stop());
  while (turns < 50) {
    await round();
    between++;
  }
  assert.ok(between >= 40, `${between} rounds between 50 turns`);
});

test('a wake from within a turn is a turn of its own', async (t) => {
  let turns = 0;
  const loop = new NodeLoop({ clock });
  t.after(() => loop.stop());
  loop.start({
    run: () => {
      turns++;
      if (turns < 3) loop.wake();
    },
    waitMs: (limit) => limit,
  });
  await pollUntil(round, () => turns === 3, 'three turns');
});

test('a turn runs when its timer is due, without a wake', async (t) => {
  const times: number[] = [];
  const loop = runNodeLoop({ clock, turn: { run: (nowMs) => void times.push(nowMs), waitMs: () => 5 } });
  t.after(() => loop.stop());
  await pollUntil(round, () => times.length >= 3, 'three turns');
  assert.ok((times[2] as number) - (times[0] as number) >= 8, 'not before they are due');
});

test('after stop no turn runs, and wake does nothing', async () => {
  let turns = 0;
  const loop = runNodeLoop({ clock, turn: { run: () => turns++, waitMs: () => 1 } });
  loop.stop();
  loop.wake();
  for (let i = 0; i < 5; i++) await round();
  assert.equal(turns, 0);
});

test('an exception in a turn stops the loop and is handed over', async () => {
  const crashes: unknown[] = [];
  const fault = new Error('broken');
  const turn = {
    run: () => {
      throw fault;
    },
    waitMs: () => 0,
  };
  const loop = runNodeLoop({ clock, turn, onCrash: (error) => crashes.push(error) });
  await pollUntil(round, () => crashes.length > 0, 'the crash');
  loop.wake();
  for (let i = 0; i < 5; i++) await round();
  assert.deepEqual(crashes, [fault]);
});
