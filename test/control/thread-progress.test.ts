import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as passes } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Idleness, ThreadProgress } from '../../src/control/thread-progress.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SmallSlipway } from './small-slipway.ts';

const PROGRESS = JSON.stringify(new URL('../../src/control/thread-progress.ts', import.meta.url).href);

/** A thread that tells what it is called, then does `work`. */
async function threadThat(t: TestContext, work: string): Promise<ThreadProgress> {
  const code = `import(${PROGRESS}).then(({ ownThreadId }) => {
    require('node:worker_threads').parentPort.postMessage(ownThreadId());
    ${work}
  });`;
  const worker = new Worker(code, { eval: true });
  t.after(() => worker.terminate());
  const [thread] = (await once(worker, 'message')) as [number];
  assert.ok(thread > 0);
  return new ThreadProgress(() => thread);
}

/** Looks without a sign of life until `wanted` holds. */
async function looks(progress: ThreadProgress, wanted: (idleness: Idleness) => boolean): Promise<Idleness> {
  for (;;) {
    const idleness = progress.look(0);
    if (wanted(idleness)) return idleness;
    await passes(20);
  }
}

test('a thread that sits in one call is blocked, and takes no processor time', { timeout: 60_000 }, async (t) => {
  const progress = await threadThat(t, 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)');
  const { busyMs } = await looks(progress, ({ blockedLooks }) => blockedLooks >= 10);
  assert.ok(busyMs < 1000, `${busyMs} ms`);
});

test('a thread in a loop that never comes back is busy, and never blocked', { timeout: 60_000 }, async (t) => {
  const progress = await threadThat(t, 'for (;;);');
  let blocked = 0;
  await looks(progress, ({ busyMs, blockedLooks }) => {
    blocked = Math.max(blocked, blockedLooks);
    return busyMs >= 300;
  });
  assert.equal(blocked, 0);
});

test('a sign of life starts both counts anew', { timeout: 60_000 }, async (t) => {
  const progress = await threadThat(t, 'for (;;);');
  await looks(progress, ({ busyMs }) => busyMs >= 300);
  assert.deepEqual(progress.look(1), { busyMs: 0, blockedLooks: 0, gone: false });
});

test('a network thread that gets no processor is waited for, not killed', { timeout: 120_000 }, async (t) => {
  if (!needs(t, 'chrt', 'taskset')) return;
  const socket = path.join(temporaryFolder('test'), 'vm.sock');
  const slipway = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  const { pid } = slipway.child;
  const network = readdirSync(`/proc/${pid}/task`).find(
    (thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === 'network',
  );
  const [first] = /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.slice(1) ?? [];
  const others = spawn('taskset', ['-c', first!, process.execPath, '-e', 'for (;;);']);
  t.after(() => others.kill('SIGKILL'));
  // All threads but the main one: whichever is the network's, it has next to nothing beside the loop on its processor.
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    if (Number(thread) === pid || (network !== undefined && thread !== network)) continue;
    execFileSync('taskset', ['-pc', first!, thread], { stdio: 'ignore' });
    execFileSync('chrt', ['-i', '-p', '0', thread], { stdio: 'ignore' });
  }
  slipway.child.kill('SIGTERM');
  // Longer than what a thread in one call is given.
  while (cpuSeconds(others.pid!) < 5) await passes(100);
  others.kill('SIGKILL');
  const { status, signal } = await slipway.end();
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, slipway.stderr);
});

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
