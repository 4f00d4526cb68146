import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKS, type CheckReport } from '../../src/cli/checklist.ts';
import { needs, needsRoot, needsTun } from '../support/needs.ts';
import { slipway } from './slipway.ts';

test('slow: the demo’s checklist is all well on a namespace guest', async (t) => {
  if (!needsRoot(t) || !needsTun(t) || !needs(t, 'ping')) return;
  const { status, stdout, stderr } = await slipway(t, 'demo', '--json');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Partial<CheckReport> & { event: string });
  assert.deepEqual(
    lines.filter(({ event }) => event === 'check').map(({ name, outcome }) => [name, outcome]),
    CHECKS.map((name) => [name, 'ok']),
    stdout + stderr,
  );
  assert.equal(status, 0);
  assert.equal(stderr, '');
});
