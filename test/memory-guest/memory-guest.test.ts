import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { type RunningNetwork, startNetwork } from '../../src/control/start-network.ts';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { resolve } from '../../src/memory-guest/resolve.ts';
import { SocketPaths } from '../host/suite/socket-paths.ts';
import { ip } from '../support/core-world.ts';

const GATEWAY = ip('192.168.65.1');
const HOST = ip('192.168.65.254');
const MASK = ip('255.255.255.0');
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

const paths = new SocketPaths();
const socketPath = paths.path('guests.sock');
let network: RunningNetwork;

before(async () => {
  const config = resolveConfig({ engine: 'node' });
  network = await startNetwork(config, SILENT, (error) => {
    throw error;
  });
  const url = parseListenUrl(`qemu+unix://${socketPath}`);
  assert.ok(typeof url === 'object');
  await network.control.attachments.listen(url);
});

after(async () => {
  await network.stop();
  paths.remove();
});

let next = 10;

/** A guest with a static address of its own. */
async function makeGuest(t: TestContext): Promise<MemoryGuest> {
  const guest = await MemoryGuest.attach(socketPath, { mac: 0x0200_0000_0000 + next, mtu: 1500 });
  t.after(() => guest.close());
  guest.configure(ip('192.168.65.0') + next++, MASK, GATEWAY);
  return guest;
}

/** A server on this computer's loopback; its port. */
async function serve(t: TestContext, talk: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // The end of the network resets what is still open.
    socket.on('error', () => {});
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('an upload ends with a half-close, and the answer comes after it', async (t) => {
  const guest = await makeGuest(t);
  const port = await serve(t, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (bytes) => void hash.update(bytes));
    socket.on('end', () => socket.end(hash.digest('hex')));
  });
  const bytes = randomBytes(4 << 20);
  const socket = guest.connect(HOST, port);
  socket.end(bytes);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  assert.equal(answer, createHash('sha256').update(bytes).digest('hex'));
});

test('a server that resets is seen as ECONNRESET, after what it had sent', async (t) => {
  const guest = await makeGuest(t);
  const port = await serve(t, (socket) => {
    socket.write('ten bytes!');
    // It resets once the guest has said that the ten bytes came.
    socket.once('data', () => socket.resetAndDestroy());
  });
  const socket = guest.connect(HOST, port);
  const [first] = (await once(socket, 'data')) as [Uint8Array];
  assert.equal(String(first), 'ten bytes!');
  socket.write('seen');
  await assert.rejects(once(socket, 'close'), { code: 'ECONNRESET' });
});

test('a port that nobody listens at is refused', async (t) => {
  const guest = await makeGuest(t);
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await assert.rejects(once(guest.connect(HOST, port), 'connect'), { code: 'ECONNREFUSED' });
});

test('a guest that reads nothing holds the server back and loses nothing', async (t) => {
  const guest = await makeGuest(t);
  const bytes = randomBytes(24 << 20);
  const port = await serve(t, (socket) => void socket.end(bytes));
  const socket = guest.connect(HOST, port);
  await once(socket, 'connect');
  // Nobody reads until the pings have come back, which takes many turns of the network.
  for (let i = 0; i < 20; i++) await guest.ping(GATEWAY);
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Uint8Array);
  assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
});

test('names are looked up at the gateway', async (t) => {
  const guest = await makeGuest(t);
  const datagrams = guest.datagrams(0);
  assert.equal(await resolve(datagrams, GATEWAY, 'host.docker.internal'), HOST);
  assert.equal(await resolve(datagrams, GATEWAY, 'nobody.docker.internal'), undefined);
  datagrams.close();
});
