import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { listenPrivately } from '../../src/control/service-socket.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a service socket is reached by its path and leaves no file behind, even while it listens', async (t) => {
  const folder = temporaryFolder('test');
  const before = process.env.XDG_RUNTIME_DIR;
  process.env.XDG_RUNTIME_DIR = folder;
  t.after(() => {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  });
  const server = createServer((socket) => socket.end('hello'));
  const address = await listenPrivately(server, 'dns');
  assert.deepEqual(readdirSync(folder), []);
  const client = connect(address.path);
  assert.equal(String((await once(client, 'data'))[0]), 'hello');
  address.close();
  server.close();
  assert.equal(existsSync(address.path), false);
});
