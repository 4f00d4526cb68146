import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { needs } from '../support/needs.ts';
import { canRunGuests } from '../support/slipway.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess, slipway } from './slipway.ts';

const LISTEN = ['--listen', 'qemu+tcp://127.0.0.1:0'];

/** A daemon with its control socket in a folder of the test. */
async function daemon(t: TestContext, ...flags: readonly string[]): Promise<{ up: SlipwayProcess; socket: string }> {
  const folder = temporaryFolder('test');
  const socket = path.join(folder, 'control.sock');
  const up = new SlipwayProcess(t, 'up', ...LISTEN, '--control', socket, ...flags);
  await up.prints(/Ctrl-C ends it\n|^\{.*\}\n/);
  return { up, socket };
}

/** A port of loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { readonly port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a port is published while the daemon runs, listed for people and programs, and closed', async (t) => {
  const { socket } = await daemon(t);
  const control = ['--control', socket];
  assert.equal((await slipway(t, 'ports', 'ls', ...control)).stdout, 'no port is published\n');
  const exposed = await slipway(
    t,
    'ports',
    'expose',
    ...control,
    '127.0.0.1::80',
    '--guest',
    '192.168.65.7',
    '--proxy',
    'v1',
  );
  assert.equal(exposed.status, 0, exposed.stderr);
  const port = /^tcp +127\.0\.0\.1:(\d+) +192\.168\.65\.7:80 +cli +0 +waiting: .*192\.168\.65\.7/m.exec(
    exposed.stdout,
  )?.[1];
  assert.ok(port !== undefined, exposed.stdout);
  const listed = await slipway(t, 'ports', 'ls', '--json', ...control);
  const { forwards } = JSON.parse(listed.stdout) as {
    readonly forwards: readonly { proxy: string; boundPort: number }[];
  };
  assert.deepEqual(
    forwards.map(({ proxy, boundPort }) => [proxy, boundPort]),
    [['v1', Number(port)]],
  );
  const slip = await slipway(t, 'ports', 'unexpose', ...control, `127.0.0.2:${port}`);
  assert.match(
    slip.stderr,
    new RegExp(`nothing is published at 127.0.0.2:${port}\\n +Do you mean 127.0.0.1:${port}\\?`),
  );
  // The only one of that port.
  const closed = await slipway(t, 'ports', 'unexpose', ...control, `${port}`);
  assert.equal(closed.status, 0, closed.stderr);
  assert.match(closed.stdout, /is no longer published\n$/);
  const again = await slipway(t, 'ports', 'unexpose', ...control, `127.0.0.1:${port}`);
  assert.equal(again.status, 3);
  assert.match(again.stderr, /ERR_FORWARD_NOT_FOUND/);
});

test('ports are published all or none, and a conflict names who holds the port', async (t) => {
  const { socket } = await daemon(t);
  const control = ['--control', socket];
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { readonly port: number };
  const free = await freePort();
  const refused = await slipway(t, 'ports', 'expose', ...control, `127.0.0.1:${free}:80`, `127.0.0.1:${port}:81`);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, new RegExp(`address already in use[\\s\\S]*pid ${process.pid}[\\s\\S]*ERR_PORT_IN_USE`));
  assert.equal((await slipway(t, 'ports', 'ls', ...control)).stdout, 'no port is published\n');
});

test('up -p publishes from the start, as docker run -p does, and says where', async (t) => {
  const free = await freePort();
  const { up, socket } = await daemon(t, '-p', `127.0.0.1:${free}:80`, '-p', '127.0.0.1::53/udp');
  assert.match(up.stdout, new RegExp(`^publishing tcp 127\\.0\\.0\\.1:${free} → 80 \\(`, 'm'));
  assert.match(up.stdout, /^publishing udp 127\.0\.0\.1:[1-9]\d* → 53/m);
  assert.match(up.stdout, new RegExp(`^control at ${socket}$`, 'm'));
  const status = await slipway(t, 'status', '--control', socket);
  assert.match(status.stdout, new RegExp(`^slipway [\\d.]+, process ${up.child.pid}, engine `));
  assert.match(status.stdout, new RegExp(`^control at ${socket}$`, 'm'));
  assert.match(status.stdout, /no guest is attached/);
  assert.match(status.stdout, new RegExp(`^tcp +127\\.0\\.0\\.1:${free} `, 'm'));
  const json = JSON.parse((await slipway(t, 'status', '--json', '--control', socket)).stdout) as Record<
    string,
    unknown
  >;
  assert.deepEqual([json.pid, json.control], [up.child.pid, socket]);
  assert.ok(Object.values(json.counters as object).every((count) => count !== 0));
  const wrong = await slipway(t, 'up', ...LISTEN, '-p', '80:x');
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /--publish: expected a port of the guest .*\n[\s\S]*ERR_USAGE/);
});

test('a port that the host chose for the configuration is told at the start, one that was given is not', async (t) => {
  const free = await freePort();
  const config = path.join(temporaryFolder('test'), 'slipway.yaml');
  writeFileSync(config, `forwards: ["127.0.0.1::53/udp", "127.0.0.1:${free}:80", { host: 0, guest: 8080 }]\n`);
  const { up } = await daemon(t, '--config', config);
  const lines = up.stdout.split('\n').filter((line) => line.startsWith('publishing '));
  assert.equal(lines.length, 2, up.stdout);
  assert.match(lines[0]!, /^publishing tcp \*:[1-9]\d* → 8080/);
  assert.match(lines[1]!, /^publishing udp 127\.0\.0\.1:[1-9]\d* → 53/);
});

test('up -p takes a port that was kept for another target, and two flags that collide say what to do', async (t) => {
  const free = await freePort();
  const state = ['--state', temporaryFolder('state')];
  const first = await daemon(t, ...state);
  const exposed = await slipway(
    t,
    ...['ports', 'expose', '--control', first.socket, '--persistent', `127.0.0.1:${free}:80`],
  );
  assert.equal(exposed.status, 0, exposed.stderr);
  first.up.child.kill('SIGTERM');
  await first.up.end();
  const second = await daemon(t, ...state, '-p', `127.0.0.1:${free}:90`);
  assert.match(second.up.stdout, new RegExp(`^publishing tcp 127\\.0\\.0\\.1:${free} → 90`, 'm'));
  second.up.child.kill('SIGTERM');
  const { stderr } = await second.up.end();
  assert.match(
    stderr,
    new RegExp(
      `tcp:127\\.0\\.0\\.1:${free} → the first guest:80, kept by .* is left out and stays kept: .* conflicts with`,
    ),
  );
  const twice = await slipway(t, 'up', ...LISTEN, '-p', `127.0.0.1:${free}:80`, '-p', `127.0.0.1:${free}:81`);
  assert.match(twice.stderr, /conflicts with[^\n]*\n {2}Remove one of the two[\s\S]*ERR_FORWARD_EXISTS/);
});

test('up --forward-sock gives a socket of a guest a path here, with gvproxy’s four flags', async (t) => {
  const folder = temporaryFolder('test');
  const [first, second, key] = ['first.sock', 'second.sock', 'key'].map((name) => path.join(folder, name));
  writeFileSync(key!, 'no key yet');
  const flagsOf = (socket: string, dest: string): string[] => {
    return ['--forward-sock', socket, '--forward-dest', dest, '--forward-user', 'core', '--forward-identity', key!];
  };
  const sockets = [...flagsOf(`unix://${first}`, '/run/podman/podman.sock'), ...flagsOf(second!, '/run/docker.sock')];
  const { up } = await daemon(t, ...sockets);
  assert.match(
    up.stdout,
    new RegExp(`^publishing unix ${first} → core@guest:/run/podman/podman.sock \\(its sshd is dialled when`, 'm'),
  );
  assert.match(
    up.stdout,
    new RegExp(`^publishing unix ${second} → core@guest:/run/docker.sock \\(its sshd is dialled when`, 'm'),
  );
  assert.ok(statSync(first!).isSocket());
  assert.equal(statSync(first!).mode & 0o777, 0o600);
  const missing = await slipway(t, 'up', ...LISTEN, ...sockets.slice(0, -2));
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /--forward-identity belong together, found 2, 2, 2, 1 of them[\s\S]*ERR_USAGE/);
  const relative = await slipway(t, 'up', ...LISTEN, ...flagsOf(first!, 'podman.sock'));
  assert.match(relative.stderr, /--forward-dest: expected an absolute path of at most 107 bytes[\s\S]*ERR_USAGE/);
});

test('without a daemon the commands name the socket and how to start one', async (t) => {
  for (const words of [['status'], ['ports', 'ls'], ['ports', 'expose', '80'], ['ports', 'unexpose', '80']]) {
    const ended = await slipway(t, ...words);
    assert.equal(ended.status, 4, ended.stderr);
    assert.match(
      ended.stderr,
      /control socket \/\S+\/slipway\/control\.sock: no slipway is running there\n.*slipway up --listen/,
    );
    assert.match(ended.stderr, /ERR_CONTROL_UNREACHABLE/);
  }
  const slip = await slipway(t, 'ports', 'expose', '80:x');
  assert.equal(slip.status, 2);
  assert.match(slip.stderr, /PORTS: expected a port of the guest .* found "80:x"/);
});

test('a slip in a flag of expose is named by that flag, without a daemon', async (t) => {
  for (const [flags, said] of [
    [['--guest', 'foo'], '--guest: expected an IPv4 address'],
    [['--source', 'x'], '--source: expected one of client, gateway'],
    [['--proxy', 'v3'], '--proxy: expected one of none, v1, v2'],
    [['--wait', '3601'], '--wait: expected an integer from 0 to 3600'],
    [['--unix', ''], '--unix: expected an absolute path of at most 107 bytes'],
  ] as const) {
    const { status, stderr } = await slipway(t, 'ports', 'expose', '80', ...flags);
    assert.equal(status, 2, stderr);
    assert.ok(stderr.startsWith(`slipway: ${said}`), stderr);
    assert.match(stderr, /ERR_USAGE/);
  }
});

test('curl speaks to a real daemon: status, a zone, a lookup of it, refusals', async (t) => {
  if (!needs(t, 'curl')) return;
  const { socket, up } = await daemon(t);
  const curl = async (
    ...args: readonly string[]
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> => {
    const { stdout } = await promisify(execFile)('curl', [
      '-s',
      '-w',
      '\n%{http_code}',
      '--unix-socket',
      socket,
      ...args,
    ]);
    const end = stdout.lastIndexOf('\n');
    return { status: Number(stdout.slice(end + 1)), json: JSON.parse(stdout.slice(0, end)) as Record<string, unknown> };
  };
  const status = await curl('http://slipway/v1/status');
  assert.deepEqual([status.status, status.json.pid], [200, up.child.pid]);
  const zone = JSON.stringify({ records: [{ name: 'db', type: 'A', address: '10.9.8.7' }] });
  const json = ['-H', 'content-type: application/json', '-d', zone];
  assert.equal((await curl('-X', 'PUT', ...json, 'http://slipway/v1/dns/zones/dev.example')).status, 200);
  const found = await curl('http://slipway/v1/dns/lookup?name=db.dev.example&explain=true');
  assert.deepEqual(
    (found.json.answer as { data: string }[]).map(({ data }) => data),
    ['10.9.8.7'],
  );
  assert.match((found.json.explanation as string[]).at(-1)!, /a zone of Slipway/);
  const looked = await slipway(t, 'dns', 'lookup', 'db.dev.example', '--control', socket);
  assert.equal(looked.status, 0, looked.stderr);
  assert.match(looked.stdout, /10\.9\.8\.7\n; NOERROR.*, asked the daemon at \/\S+\n$/);
  assert.equal((await curl('-d', 'a=b', 'http://slipway/v1/forwards')).status, 415);
  assert.equal((await curl('http://slipway/v1/nothing')).json.code, 'ERR_CONTROL_NOT_FOUND');
  assert.equal((await curl('http://slipway/openapi.json')).json.openapi, '3.1.0');
});

test('slipway run opens a socket only when asked, and its own guest, who can reach it, has no token', async (t) => {
  if (!canRunGuests(t) || !needs(t, 'curl')) return;
  const folder = temporaryFolder('test');
  const socket = path.join(folder, 'run.sock');
  const asked = `curl -s --unix-socket ${socket} http://x/v1/status; echo; echo "token: $SLIPWAY_CONTROL_TOKEN."; read line`;
  const run = new SlipwayProcess(t, 'run', '--control', socket, '--', 'sh', '-c', asked);
  await run.prints(/token: .*\n/);
  assert.match(run.stdout, /"code":"ERR_CONTROL_TOKEN"[\s\S]*^token: \.$/m);
  const token = /SLIPWAY_CONTROL_TOKEN=(\S+)/.exec(run.stderr)?.[1];
  assert.ok(token !== undefined, run.stderr);
  const { stdout } = await promisify(execFile)('curl', [
    ...['-s', '--unix-socket', socket, '-H', `Authorization: Bearer ${token}`, 'http://x/v1/guests'],
  ]);
  assert.equal((JSON.parse(stdout) as unknown[]).length, 1);
  run.child.stdin.end('\n');
  assert.equal((await run.end()).status, 0);
});
