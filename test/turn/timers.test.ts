import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Slice } from '../../src/turn/slice.ts';
import { Timer, Timers } from '../../src/turn/timers.ts';
import { Turn } from '../../src/turn/turn.ts';

const whole = new Slice({}).whole();

const GRANULE_MS = 4;

/** A timer beside what it should do. */
class Modelled {
  deadline = Number.POSITIVE_INFINITY;
  fired: number[] = [];
  now = 0;
  readonly timer = new Timer(() => {
    this.fired.push(this.now);
    this.deadline = Number.POSITIVE_INFINITY;
  });
}

type Step =
  | { kind: 'arm'; which: number; delay: number }
  | { kind: 'cancel'; which: number }
  | { kind: 'run'; by: number };

const which = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('arm' as const),
    which,
    delay: fc.oneof(fc.nat(20), fc.nat(10_000), fc.double({ min: 0, max: 50, noNaN: true })),
  }),
  fc.record({ kind: fc.constant('cancel' as const), which }),
  fc.record({
    kind: fc.constant('run' as const),
    by: fc.oneof(fc.nat(10), fc.nat(9_000), fc.double({ min: 0, max: 9, noNaN: true })),
  }),
);

test('a timer never fires early, at most one granule late, and never after it was cancelled or pushed back', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.array(step, { maxLength: 80 }), (start, steps) => {
      const timers = new Timers(start);
      const all = Array.from({ length: 8 }, () => new Modelled());
      let now = start;
      for (const s of steps) {
        if (s.kind === 'arm') {
          timers.arm(all[s.which]!.timer, s.delay);
          all[s.which]!.deadline = now + s.delay;
        } else if (s.kind === 'cancel') {
          timers.cancel(all[s.which]!.timer);
          all[s.which]!.deadline = Number.POSITIVE_INFINITY;
        } else {
          now += s.by;
          const before = all.map((m) => ({ deadline: m.deadline, fired: m.fired.length }));
          for (const m of all) m.now = now;
          timers.run(now, whole);
          for (const [i, m] of all.entries()) {
            const { deadline, fired } = before[i]!;
            const times = m.fired.length - fired;
            if (deadline > now) assert.equal(times, 0, 'fired early');
            else if (deadline + GRANULE_MS < now) assert.equal(times, 1, 'more than a granule late');
            assert.ok(times <= 1);
            assert.equal(m.timer.armed, m.deadline !== Number.POSITIVE_INFINITY);
          }
        }
      }
    }),
  );
});

test('a sleep of waitMs never passes a deadline by more than a granule, and a run of such sleeps ends', () => {
  fc.assert(
    fc.property(
      fc.nat(10_000),
      fc.array(fc.double({ min: 0, max: 6_000, noNaN: true }), { minLength: 1, maxLength: 12 }),
      (start, delays) => {
        const timers = new Timers(start);
        let now = start;
        let fired = 0;
        for (const delay of delays) {
          const timer = new Timer(() => {
            fired++;
            assert.ok(now >= start + delay && now < start + delay + GRANULE_MS + 1, `${now - start} for ${delay}`);
          });
          timers.arm(timer, delay);
        }
        for (let sleeps = 0; fired < delays.length; sleeps++) {
          assert.ok(sleeps < 100, 'busy loop');
          // Engines sleep whole milliseconds.
          now += Math.ceil(timers.waitMs(1000));
          timers.run(now, whole);
        }
        assert.equal(timers.waitMs(1000), 1000);
      },
    ),
  );
});

test('what is armed in a turn after a long sleep counts from that turn', () => {
  const turn = new Turn(0);
  let fired = 0;
  const timer = new Timer(() => fired++);
  turn.egress.add({ queued: false, lane: turn, work: () => turn.timers.arm(timer, 200) });
  turn.run(10_000);
  assert.equal(fired, 0);
  turn.run(10_199);
  assert.equal(fired, 0);
  turn.run(10_203);
  assert.equal(fired, 1);
});

test('a fired timer may arm itself, cancel others and arm others', () => {
  const timers = new Timers(0);
  const log: string[] = [];
  const victim = new Timer(() => log.push('victim'));
  const heir = new Timer(() => log.push('heir'));
  const again: Timer = new Timer(() => {
    log.push('again');
    timers.cancel(victim);
    timers.arm(heir, 8);
    if (log.length < 3) timers.arm(again, 4);
  });
  timers.arm(victim, 6);
  timers.arm(again, 5);
  for (let now = 0; now <= 40; now += 4) timers.run(now, whole);
  assert.deepEqual(log, ['again', 'again', 'again', 'heir']);
});
