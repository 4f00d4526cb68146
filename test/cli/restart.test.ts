import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as passes } from 'node:timers/promises';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { BUILT, slipway } from './slipway.ts';

/** What a supervisor does (Restart=on-failure): again after a failure or a signal, not after a good end. */
const SUPERVISOR = 'until "$@"; do echo again; done; echo well';

/** The answer of the daemon that is there, or will be. */
async function ask(socketPath: string, url: string): Promise<unknown> {
  for (;;) {
    const text = await new Promise<string>((resolve) => {
      let body = '';
      const asking = request({ socketPath, path: url }, (answer) => {
        answer.on('data', (bytes) => {
          body += String(bytes);
        });
        answer.on('end', () => resolve(body));
        answer.on('error', () => resolve(''));
      });
      asking.on('error', () => resolve(''));
      asking.end();
    });
    if (text !== '') return JSON.parse(text) as unknown;
    await passes(50);
  }
}

test('a daemon that is killed is started again by its supervisor, with its forwards and leases and at its sockets', {
  timeout: 120_000,
}, async (t) => {
  const folder = temporaryFolder('restart');
  const control = path.join(folder, 'control.sock');
  const lease = { address: '192.168.65.42', mac: '5a:94:ef:00:00:01', client: '01:5a94ef000001', name: 'vm' };
  const times = { ends: new Date(Date.now() + 3_600_000).toISOString(), seen: new Date().toISOString() };
  writeFileSync(
    path.join(folder, 'leases-192.168.65.0-24.json'),
    JSON.stringify({ version: 1, subnet: '192.168.65.0/24', leases: [{ ...lease, ...times }] }),
  );
  const args = ['up', '--state', folder, '--control', control, '--listen', `qemu+unix://${folder}/vm.sock`];
  const supervisor = spawn('sh', ['-c', SUPERVISOR, 'sh', process.execPath, BUILT, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(supervisor, 'close');
  let said = '';
  supervisor.stdout.on('data', (bytes) => {
    said += String(bytes);
  });
  const pidOf = async (): Promise<number> =>
    Number(((await ask(control, '/v1/status')) as { readonly pid: number }).pid);
  let pid = await pidOf();
  t.after(() => {
    if (supervisor.exitCode !== null) return;
    supervisor.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
  });
  const exposed = await slipway(
    t,
    'ports',
    'expose',
    '--control',
    control,
    '--persistent',
    '--unix',
    `${folder}/web.sock`,
    '80',
  );
  const forwards = await ask(control, '/v1/forwards');
  assert.equal(exposed.status, 0, exposed.stderr);

  const before = pid;
  process.kill(pid, 'SIGKILL');
  while (pid === before) pid = await pidOf();
  assert.deepEqual(await ask(control, '/v1/forwards'), forwards);
  assert.match(JSON.stringify(forwards), /web\.sock/);
  const leases = JSON.stringify(await ask(control, '/v1/leases'));
  assert.ok(leases.includes(lease.address), leases);

  process.kill(pid, 'SIGTERM');
  await ended;
  assert.match(said, /again\n[\s\S]*well\n$/);
});
