import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { dial, dialled, listen } from '../support/sockets.ts';
import { MIB, transfer } from './transfers.ts';

const GIB = 1024 * MIB;
/** A connection that left a kilobyte behind would fill it. */
const HEAP_MIB = 32;

for (const way of ['down', 'up'] as const) {
  test(`slow: 1 GiB goes ${way} by checksum`, { timeout: 120_000 }, async (t) => {
    if (!canRunGuests(t)) return;
    const { guest } = await Slipway.start(t);
    await transfer(t, guest, way, GIB);
  });
}

test('slow: 8 transfers at once, both ways, each by checksum', { timeout: 120_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { guest } = await Slipway.start(t, { mtu: 1_500 });
  await Promise.all(Array.from({ length: 8 }, (_, i) => transfer(t, guest, i % 2 === 0 ? 'down' : 'up', 64 * MIB)));
});

test('1,000 flows are open at once and each carries its own bytes', { timeout: 120_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t);
  const { server, port } = await listen(t, undefined, { host: '127.0.0.1' });
  server.on('connection', (socket) => socket.pipe(socket));
  const sockets: Socket[] = [];
  // The backlog of a Node server is 511.
  for (let i = 0; i < 10; i++) {
    const some = Array.from({ length: 100 }, () => dialled(t, slipway.guest, port, HOST));
    sockets.push(...(await Promise.all(some)));
  }
  assert.equal((await slipway.status()).flows, 1_000);
  const text = (i: number): string => `flow ${i} `.repeat(1_000);
  const echoed = sockets.map(async (socket, i) => {
    socket.end(text(i));
    let heard = '';
    for await (const chunk of socket) heard += String(chunk);
    assert.equal(heard, text(i));
  });
  await Promise.all(echoed);
  await slipway.reaches(({ flows }) => flows === 0, 'all flows have gone');
});

test('slow: 50,000 short connections leave no descriptor, flow or memory behind', { timeout: 240_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t, { heapMiB: HEAP_MIB });
  const { server, port } = await listen(t, undefined, { host: '127.0.0.1', allowHalfOpen: true });
  server.on('connection', (socket) => socket.once('data', (bytes) => socket.end(bytes)));
  const hooks: (() => void)[] = [];
  const disposer = { after: (hook: () => void) => void hooks.push(hook) } as unknown as TestContext;
  const exchange = async (i: number): Promise<void> => {
    const socket = dial(disposer, slipway.guest, port, HOST);
    hooks.length = 0;
    socket.write(`${i}`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    assert.equal(String(bytes), `${i}`);
    // The server ends first, so that the guest's port is free at once; some guests end by a reset.
    if (i % 10 === 0) socket.resetAndDestroy();
    await once(socket, 'close');
  };
  const rounds = async (from: number, to: number): Promise<void> => {
    let next = from;
    const worker = async (): Promise<void> => {
      while (next < to) await exchange(next++);
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    await slipway.reaches(({ flows }) => flows === 0, 'all flows have gone');
  };
  // The first ones grow what stays: heaps, pools, compiled code.
  await rounds(0, 5_000);
  const { descriptors, resident } = slipway;
  await rounds(5_000, 50_000);
  await slipway.reaches(() => slipway.descriptors <= descriptors, `${descriptors} descriptors before`);
  const growth = slipway.resident - resident;
  assert.ok(growth < HEAP_MIB * MIB, `${(growth / MIB).toFixed(1)} MiB more than before`);
});
