import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { needsRoot, needsTun } from '../support/needs.ts';
import { BUILT } from './slipway.ts';

const START = fileURLToPath(new URL('../../scripts/start.ts', import.meta.url));

test('npm start -- COMMAND runs COMMAND in a network of its own and ends with its status', (t) => {
  if (!existsSync(BUILT)) return t.skip('needs npm run build');
  if (!needsRoot(t) || !needsTun(t)) return;
  const script = 'readlink /proc/self/ns/net; cat /proc/net/dev; exit 7';
  const { status, stdout, stderr } = spawnSync(process.execPath, [START, 'sh', '-c', script], { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 7);
  assert.match(stdout, /^ *tap0:/m);
  assert.notEqual(stdout.split('\n')[0], readlinkSync('/proc/self/ns/net'));
});
