import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ControlExtension } from '../../../src/api/server/control-server.ts';
import type { ControlConfig } from '../../../src/config/control.ts';
import { SlipwayError } from '../../../src/facts/errors.ts';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { type Answer, askAt, ControlWorld, refusal } from '../control-world.ts';

const LOOPBACK = { address: '127.0.0.1', port: 0 };

async function onTcp(
  t: TestContext,
  config: Partial<ControlConfig> = {},
): Promise<{ world: ControlWorld; token: string; ask(headers: Readonly<Record<string, string>>): Promise<Answer> }> {
  const tokenFile = path.join(temporaryFolder('test'), 'token');
  const world = await ControlWorld.open(t, { config: { socket: '', tcp: LOOPBACK, tokenFile, ...config } });
  const token = readFileSync(world.api.tokenFile, 'utf8').trim();
  const port = Number(world.api.tcp.split(':').pop());
  return { world, token, ask: (headers) => askAt({ host: '127.0.0.1', port }, 'GET', '/v1/status', { headers }) };
}

test('over TCP the token is wanted, which only the owner of its file can read', async (t) => {
  const { world, token, ask } = await onTcp(t);
  assert.equal(statSync(world.api.tokenFile).mode & 0o777, 0o600);
  assert.match(token, /^[\w-]{43}$/);
  assert.equal((await ask({ authorization: `Bearer ${token}` })).status, 200);
  for (const authorization of ['', 'Bearer', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, `Basic ${token}`, token]) {
    const refused = await ask({ authorization });
    assert.deepEqual([refusal(refused).status, refusal(refused).code], [401, 'ERR_CONTROL_TOKEN']);
    assert.equal(refused.headers['www-authenticate'], 'Bearer');
    assert.ok(!refused.text.includes(token));
  }
  world.api.close();
  assert.equal(existsSync(world.api.tokenFile), false);
});

test('over TCP another name than a loopback one is refused even with the token: it may be a rebound one', async (t) => {
  const { token, ask } = await onTcp(t);
  const authorization = `Bearer ${token}`;
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '192.168.1.2']) {
    const refused = refusal(await ask({ authorization, host }));
    assert.deepEqual([refused.status, refused.code], [403, 'ERR_CONTROL_HOST']);
  }
  for (const host of ['localhost', 'LOCALHOST:8765', '127.0.0.1:1', '[::1]:8765']) {
    assert.equal((await ask({ authorization, host })).status, 200);
  }
});

test('a token file that is there is used and stays; one that others could read, or without a token, is refused', async (t) => {
  const tokenFile = path.join(temporaryFolder('test'), 'token');
  writeFileSync(tokenFile, `${'a'.repeat(40)}\n`, { mode: 0o600 });
  const { world, token, ask } = await onTcp(t, { tokenFile });
  assert.equal(token, 'a'.repeat(40));
  assert.equal((await ask({ authorization: `Bearer ${token}` })).status, 200);
  world.api.close();
  assert.equal(existsSync(tokenFile), true);
  const code = (error: unknown): boolean => error instanceof SlipwayError && error.code === 'ERR_CONTROL_TOKEN';
  chmodSync(tokenFile, 0o640);
  await assert.rejects(onTcp(t, { tokenFile }), code);
  chmodSync(tokenFile, 0o600);
  writeFileSync(tokenFile, 'short');
  await assert.rejects(onTcp(t, { tokenFile }), code);
});

test('two daemons with their sockets in one folder have a token each, and each removes its own', async (t) => {
  const folder = temporaryFolder('test');
  const at = (name: string) => ({ socket: path.join(folder, name), tokenFile: '' });
  const [one, two] = [await onTcp(t, at('control.sock')), await onTcp(t, at('two'))];
  assert.equal(one.world.api.tokenFile, path.join(folder, 'control.token'));
  assert.equal(two.world.api.tokenFile, path.join(folder, 'two.token'));
  one.world.api.close();
  assert.deepEqual([existsSync(one.world.api.tokenFile), existsSync(two.world.api.tokenFile)], [false, true]);
  renameSync(two.world.api.tokenFile, path.join(folder, 'away'));
  writeFileSync(two.world.api.tokenFile, 'b'.repeat(40), { mode: 0o600 });
  two.world.api.close();
  assert.equal(existsSync(two.world.api.tokenFile), true, 'it was made by somebody else');
});

test('a token file that is a pipe or a folder is refused at once', async (t) => {
  if (!needs(t, 'mkfifo')) return;
  const folder = temporaryFolder('test');
  const pipe = path.join(folder, 'pipe');
  execFileSync('mkfifo', ['-m', '600', pipe]);
  for (const tokenFile of [pipe, folder]) {
    await assert.rejects(onTcp(t, { tokenFile }), { code: 'ERR_CONTROL_TOKEN', message: /is not a regular file$/ });
  }
});

