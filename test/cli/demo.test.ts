import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CHECKS, type CheckReport } from '../../src/cli/checklist.ts';
import { needs, needsRoot, needsTun } from '../support/needs.ts';
import { type Ended, slipway } from './slipway.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

interface Line extends Partial<CheckReport> {
  readonly event: string;
  readonly kind?: string;
  readonly reason?: string;
}

/** All checks are ok; returns what was said of the guest. */
function allWell({ status, stdout, stderr }: Ended): Line | undefined {
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  assert.deepEqual(
    lines.filter(({ event }) => event === 'check').map(({ name, outcome }) => [name, outcome]),
    CHECKS.map((name) => [name, 'ok']),
    stdout + stderr,
  );
  assert.equal(status, 0);
  return lines.find(({ event }) => event === 'guest');
}

/** Runs `command` to its end, with this environment added. */
function ran(command: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
  const [program = '', ...args] = command;
  return spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env } });
}

function needsNamespaces(t: TestContext): boolean {
  return needsRoot(t) && needsTun(t) && needs(t, 'ping');
}

test('slow: the demo’s checklist is all well on a namespace guest', async (t) => {
  if (!needsNamespaces(t)) return;
  const ended = await slipway(t, 'demo', '--json');
  assert.match(allWell(ended)?.kind ?? '', /namespace/);
  assert.equal(ended.stderr, '');
});

test('slow: the demo’s checklist is all well on a guest in memory', () => {
  const guest = allWell(ran([process.execPath, MAIN, 'demo', '--json'], { SLIPWAY_DEMO_GUEST: 'memory' }));
  assert.match(guest?.kind ?? '', /in memory/);
});

test('slow: with the portable engine, which has no taps, the demo’s guest is in memory', async (t) => {
  const guest = allWell(await slipway(t, 'demo', '--json', '--host-engine', 'node'));
  assert.match(guest?.kind ?? '', /in memory/);
  assert.match(guest?.reason ?? '', /no tap devices/);
});

test('slow: without /dev/net/tun the demo’s guest is in memory, and the reason is told', (t) => {
  if (!needsRoot(t) || !needs(t, 'unshare', 'mount')) return;
  const hide = 'mount -t tmpfs none /dev/net && exec "$@"';
  const demo = [process.execPath, MAIN, 'demo', '--json'];
  const guest = allWell(ran(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', hide, 'sh', ...demo]));
  assert.match(guest?.reason ?? '', /There is no usable \/dev\/net\/tun/);
});
