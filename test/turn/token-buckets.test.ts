import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBuckets } from '../../src/turn/token-buckets.ts';

test('each owner has a bucket of its own, which fills with time', () => {
  const buckets = new TokenBuckets(1000, 2);
  const [alice, bob] = [{}, {}];
  assert.deepEqual(
    [1, 2, 3].map(() => buckets.take(alice, 10)),
    [true, true, false],
  );
  assert.equal(buckets.take(bob, 10), true);
  assert.equal(buckets.take(alice, 11), true);
});