test('the socket needs no token, unless a guest shares its user; then what is taken over needs it too', async (t) => {
  const taken: ControlExtension = {
    takeOvers: [{ takes: ({ target }) => target === '/take', take: (_request, socket) => socket.end('taken') }],
  };
  const token = 'a-token-that-the-guest-was-not-given';
  const open = await ControlWorld.open(t);
  const guarded = await ControlWorld.open(t, { tokenOnSocket: token, extensions: () => Promise.resolve([taken]) });
  assert.equal((await open.ask('GET', '/v1/status')).status, 200);
  assert.equal(refusal(await guarded.ask('GET', '/v1/status')).code, 'ERR_CONTROL_TOKEN');
  assert.equal(refusal(await guarded.ask('GET', '/nothing')).code, 'ERR_CONTROL_TOKEN');
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await guarded.ask('GET', '/v1/status', { headers })).status, 200);
  const take = async (more: string): Promise<string> => {
    const socket = connect(guarded.socket);
    socket.write(`POST /take HTTP/1.1\r\nHost: x\r\n${more}\r\n`);
    let text = '';
    for await (const part of socket) text += String(part);
    return text;
  };
  assert.match(await take(''), /^HTTP\/1\.1 401 Unauthorized\r\n[\s\S]*ERR_CONTROL_TOKEN/);
  assert.equal(await take(`Authorization: Bearer ${token}\r\n`), 'taken');
});

test('the socket is its owner’s alone, replaces one that a killed process left, and is gone afterwards', async (t) => {
  const world = await ControlWorld.open(t);
  assert.equal(statSync(world.socket).mode & 0o777, 0o600);
  await assert.rejects(
    ControlWorld.open(t, { config: { socket: world.socket, tcp: undefined, tokenFile: '' } }),
    (error: unknown) =>
      error instanceof SlipwayError &&
      error.code === 'ERR_LISTEN_IN_USE' &&
      error.message === `a slipway of process 4711 has its control socket at ${world.socket}`,
  );
  world.api.close();
  assert.equal(existsSync(world.socket), false);
  // A socket that nobody listens at: its file outlives the descriptor when it is moved away meanwhile.
  const dead = path.join(temporaryFolder('test'), 'dead.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${dead}.bound`, resolve));
  renameSync(`${dead}.bound`, dead);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(existsSync(dead), true);
  const next = await ControlWorld.open(t, { config: { socket: dead, tcp: undefined, tokenFile: '' } });
  assert.equal((await askAt({ socketPath: dead }, 'GET', '/v1/status')).status, 200);
  next.api.close();
});

test('somebody else’s listener and a file that is no socket are left alone', async (t) => {
  const place = path.join(temporaryFolder('test'), 'x.sock');
  const other = createServer((socket) => socket.on('error', () => {}).end('hello\r\n\r\n'));
  await new Promise<void>((resolve) => other.listen(place, resolve));
  t.after(() => other.close());
  const open = (socket: string): Promise<unknown> =>
    ControlWorld.open(t, { config: { socket, tcp: undefined, tokenFile: '' } });
  await assert.rejects(open(place), {
    code: 'ERR_LISTEN_IN_USE',
    message: `another process has its control socket at ${place}`,
  });
  const file = path.join(temporaryFolder('test'), 'notes');
  writeFileSync(file, 'mine');
  await assert.rejects(open(file), { code: 'ERR_LISTEN_FAILED' });
  assert.equal(readFileSync(file, 'utf8'), 'mine');
});

test('the folder of the usual place is made for its owner alone, closed if it was open, and must not lead elsewhere', async (t) => {
  const parent = temporaryFolder('test');
  const open = (socket: string): Promise<ControlWorld> =>
    ControlWorld.open(t, { privateFolder: true, config: { socket, tcp: undefined, tokenFile: '' } });
  await open(path.join(parent, 'slipway/control.sock'));
  assert.equal(statSync(path.join(parent, 'slipway')).mode & 0o777, 0o700);
  mkdirSync(path.join(parent, 'wide'));
  chmodSync(path.join(parent, 'wide'), 0o777);
  await open(path.join(parent, 'wide/control.sock'));
  assert.equal(statSync(path.join(parent, 'wide')).mode & 0o777, 0o700);
  symlinkSync(path.join(parent, 'wide'), path.join(parent, 'link'));
  await assert.rejects(open(path.join(parent, 'link/control.sock')), { code: 'ERR_RUNTIME_FOLDER' });
  await assert.rejects(open('/proc/nobody/slipway/control.sock'), { code: 'ERR_RUNTIME_FOLDER' });
});
