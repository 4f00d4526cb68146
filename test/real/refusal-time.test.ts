import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { dial, endingOf, refusedPort } from '../support/sockets.ts';

test('a refusal reaches the guest within 100 ms', async (t) => {
  if (!canRunGuests(t)) return;
  const { guest } = await Slipway.start(t);
  const port = await refusedPort(t);
  let fastestMs = Number.POSITIVE_INFINITY;
  // The fastest of ten: a busy machine delays some, a time limit on the way would delay all.
  for (let i = 0; i < 10; i++) {
    const begun = performance.now();
    assert.equal(await endingOf(dial(t, guest, port, HOST)), 'ECONNREFUSED');
    fastestMs = Math.min(fastestMs, performance.now() - begun);
  }
  assert.ok(fastestMs < 100, `${fastestMs.toFixed(1)} ms`);
});
