import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { needs, needsRoot, needsTun } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess, slipway } from './slipway.ts';

test('a command that does not exist ends with 127 and says so', async (t) => {
  if (!needsTun(t)) return;
  const { status, stderr } = await slipway(t, 'run', '--', 'no-such-command-here');
  assert.equal(status, 127);
  assert.match(stderr, /no-such-command-here[\s\S]*ERR_COMMAND_NOT_FOUND/);
});

test('a mistake in the flags of run ends with 125, its own failure', async (t) => {
  const { status, stderr } = await slipway(t, 'run', '--subnet', '127.0.0.0/8', '--', 'true');
  assert.equal(status, 125);
  assert.match(stderr, /ERR_ADDRESSES/);
});

test('the exit status and the streams of the command pass through, and flags after it are its own', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const { status, stdout, stderr } = await slipway(
    t,
    'run',
    'sh',
    '-c',
    'echo out; echo err >&2; exit 7',
    '--mtu',
    '3',
  );
  assert.equal(stdout, 'out\n');
  assert.equal(stderr, 'err\n');
  assert.equal(status, 7);
});

test('the command has the environment of its caller, nothing added', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const print = 'console.log(JSON.stringify(process.env))';
  const { stdout } = await slipway(t, 'run', '--', process.execPath, '-e', print);
  // The folder that every process of these tests has for itself.
  assert.deepEqual({ ...JSON.parse(stdout), XDG_RUNTIME_DIR: '' }, { ...process.env, XDG_RUNTIME_DIR: '' });
});

test('the command stands in the network that the flags describe', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const script =
    'cat /etc/resolv.conf /proc/net/route; cat /sys/class/net/*/mtu 2>/dev/null; hostname -I 2>/dev/null; true';
  const { stdout } = await slipway(t, 'run', '--subnet', '10.99.0.0/24', '--', 'sh', '-c', script);
  assert.match(stdout, /nameserver 10\.99\.0\.1\n/);
  assert.match(stdout, /tap0\s+00000000\s+0100630A/);
});

test('a signal to slipway run reaches the command, and its end by a signal is 128 + n', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const run = new SlipwayProcess(t, 'run', '--', 'sh', '-c', 'echo ready; exec sleep 60');
  await run.prints(/ready/);
  run.child.kill('SIGTERM');
  assert.equal((await run.end()).status, 143);
});

test('a signal that comes before the command is there ends slipway run and leaves no control socket', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const socket = `${temporaryFolder('run')}/control.sock`;
  const run = new SlipwayProcess(t, 'run', '--control', socket, '--', 'sleep', '60');
  while (!run.stderr.includes('control socket')) await once(run.child.stderr, 'data');
  run.child.kill('SIGTERM');
  assert.equal((await run.end()).status, 143);
  assert.equal(existsSync(socket), false);
});

test('the guest’s resolver gets answers over UDP and over TCP', async (t) => {
  if (!needsRoot(t) || !needsTun(t) || !needs(t, 'dig')) return;
  for (const transport of ['+notcp', '+tcp']) {
    const { stdout } = await slipway(t, 'run', '--', 'dig', '+short', '+tries=1', transport, 'host.docker.internal');
    assert.equal(stdout, '192.168.65.254\n', transport);
  }
});

test('--no-host-loopback closes the way to the host’s own servers', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const server = createServer((socket) => socket.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const guest = `require('node:net').connect(${port}, 'host.docker.internal').on('error', (e) => console.log(e.code)).on('data', (d) => console.log(String(d)))`;
  const open = await slipway(t, 'run', '--', process.execPath, '-e', guest);
  assert.equal(open.stdout, 'hello\n');
  const closed = await slipway(t, 'run', '--no-host-loopback', '--', process.execPath, '-e', guest);
  assert.match(closed.stdout, /^E[A-Z]+\n$/);
});
