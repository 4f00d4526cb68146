import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SlipwayProcess } from '../cli/slipway.ts';
import { canRunDockerd } from '../support/dockerd.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests } from '../support/slipway.ts';
import { refusedPort } from '../support/sockets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const LIMITS = { timeout: 120_000 };

function canRunDemo(t: TestContext): boolean {
  return canRunGuests(t) && canRunDockerd(t) && existsSync('/bin/busybox');
}

function docker(socket: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('docker', ['--host', `unix://${socket}`, ...args], (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr));
    });
  });
}

/** The page at that port, once what serves it listens. */
async function page(port: number): Promise<string> {
  for (;;) {
    try {
      return await (await fetch(`http://localhost:${port}/`)).text();
    } catch (error) {
      const { code } = (error as Error).cause as NodeJS.ErrnoException;
      assert.ok(code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'UND_ERR_SOCKET', code);
    }
  }
}

test('slipway docker demo: a container’s port is the host’s, and Ctrl-C leaves nothing', LIMITS, async (t) => {
  if (!canRunDemo(t)) return;
  const socket = join(temporaryFolder('docker-demo'), 'docker.sock');
  const demo = new SlipwayProcess(t, 'docker', 'demo', '--socket', socket);
  await demo.prints(/Ctrl-C ends it/);
  assert.ok(demo.stdout.includes(`export DOCKER_HOST=unix://${socket}\n`), demo.stdout);
  assert.match(demo.stdout, /docker run -d -p 8080:80 web\n/);
  assert.equal(statSync(socket).mode & 0o777, 0o600);

  const port = await refusedPort(t);
  await docker(socket, 'run', '-d', '--name', 'one', '-p', `${port}:80`, 'web');
  assert.match(await page(port), /It works/);
  await docker(socket, 'rm', '-f', 'one');
  await assert.rejects(fetch(`http://localhost:${port}/`));
  await docker(socket, 'run', '-d', '-p', `${port}:80`, 'web');
  assert.match(await page(port), /It works/);

  const pid = demo.child.pid!;
  assert.equal(
    foldersOf(pid).some((folder) => folder.startsWith('/tmp/')),
    true,
  );
  const inside = processesBelow(pid);
  assert.ok(inside.length > 2, 'dockerd and its container');
  demo.child.kill('SIGINT');
  assert.deepEqual(await demo.end(), { status: 0, stdout: demo.stdout, stderr: '' });
  assert.deepEqual(
    inside.filter((one) => existsSync(`/proc/${one}`)),
    [],
  );
  assert.deepEqual(foldersOf(pid), []);
  assert.equal(readFileSync('/proc/self/mounts', 'utf8').includes('docker-data'), false);
  assert.equal(existsSync(socket), false);
  await assert.rejects(fetch(`http://localhost:${port}/`));
});

/** What the demo of that process keeps outside of its guest. */
function foldersOf(pid: number): readonly string[] {
  return globSync([`/tmp/slipway-docker-${pid}-*`, `/sys/fs/cgroup/**/slipway-docker-${pid}`]);
}

/** What the demo says where `stand` is in the place of this computer's dockerd. */
function withoutDockerd(
  stand: string,
): Promise<{ readonly status: number; readonly stderr: string; readonly left: readonly string[] }> {
  const hide = 'for one in $(which -a dockerd); do mount --bind "$0" "$one"; done; exec "$@" docker demo';
  const command = ['--mount', '--propagation', 'private', 'sh', '-c', hide, stand, process.execPath, MAIN];
  const env = { ...process.env, XDG_RUNTIME_DIR: temporaryFolder('docker-demo') };
  return new Promise((resolve) => {
    const { pid } = execFile('unshare', command, { env }, (error, _, stderr) => {
      resolve({ status: Number(error?.code ?? 0), stderr, left: foldersOf(pid!) });
    });
  });
}

test(
  'without a dockerd the demo says what to install, and one that ends has its last words shown',
  LIMITS,
  async (t) => {
    if (!canRunDemo(t) || !needs(t, 'unshare', 'mount', 'which')) return;
    const missing = await withoutDockerd('/dev/null');
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /dockerd: not installed.*\n.*apt-get install docker\.io.*\n.*ERR_DOCKER_MISSING/);
    const failing = join(temporaryFolder('docker-demo'), 'dockerd');
    writeFileSync(failing, '#!/bin/sh\necho the disk is on fire >&2\nexit 1\n', { mode: 0o755 });
    const failed = await withoutDockerd(failing);
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /dockerd ended before it answered:\n *the disk is on fire[\s\S]*ERR_DOCKER_FAILED/);
    assert.deepEqual([...missing.left, ...failed.left], []);
  },
);

test('a demo that is killed takes its guest along, and the next one removes the rest', LIMITS, async (t) => {
  if (!canRunDemo(t)) return;
  const demo = new SlipwayProcess(t, 'docker', 'demo', '--socket', join(temporaryFolder('docker-demo'), 'docker.sock'));
  await demo.prints(/Ctrl-C ends it/);
  const inside = processesBelow(demo.child.pid!);
  demo.child.kill('SIGKILL');
  await demo.end();
  while (inside.some(lives)) await delay(20);
  assert.ok(foldersOf(demo.child.pid!).length > 0);
  const next = new SlipwayProcess(t, 'docker', 'demo', '--socket', join(temporaryFolder('docker-demo'), 'docker.sock'));
  await next.prints(/Ctrl-C ends it/);
  assert.deepEqual(foldersOf(demo.child.pid!), []);
  next.child.kill('SIGTERM');
  assert.equal((await next.end()).status, 0);
});

/** False too for one that has ended, and whose parent has not asked how. */
function lives(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** All processes that came of this one. */
function processesBelow(pid: number): number[] {
  const tasks = globSync(`/proc/${pid}/task/*/children`);
  const children = tasks.flatMap((file) => readFileSync(file, 'utf8').trim().split(' ')).filter((one) => one !== '');
  return children.flatMap((child) => [Number(child), ...processesBelow(Number(child))]);
}
