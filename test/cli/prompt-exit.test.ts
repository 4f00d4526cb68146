import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { needs, needsRoot } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** A computer whose only nameserver is behind a link that swallows everything. */
const DEAD_HOST = `
mount --bind "$1" /etc/resolv.conf
ip link add swallow type veth peer name nobody
ip address add 192.0.2.1/24 dev swallow
ip link set swallow up
ip link set nobody up
ip neighbour add 192.0.2.53 lladdr 02:00:00:00:00:01 dev swallow
shift
exec "$@"`;

test('the process ends while the operating system still looks a dead name up, with its own status', async (t) => {
  if (!needsRoot(t) || !needs(t, 'unshare', 'mount', 'ip')) return;
  const folder = temporaryFolder('exit');
  const resolvConf = path.join(folder, 'resolv.conf');
  // getaddrinfo would come back after two and a half minutes.
  writeFileSync(resolvConf, 'nameserver 192.0.2.53\noptions timeout:30 attempts:5\n');
  const command = [process.execPath, MAIN, 'dns', 'lookup', 'dead.example'];
  const ended = await new Promise<{ status: unknown; stdout: string; killed: boolean }>((resolve) => {
    execFile(
      'unshare',
      ['--mount', '--net', 'sh', '-ec', DEAD_HOST, 'sh', resolvConf, ...command],
      { timeout: 60_000, killSignal: 'SIGKILL' },
      (error, stdout) => resolve({ status: error?.code, stdout, killed: error?.killed === true }),
    );
  });
  assert.match(ended.stdout, /SERVFAIL/);
  assert.deepEqual([ended.status, ended.killed], [4, false]);
});
