import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { stateFolder } from '../../src/config/state.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess } from './slipway.ts';

const LISTEN = ['--listen', 'qemu+tcp://127.0.0.1:0'] as const;
const FILE = 'leases-192.168.65.0-24.json';

test('a daemon holds the leases of its state folder, a second one says whose they are and serves on', async (t) => {
  const folder = temporaryFolder('state');
  const first = new SlipwayProcess(t, 'up', '--state', folder, ...LISTEN);
  const [, pid] = await first.prints(/process (\d+); Ctrl-C ends it/);
  assert.ok(readdirSync(folder).includes(`${FILE}.lock`));
  const second = new SlipwayProcess(t, 'up', '--state', folder, ...LISTEN);
  await second.prints(/Ctrl-C ends it/);
  const config = path.join(folder, 'other.yaml');
  writeFileSync(config, `state: ${folder}\nnetwork: { subnet: 10.88.0.0/24 }\n`);
  const other = new SlipwayProcess(t, 'up', '--config', config, ...LISTEN);
  await other.prints(/Ctrl-C ends it/);
  const [, said, nothing] = await Promise.all(
    [first, second, other].map(async (daemon) => {
      daemon.child.kill('SIGTERM');
      return (await daemon.end()).stderr;
    }),
  );
  assert.match(said ?? '', new RegExp(`process ${pid} keeps its leases in .*${FILE} already.*--state`));
  assert.equal(nothing, '');
  assert.deepEqual(readdirSync(folder), ['other.yaml']);
});

test('a daemon that is told to end while it starts leaves no lock in its state folder', async (t) => {
  const folder = temporaryFolder('state');
  const up = new SlipwayProcess(t, 'up', '--state', folder, '--control', 'none', ...LISTEN);
  // No timer: it must be between the lock and the first line.
  while (!readdirSync(folder).includes(`${FILE}.lock`)) await new Promise(setImmediate);
  up.child.kill('SIGTERM');
  assert.equal((await up.end()).status, 0, up.stderr);
  assert.deepEqual(readdirSync(folder), []);
});

test('the state folder follows the XDG base directories, and there is none without a home', () => {
  assert.equal(stateFolder({ HOME: '/home/me', XDG_STATE_HOME: '/var/me/' }), '/var/me/slipway');
  assert.equal(stateFolder({ HOME: '/home/me', XDG_STATE_HOME: 'relative' }), '/home/me/.local/state/slipway');
  assert.equal(stateFolder({ HOME: '/home/me/' }), '/home/me/.local/state/slipway');
  assert.equal(stateFolder({}), '');
});
