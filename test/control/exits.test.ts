import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SmallSlipway } from './small-slipway.ts';

/** A process that hangs is found all the same, on the busiest machine. */
const SOON_MS = 60_000;

function socketPath(): string {
  const folder = temporaryFolder('test');
  return path.join(folder, 'vm.sock');
}

for (const engine of ['epoll', 'node']) {
  const exits: [string, (slipway: SmallSlipway) => void, number][] = [
    ['SIGINT', (slipway) => slipway.child.kill('SIGINT'), 0],
    ['SIGTERM', (slipway) => slipway.child.kill('SIGTERM'), 0],
    ['SIGQUIT', (slipway) => slipway.child.kill('SIGQUIT'), 0],
    ['process.exit', (slipway) => slipway.tell('exit'), 3],
    ['an uncaught exception', (slipway) => slipway.tell('uncaught'), 1],
    ['the natural end', (slipway) => slipway.child.stdin.end(), 0],
  ];
  for (const [name, provoke, expected] of exits) {
    test(`${name} ends the process soon and removes its socket (${engine})`, async (t) => {
      const socket = socketPath();
      const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
      assert.ok(statSync(socket).isSocket());
      provoke(slipway);
      const { status, tookMs } = await slipway.end();
      assert.equal(status, expected, slipway.stderr);
      assert.ok(tookMs < SOON_MS, `took ${tookMs} ms`);
      assert.equal(existsSync(socket), false);
    });
  }

  test(`a loop that never comes back does not keep the process from ending (${engine})`, async (t) => {
    const socket = socketPath();
    const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
    slipway.tell('spin, then exit');
    const { status, tookMs } = await slipway.end();
    assert.equal(status, 3, slipway.stderr);
    assert.ok(tookMs < SOON_MS, `took ${tookMs} ms`);
    assert.equal(existsSync(socket), false);
  });

  test(`a stop ends a loop that never comes back, and then well (${engine})`, async (t) => {
    const socket = socketPath();
    const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
    slipway.tell('spin');
    slipway.child.kill('SIGTERM');
    const { status, tookMs } = await slipway.end();
    assert.equal(status, 0, slipway.stderr);
    assert.ok(tookMs < SOON_MS, `took ${tookMs} ms`);
    assert.equal(existsSync(socket), false);
  });

  for (const [how, end] of [
    ['an exit', 'block, then exit'],
    ['a stop', 'block, then stop'],
  ] as const) {
    test(`${how} kills the process whose network thread sits in a system call, and leaves no socket (${engine})`, async (t) => {
      const socket = socketPath();
      const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
      slipway.tell(end);
      const { signal, tookMs } = await slipway.end();
      assert.equal(signal, 'SIGKILL');
      assert.ok(tookMs < SOON_MS, `took ${tookMs} ms`);
      assert.match(slipway.stderr, /stuck in a system call; killing the process/);
      assert.equal(existsSync(socket), false);
    });
  }
}
