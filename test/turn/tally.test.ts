import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tally } from '../../src/turn/tally.ts';

test('a tally counts for each owner, and never below nothing', () => {
  const tally = new Tally<string>();
  tally.add('alice');
  tally.add('alice');
  tally.add('bob');
  tally.drop('alice');
  tally.drop('bob');
  tally.drop('bob');
  assert.deepEqual([tally.of('alice'), tally.of('bob'), tally.of('carol')], [1, 0, 0]);
});
