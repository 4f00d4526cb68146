import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { needsTun } from '../support/needs.ts';

const folder = path.resolve(import.meta.dirname, '../../examples');

function run(example: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [path.join(folder, example), ...args], { encoding: 'utf8', timeout: 120_000 });
}

test('examples/in-memory.ts: a whole network in one process', () => {
  const { status, stdout, stderr } = run('in-memory.ts');
  assert.equal(stderr, '');
  assert.match(stdout, /^192\.168\.65\.3 asked 192\.168\.65\.254:\d+: hello from this computer\n$/);
  assert.equal(status, 0);
});

test('examples/run-command.ts: the command has the network, and its status is the example’s', (t) => {
  if (!needsTun(t)) return;
  const { status, stdout, stderr } = run('run-command.ts', 'sh', '-c', 'grep nameserver /etc/resolv.conf; exit 7');
  assert.equal(stdout, 'nameserver 192.168.65.1\n');
  assert.match(stderr, /^forward tcp:127\.0\.0\.1:\d+ waiting$/m);
  assert.match(stderr, /^guest tap0 attached$/m);
  assert.equal(status, 7);
});

test('examples/run-command.ts: what cannot run is refused with its code', (t) => {
  if (!needsTun(t)) return;
  const { status, stderr } = run('run-command.ts', 'no-such-command');
  assert.match(stderr, /^ERR_COMMAND_NOT_FOUND: /m);
  assert.equal(status, 1);
});
