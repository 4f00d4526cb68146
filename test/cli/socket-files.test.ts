import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess } from './slipway.ts';

async function connected(t: TestContext, place: string): Promise<Socket> {
  const socket = connect(place);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** What GET answers with. */
function status(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/status', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    asked.on('error', reject).end();
  });
}

/** Another program's socket at the path. */
async function stranger(t: TestContext, place: string): Promise<void> {
  const server = createServer((socket) => socket.on('error', () => {}).end('a stranger'));
  server.listen(place);
  await once(server, 'listening');
  t.after(() => server.close());
}

async function isStranger(t: TestContext, place: string): Promise<void> {
  const socket = await connected(t, place);
  assert.equal(String((await once(socket, 'data'))[0]), 'a stranger');
}

for (const engine of ['epoll', 'node']) {
  test(`a socket whose file was removed is made again, who is connected stays, and another program's is left alone (${engine})`, {
    timeout: 120_000,
  }, async (t) => {
    const folder = temporaryFolder('test');
    const [guests, control, forward] = ['vm', 'control', 'web'].map((name) => path.join(folder, `${name}.sock`)) as [
      string,
      string,
      string,
    ];
    const files = [guests, control, forward];
    const config = path.join(folder, 'slipway.yaml');
    writeFileSync(config, `forwards: [{ host: ${forward}, guest: 80 }]\n`);
    const up = new SlipwayProcess(
      t,
      ...['up', '--config', config, '--host-engine', engine],
      ...['--listen', `qemu+unix://${guests}`, '--control', control],
    );
    await up.prints(/Ctrl-C ends it\n/);
    const attached = [await connected(t, guests), await connected(t, control)];
    const inode = (file: string): number => statSync(file).ino;
    const before = files.map(inode);

    for (const file of files) rmSync(file);
    await up.warns(/the socket for guests \S+ was removed; Slipway makes it again/);
    await up.warns(/the control socket \S+ was removed; Slipway makes it again/);
    await up.warns(/the socket of .*web\.sock.* was removed; it is made again/);
    assert.equal(await status(control), 200);
    await connected(t, guests);
    assert.deepEqual(
      [guests, control].map((file) => statSync(file).mode & 0o777),
      [0o600, 0o600],
    );
    assert.notDeepEqual(files.map(inode), before);
    assert.deepEqual(
      attached.map((socket) => socket.readyState),
      ['open', 'open'],
    );

    for (const file of files) {
      rmSync(file);
      await stranger(t, file);
    }
    await up.warns(/vm\.sock is no longer the socket for guests: another program's file/);
    await up.warns(/control\.sock is no longer the control socket: another program's file/);
    for (const file of files) await isStranger(t, file);
    up.child.kill('SIGTERM');
    assert.equal((await up.end()).status, 0);
    for (const file of files) await isStranger(t, file);
  });
}
