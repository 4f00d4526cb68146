import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fittingLimits } from '../../src/config/limits.ts';

const WANTED = { flows: 65_536, dialsInFlight: 8192, udpMappings: 4096, guests: 64 };

test('with many descriptors nothing is taken away', () => {
  assert.deepEqual(fittingLimits(WANTED, 1_048_576), WANTED);
});

test('with 20,000 descriptors the flows get what is left', () => {
  assert.deepEqual(fittingLimits(WANTED, 20_000), { ...WANTED, flows: 20_000 - 768 - 64 - 4096 });
});

test('never more than wanted, and together never more than there are', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 16, max: 100_000 }),
      fc.integer({ min: 1024, max: 2 ** 20 }),
      (flows, descriptors) => {
        const fitted = fittingLimits({ ...WANTED, flows }, descriptors);
        assert.ok(
          fitted.flows <= flows && fitted.dialsInFlight <= fitted.flows && fitted.udpMappings <= WANTED.udpMappings,
        );
        assert.ok(fitted.flows + fitted.udpMappings + fitted.guests + 256 <= descriptors);
      },
    ),
  );
});
