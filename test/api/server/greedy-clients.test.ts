import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { NetworkStatus } from '../../../src/control/network-status.ts';
import { ControlWorld, NETWORK } from '../control-world.ts';

const TIMEOUT = { timeout: 30_000 };
const STATUS = 'GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n';

async function dial(t: TestContext, world: ControlWorld): Promise<Socket> {
  const socket = connect(world.socket).on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Ended or reset. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** A world whose answers wait until they are let go. */
async function slow(t: TestContext): Promise<{ world: ControlWorld; waiting: ((status: NetworkStatus) => void)[] }> {
  const world = await ControlWorld.open(t);
  const waiting: ((status: NetworkStatus) => void)[] = [];
  world.status = () => new Promise((resolve) => waiting.push(resolve));
  return { world, waiting };
}

test('who asks again and again without an answer between is cut off, and nobody else is', TIMEOUT, async (t) => {
  const { world, waiting } = await slow(t);
  const greedy = await dial(t, world);
  const ended = closed(greedy);
  greedy.resume().write(STATUS.repeat(1_000));
  await ended;
  assert.ok(waiting.length <= 32, `${waiting.length} requests were begun`);
  assert.equal(world.counters.get('control-pipeline-limit'), 1);
  for (const answer of waiting.splice(0)) answer(NETWORK);
  world.status = () => Promise.resolve(NETWORK);
  assert.equal((await world.ask('GET', '/v1/status')).status, 200);
});

test('answers that nobody reads are not made without end', TIMEOUT, async (t) => {
  const world = await ControlWorld.open(t);
  let begun = 0;
  world.status = () => {
    begun++;
    return Promise.resolve(NETWORK);
  };
  const deaf = await dial(t, world);
  const ended = closed(deaf);
  // One by one, as fast as the server takes them: a client that sends for as long as it may.
  let more = true;
  deaf.on('close', () => {
    more = false;
  });
  const send = (): void => {
    while (more && deaf.write(STATUS.repeat(16)));
  };
  deaf.on('drain', send).pause();
  send();
  await Promise.race([
    (async () => {
      // It is cut off, or held back: then it has its bounded share and the rest stays with it.
      for (let before = -1; more && before !== begun; ) {
        before = begun;
        for (let i = 0; i < 20; i++) await world.ask('GET', '/v1/forwards');
      }
    })(),
    ended,
  ]);
  assert.ok(begun < 5_000, `${begun} answers were made`);
  assert.equal((await world.ask('GET', '/v1/forwards')).status, 200);
});

test('a client finds room though idle connections fill the socket; the oldest idle one goes', TIMEOUT, async (t) => {
  const { world, waiting } = await slow(t);
  const busy = await dial(t, world);
  busy.write(STATUS);
  while (waiting.length === 0) await world.ask('GET', '/v1/forwards');
  const idle: Socket[] = [];
  for (let i = 0; i < 255; i++) idle.push(await dial(t, world));
  const gone = closed(idle[0]!);
  assert.equal((await world.ask('GET', '/v1/forwards')).status, 200);
  idle[0]!.resume();
  await gone;
  assert.equal(world.counters.get('control-connection-limit'), 1);
  // Who is being served stays, although he came first.
  const answered = once(busy, 'data');
  waiting[0]!(NETWORK);
  assert.match(String((await answered)[0]), /^HTTP\/1\.1 200 /);
});

test('where all connections are busy the next one is closed', TIMEOUT, async (t) => {
  const { world, waiting } = await slow(t);
  const busy: Socket[] = [];
  for (let i = 0; i < 256; i++) {
    const socket = await dial(t, world);
    socket.write(STATUS);
    busy.push(socket);
  }
  while (waiting.length < 256) await new Promise((resolve) => setImmediate(resolve));
  const late = connect(world.socket)
    .on('error', () => {})
    .resume();
  await closed(late);
  assert.equal(world.counters.get('control-connection-limit'), 1);
});
