import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { HostPipe } from '../../../src/env/host.ts';
import { dialPipes, listenPipes } from '../../../src/host/node/pipe-endpoints.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import { pollUntil } from '../suite/poll-until.ts';
import { SocketPaths } from '../suite/socket-paths.ts';

const round = async (): Promise<void> => {
  await setImmediate();
};
const silent = { readable: () => {}, writable: () => {} };

function collecting(): { pipes: HostPipe[]; arena: PlainArena; wake(): void; accept(pipe: HostPipe): typeof silent } {
  const pipes: HostPipe[] = [];
  return {
    pipes,
    arena: new PlainArena(1 << 16),
    wake: () => {},
    accept: (pipe) => {
      pipes.push(pipe);
      return silent;
    },
  };
}

test('guests connect by TCP, at a port that the system chose', async (t) => {
  const options = collecting();
  const listener = await listenPipes({ host: '127.0.0.1', port: 0 }, options);
  t.after(() => listener.close());
  assert.ok(listener.port > 0);
  const guest = connect(listener.port, '127.0.0.1');
  t.after(() => guest.destroy());
  guest.write('hello');
  await pollUntil(round, () => options.pipes[0]?.read(0, 100) === 5, 'the guest’s bytes');
});

test('an address that is taken is an error with a code, and says where', async (t) => {
  const paths = new SocketPaths();
  t.after(() => paths.remove());
  const path = paths.path('taken');
  const listener = await listenPipes({ path }, collecting());
  t.after(() => listener.close());
  await assert.rejects(listenPipes({ path }, collecting()), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_LISTEN_IN_USE');
    assert.ok(error.message.includes(path));
    return true;
  });
});

test('a path that cannot be made is an error with a code and the reason', async () => {
  const path = '/nonexistent-folder/slipway.sock';
  await assert.rejects(listenPipes({ path }, collecting()), { code: 'ERR_LISTEN_FAILED', message: /ENOENT|EACCES/ });
});

test('a path that a killed process left behind is taken over', { skip: process.platform === 'win32' }, async (t) => {
  const paths = new SocketPaths();
  t.after(() => paths.remove());
  const path = paths.path('stale');
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script, path]);
  assert.ok(existsSync(path));
  const options = collecting();
  const listener = await listenPipes({ path }, options);
  const guest = connect(path);
  t.after(() => guest.destroy());
  await pollUntil(round, () => options.pipes.length === 1, 'the guest');
  options.pipes[0]?.close();
  listener.close();
  await pollUntil(round, () => !existsSync(path), 'the path to be removed');
});

test('a file that is no socket is never taken over', { skip: process.platform === 'win32' }, async (t) => {
  const paths = new SocketPaths();
  t.after(() => paths.remove());
  const path = paths.path('notes');
  writeFileSync(path, 'precious');
  await assert.rejects(listenPipes({ path }, collecting()), { code: 'ERR_LISTEN_FAILED', message: /ENOTSOCK/ });
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('a dialler waits for its QEMU, and dials again when the connection ended', async (t) => {
  const paths = new SocketPaths();
  const path = paths.path('qemu');
  const options = collecting();
  const dialer = dialPipes({ path }, options);
  const guests: Socket[] = [];
  const server = createServer((socket) => guests.push(socket));
  t.after(() => {
    dialer.close();
    for (const guest of guests) guest.destroy();
    server.close();
    paths.remove();
  });
  // It dialled in vain by now; the listener comes later.
  await round();
  server.listen(path);
  await once(server, 'listening');
  await pollUntil(round, () => guests.length === 1 && options.pipes.length === 1, 'the first connection');
  guests[0]?.end('bye');
  await pollUntil(round, () => options.pipes[0]?.read(0, 100) === 3, 'its last bytes');
  await pollUntil(round, () => options.pipes[0]?.read(0, 100) === 0, 'its end');
  assert.equal(options.pipes.length, 1);
  options.pipes[0]?.close();
  await pollUntil(round, () => guests.length === 2 && options.pipes.length === 2, 'the second connection');
  dialer.close();
  options.pipes[1]?.close();
});
