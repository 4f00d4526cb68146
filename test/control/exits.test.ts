import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SmallSlipway } from './small-slipway.ts';

/** The promise is one second; a busy test machine gets more, a process that hangs is found all the same. */
const SOON_MS = 5000;

function socketPath(): string {
  const folder = temporaryFolder('test');
  return path.join(folder, 'vm.sock');
}

for (const engine of ['epoll', 'node']) {
  const exits: [string, (slipway: SmallSlipway) => void, number][] = [
    ['SIGINT', (slipway) => slipway.child.kill('SIGINT'), 130],
    ['SIGTERM', (slipway) => slipway.child.kill('SIGTERM'), 143],
    ['SIGHUP', (slipway) => slipway.child.kill('SIGHUP'), 129],
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
    const { signal, tookMs } = await slipway.end();
    assert.equal(signal, 'SIGKILL');
    assert.ok(tookMs < SOON_MS, `took ${tookMs} ms`);
    assert.match(slipway.stderr, /does not stop; killing the process/);
    assert.equal(existsSync(socket), false);
  });
}
