import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess } from './slipway.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** A peer that is no guest: each is worth three lines of the log. Fulfilled when it was turned out. */
async function stranger(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
}

for (const format of [[], ['--json']]) {
  test(`a daemon whose reader went serves on (${format[0] ?? 'text'})`, async (t) => {
    const up = new SlipwayProcess(t, 'up', '--listen', 'qemu+tcp://127.0.0.1:0', ...format);
    const [, port] = await up.prints(/127\.0\.0\.1:(\d+)[\s\S]*\n/);
    up.child.stdout.destroy();
    up.child.stderr.destroy();
    for (let i = 0; i < 5; i++) await stranger(Number(port));
    assert.equal(up.child.exitCode ?? up.child.signalCode, null);
    up.child.kill('SIGTERM');
    assert.equal((await up.end()).status, 0);
  });
}

test('a daemon whose log nobody reads serves on, and says what was lost when somebody does', {
  timeout: 60_000,
}, async (t) => {
  const folder = temporaryFolder('test');
  const pipe = path.join(folder, 'log');
  execFileSync('mkfifo', [pipe]);
  const here = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(here));
  const full = Buffer.alloc(1024, '.');
  const fill = (): void => {
    try {
      while (writeSync(here, full) > 0);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
  };
  const drain = (): string => {
    let text = '';
    const bytes = Buffer.alloc(65_536);
    try {
      for (;;) text += bytes.toString('utf8', 0, readSync(here, bytes));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
    return text;
  };
  fill();
  const stderr = openSync(pipe, constants.O_RDWR);
  const args = ['up', '--control', 'none', '--listen', 'qemu+tcp://127.0.0.1:0'];
  const env = { ...process.env, XDG_STATE_HOME: folder };
  const up = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', stderr], env });
  t.after(() => up.kill('SIGKILL'));
  closeSync(stderr);
  let said = '';
  up.stdout!.on('data', (bytes) => {
    said += String(bytes);
  });
  while (!/Ctrl-C/.test(said)) await once(up.stdout!, 'data');
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
  await stranger(port);
  assert.doesNotMatch(drain(), /guest/);
  let log = '';
  // Its lines may come after its end, and find room: then once more.
  while (!/lost/.test(log)) {
    await stranger(port);
    log += drain();
    fill();
    await stranger(port);
    drain();
  }
  assert.match(log, /slipway: \d+ lines were lost here: nobody read them\n\d{4}-/);
  fill();
  up.kill('SIGTERM');
  const [status] = await once(up, 'exit');
  assert.equal(status, 0);
});

test('a daemon whose log goes to a socket that nobody reads serves on, as when the journal is stuck', {
  timeout: 60_000,
}, async (t) => {
  const folder = temporaryFolder('test');
  const server = createServer({ pauseOnConnect: true }).listen(path.join(folder, 'journal'));
  await once(server, 'listening');
  const ours = connect(path.join(folder, 'journal'));
  const [reader] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    ours.destroy();
    reader.destroy();
    server.close();
  });
  if (ours.connecting) await once(ours, 'connect');
  // As long as the kernel takes them.
  while (ours.writableLength === 0) {
    ours.write('.'.repeat(1024));
    await new Promise(setImmediate);
  }
  const args = ['up', '--control', 'none', '--listen', 'qemu+tcp://127.0.0.1:0'];
  const env = { ...process.env, XDG_STATE_HOME: folder };
  const up = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', ours], env });
  t.after(() => up.kill('SIGKILL'));
  let said = '';
  up.stdout!.on('data', (bytes) => {
    said += String(bytes);
  });
  while (!/Ctrl-C/.test(said)) await once(up.stdout!, 'data');
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
  // Its second one is served only by a daemon that did not wait for a reader at the first.
  await stranger(port);
  await stranger(port);
  let log = '';
  reader.on('data', (bytes) => {
    log += String(bytes);
  });
  reader.resume();
  while (!/lost/.test(log)) await stranger(port);
  assert.match(log, /slipway: \d+ lines were lost here: nobody read them\n\d{4}-/);
  up.kill('SIGTERM');
  const [status] = await once(up, 'exit');
  assert.equal(status, 0);
});
