import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import {
  expose,
  forwardSpec,
  forwardsOf,
  httpServer,
  isListening,
  isWaiting,
  publishing,
  socketSpec,
  unexpose,
} from '../support/published.ts';
import { canRunGuests } from '../support/slipway.ts';
import { dialled, drained, endingOf, listen, udp } from '../support/sockets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('the network thread dies: published ports stay bound, and clients that come meanwhile are served', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const path = join(temporaryFolder('ports'), 'web.sock');
  const { accept } = await listen(t, slipway.guest, { port: 80 });
  const echo = await udp(t, slipway.guest, '0.0.0.0', 53);
  echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
  const web = await expose(slipway, '8080:80');
  const shut = await expose(slipway, '8081:81');
  const range = await expose(slipway, '9000-9099:9000-9099');
  const names = await expose(slipway, '5353:53/udp');
  const socket = await expose(slipway, socketSpec(path, 80));
  const { descriptors } = slipway;

  for (const round of [1, 2]) {
    const from = slipway.said.length;
    slipway.fault('throw');
    // Whom the old one had taken before is reset with it.
    await slipway.hear((said) => said.event === 'log' && /network thread died/.test(String(said.message)), from);
    const meanwhile = await Promise.all([
      dialled(t, home, 8080, '127.0.0.1'),
      dialled(t, home, 8080, '::1'),
      dialled(t, home, 0, '', { path } as object),
    ]);
    for (const client of meanwhile) {
      client.write('hello');
      const server = await accept();
      assert.equal(String((await once(server, 'data'))[0]), 'hello');
      server.end(`served ${round}`);
      assert.equal(String((await drained(client)).bytes), `served ${round}`);
    }
    for (const forward of [web, names, socket]) await isListening(slipway, forward);
    await assert.rejects(listen(t, home, { port: 8081 }), { code: 'EADDRINUSE' });
    for (const forward of [shut, range]) await isWaiting(slipway, forward, /^nobody listens at port/);
    await assert.rejects(dialled(t, home, 8081, '127.0.0.1'), { code: 'ECONNREFUSED' });
    const asker = await udp(t, home);
    const answer = once(asker, 'message');
    asker.send('ping', 5353, '127.0.0.1');
    assert.equal(String((await answer)[0]), 'ping');
  }
  await slipway.reaches(() => slipway.descriptors <= descriptors + 8, 'no descriptor is left behind');
});

test('the network thread dies: who listens at 127.0.0.1 of the namespace is published again', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const { accept } = await listen(t, slipway.guest, { port: 80, host: '127.0.0.1' });
  const forward = await expose(slipway, '127.0.0.1:8080:80');
  const later = await expose(slipway, '127.0.0.1:8081:81');
  await isListening(slipway, forward);
  const { descriptors } = slipway;
  for (const round of [1, 2]) {
    const before = await dialled(t, home, 8080, '127.0.0.1');
    before.write('hello');
    const server = await accept();
    assert.equal(String((await once(server, 'data'))[0]), 'hello');
    const ends = Promise.all([endingOf(before), endingOf(server)]);
    slipway.fault('throw');
    assert.deepEqual(await ends, ['ECONNRESET', 'ECONNRESET'], 'both sides hear of it');
    const client = await dialled(t, home, 8080, '127.0.0.1');
    (await accept()).end(`served ${round}`);
    assert.equal(String((await drained(client)).bytes), `served ${round}`);
    await isListening(slipway, forward);
    await isWaiting(slipway, later, /^nobody listens at port 81/);
  }
  // The new thread sees who listens as the old one did.
  const late = await listen(t, slipway.guest, { port: 81, host: '127.0.0.1' });
  await isListening(slipway, later);
  const client = await dialled(t, home, 8081, '127.0.0.1');
  (await late.accept()).end('served');
  assert.equal(String((await drained(client)).bytes), 'served');
  await slipway.reaches(() => slipway.descriptors <= descriptors + 40, 'no descriptor is left behind');
});

test('after a restart persistent forwards are there again, the others are not, and a chosen port stays', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const home = createNamespace(t, 'home');
  const config = JSON.stringify({ state: temporaryFolder('ports'), forwards: ['8888:80'] });
  const first = await publishing(t, { namespace: home, config });
  await expose(first.slipway, '8080:80', { persistent: true });
  await expose(first.slipway, '9000-9099:9000-9099/udp', { persistent: true });
  const chosen = await expose(first.slipway, '0:80', { persistent: true });
  await expose(first.slipway, '8081:80');
  const gone = await expose(first.slipway, '8082:80', { persistent: true });
  await unexpose(first.slipway, gone.id);
  const before = await forwardsOf(first.slipway);
  await first.slipway.stop();
  // Somebody took one of the ports meanwhile.
  const { server } = await listen(t, home, { port: 8080 });

  const { slipway } = await publishing(t, { namespace: home, config });
  await httpServer(t, slipway.guest, 80, 'back');
  const after = await forwardsOf(slipway);
  assert.deepEqual(
    after.map(({ id }) => id),
    before.map(({ id }) => id).filter((id) => id !== 'tcp:*:8081'),
  );
  const web = after.find(({ id }) => id === 'tcp:*:8080')!;
  assert.deepEqual([web.state, web.code], ['failed', 'ERR_PORT_IN_USE']);
  server.close();
  for (const forward of after) await isListening(slipway, forward);
  for (const port of [8080, chosen.boundPort, 8888]) {
    const client = await dialled(t, home, port, '127.0.0.1');
    client.end('GET / HTTP/1.0\r\n\r\n');
    assert.match(String((await drained(client)).bytes), /back/);
  }
});

test('without descriptors clients wait, and all are served when there are some again', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'prlimit')) return;
  const { home, slipway } = await publishing(t);
  const { server } = await listen(t, slipway.guest, { port: 80 });
  server.on('connection', (socket: Socket) => socket.pipe(socket));
  await expose(slipway, '8080:80');
  const limit = (soft: number): void =>
    void execFileSync('prlimit', [`--pid=${slipway.pid}`, `--nofile=${soft}:20000`]);
  // The limit is one of numbers: below it ten are left.
  const taken = new Set(readdirSync(`/proc/${slipway.pid}/fd`).map(Number));
  let number = 0;
  for (let free = 0; free < 10; number++) if (!taken.has(number)) free++;
  limit(number);
  const clients = await Promise.all(Array.from({ length: 60 }, () => dialled(t, home, 8080, '127.0.0.1')));
  const answers = clients.map(async (client, i) => {
    client.end(`client ${i}`);
    return String((await drained(client)).bytes);
  });
  await slipway.reaches(({ counters }) => (counters['forward-accept-failed'] ?? 0) > 1, 'it has run out');
  await assert.rejects(expose(slipway, forwardSpec('9000-9999:9000-9999')), { code: 'ERR_PORT_LIMIT' });
  limit(20_000);
  assert.deepEqual(
    await Promise.all(answers),
    clients.map((_, i) => `client ${i}`),
  );
});
