import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, forwardIs, isListening, isWaiting, publishing } from '../support/published.ts';
import { canRunGuests } from '../support/slipway.ts';
import { dial, dialled, drained, endingOf, listen, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { download, MIB, upload } from './transfers.ts';

/** A guest that answers nothing at port 80 and refuses nothing. */
function swallow(guest: TestNamespace): void {
  nsExec(guest, 'nft', 'table inet hole { chain input { type filter hook input priority 0; tcp dport 80 drop; }; }');
}

function answerAgain(guest: TestNamespace): void {
  nsExec(guest, 'nft', 'delete', 'table', 'inet', 'hole');
}

/** ICMP destination-unreachable messages that left the namespace. */
function unreachablesSent(namespace: TestNamespace): number {
  const [names, values] = nsExec(namespace, 'cat', '/proc/net/snmp')
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '));
  return Number(values?.[names?.indexOf('OutDestUnreachs') ?? -1]);
}

test('a guest that refuses: the client that was taken is reset at once, and the first after its return is served', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const first = await listen(t, slipway.guest, { port: 80 });
  const forward = await expose(slipway, '8080:80');
  const old = await dialled(t, home, 8080, '127.0.0.1');
  const oldServer = await first.accept();
  first.server.close();

  for (const host of ['127.0.0.1', '::1', '127.0.0.1']) {
    assert.equal(await endingOf(dial(t, home, 8080, host)), 'ECONNRESET');
  }
  // Who is connected stays so.
  old.write('still here');
  assert.equal(String((await once(oldServer, 'data'))[0]), 'still here');

  const { accept } = await listen(t, slipway.guest, { port: 80 });
  const next = await dialled(t, home, 8080, '127.0.0.1');
  (await accept()).end('back');
  assert.equal(String((await drained(next)).bytes), 'back');
  assert.equal((await forwardIs(slipway, forward, () => true)).connections >= 1, true);
});

test('with a wait, clients are held while the guest refuses, and turned away when it was in vain', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  await expose(slipway, '8080:80', { waitSeconds: 3_600 });
  await expose(slipway, '8081:81', { waitSeconds: 1 });
  const [patient, brief] = [await dialled(t, home, 8080, '127.0.0.1'), await dialled(t, home, 8081, '::1')];
  patient.write('hello');
  assert.equal(await endingOf(brief), 'ECONNRESET');
  assert.equal(await slipway.counter('forward-waited-in-vain'), 1);
  const { accept } = await listen(t, slipway.guest, { port: 80 });
  assert.equal(String((await once(await accept(), 'data'))[0]), 'hello');
});

test('a guest that swallows everything: clients wait, as next to it they would, and are served afterwards', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nft')) return;
  const { home, slipway } = await publishing(t);
  const { accept } = await listen(t, slipway.guest, { port: 80 });
  const forward = await expose(slipway, '8080:80');
  await expose(slipway, '8081:80', { waitSeconds: 1 });
  swallow(slipway.guest);
  const [held, vain, gone] = [
    await dialled(t, home, 8080, '127.0.0.1'),
    await dialled(t, home, 8081, '127.0.0.1'),
    await dialled(t, home, 8080, '127.0.0.1'),
  ];
  held.write('hello');
  gone.resetAndDestroy();
  assert.equal(await endingOf(vain), 'ECONNRESET');
  await slipway.reaches(({ counters }) => counters['forward-client-left'] === 1, 'who left is let go');
  const late = await dialled(t, home, 8080, '127.0.0.1');
  late.write('hello');
  answerAgain(slipway.guest);
  for (const server of [await accept(), await accept()]) assert.equal(String((await once(server, 'data'))[0]), 'hello');
  await isListening(slipway, forward);
});

test('a guest that leaves is waited for, with the same address or another', { timeout: 60_000 }, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const socket = join(temporaryFolder('ports'), 'net.sock');
  const { home, slipway } = await publishing(t, { mtu: 1_500, guest: false, listen: [`qemu+unix://${socket}`] });
  const any = await expose(slipway, '8080:80');
  const one = await expose(slipway, '8081:80', {
    guest: { kind: 'port', address: 0xc0a8_4109, port: 80 },
  });
  const datagrams = await expose(slipway, '8080:80/udp');
  assert.deepEqual(
    [any.why, one.why, datagrams.why],
    ['no guest is there', 'no guest has 192.168.65.9', 'no guest is there'],
  );

  const first = await plugGuest(t, { socket, address: '192.168.65.9', mac: '52:54:00:00:02:01' });
  const server = await listen(t, first.namespace, { port: 80 });
  await isListening(slipway, any);
  await isListening(slipway, one);
  const [client, specific] = [await dialled(t, home, 8080, '127.0.0.1'), await dialled(t, home, 8081, '127.0.0.1')];
  await server.accept();
  await server.accept();

  await first.unplug();
  await isWaiting(slipway, any, /^no guest is there$/);
  await isWaiting(slipway, one, /^no guest has 192\.168\.65\.9$/);
  await assert.rejects(dialled(t, home, 8080, '127.0.0.1'), { code: 'ECONNREFUSED' });

  await t.test('with another one', async (t) => {
    const second = await plugGuest(t, { socket, address: '192.168.65.20', mac: '52:54:00:00:02:02' });
    const { accept } = await listen(t, second.namespace, { port: 80 });
    const echo = await udp(t, second.namespace, '0.0.0.0', 80);
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    await isListening(slipway, any);
    const next = await dialled(t, home, 8080, '127.0.0.1');
    (await accept()).end('second');
    assert.equal(String((await drained(next)).bytes), 'second');
    await isListening(slipway, datagrams);
    const asker = await udp(t, home);
    const answer = once(asker, 'message');
    asker.send('ping', 8080, '127.0.0.1');
    assert.equal(String((await answer)[0]), 'ping');
    await assert.rejects(dialled(t, home, 8081, '127.0.0.1'), { code: 'ECONNREFUSED' });
    await second.unplug();
  });

  await t.test('with the same one, as after a reboot: clients of the machine that died hear of it', async (t) => {
    const endings = [endingOf(client), endingOf(specific)];
    const again = await plugGuest(t, { socket, address: '192.168.65.9', mac: '52:54:00:00:02:01' });
    const { accept } = await listen(t, again.namespace, { port: 80 });
    await isListening(slipway, any);
    await isListening(slipway, one);
    const next = await dialled(t, home, 8081, '127.0.0.1');
    (await accept()).end('again');
    assert.equal(String((await drained(next)).bytes), 'again');
    assert.deepEqual(await Promise.all(endings), ['ECONNRESET', 'ECONNRESET']);
  });
});

test('endings pass through a forward as they are', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const { accept } = await listen(t, slipway.guest, { port: 80, allowHalfOpen: true });
  const path = join(temporaryFolder('ports'), 'web.sock');
  await expose(slipway, '8080:80');
  await slipway.ask({
    ask: 'add',
    spec: { ...(await expose(slipway, '8080:80')).spec, protocol: 'unix', host: { kind: 'unix', path } },
  });
  const bytes = randomBytes(2 * MIB);

  for (const by of ['tcp', 'unix'] as const) {
    const connected = async () => {
      const options = { allowHalfOpen: true, ...(by === 'unix' ? { path } : {}) };
      const client = await dialled(t, home, 8080, '127.0.0.1', options as { allowHalfOpen: boolean });
      return { client, server: await accept() };
    };
    for (const first of ['client', 'server'] as const) {
      await t.test(`a half-close of the ${first} leaves the other way open (${by})`, async () => {
        const sides = await connected();
        const [closing, answering] = first === 'client' ? [sides.client, sides.server] : [sides.server, sides.client];
        closing.end('first');
        assert.deepEqual(await drained(answering), { bytes: Buffer.from('first'), ending: 'end' });
        answering.end(bytes);
        const got = await drained(closing);
        assert.ok(got.bytes.equals(bytes) && got.ending === 'end', `${got.bytes.length} bytes, then ${got.ending}`);
      });
      // Unix sockets know no reset.
      if (by === 'unix') continue;
      await t.test(`a reset of the ${first} resets the other (${by})`, async () => {
        const sides = await connected();
        const [resetting, reading] = first === 'client' ? [sides.client, sides.server] : [sides.server, sides.client];
        resetting.write('0123456789');
        await once(reading, 'readable');
        const rest = drained(reading);
        resetting.resetAndDestroy();
        assert.equal((await rest).ending, 'ECONNRESET');
      });
    }
  }
});

test('a client that does not read stops its server and nobody else', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const { accept } = await listen(t, slipway.guest, { port: 80 });
  await expose(slipway, '8080:80');
  const slow = await dialled(t, home, 8080, '127.0.0.1');
  const sending = upload(await accept(), 64 * MIB);
  const quick = await dialled(t, home, 8080, '127.0.0.1');
  const [sent, received] = await Promise.all([upload(await accept(), 64 * MIB), download(quick)]);
  assert.equal(received, sent);
  assert.equal(await Promise.race([sending.then(() => 'all'), slipway.status().then(() => 'stopped')]), 'stopped');
  assert.equal(await download(slow), await sending);
});

test('a UDP forward survives what guests say by ICMP, and every client has its own answers', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  await expose(slipway, '5353:53/udp');
  const clients = await Promise.all(Array.from({ length: 20 }, () => udp(t, home)));
  for (const client of clients) client.send('nobody hears it', 5353, '127.0.0.1');
  await slipway.reaches(() => unreachablesSent(slipway.guest) > 0, 'the guest says that nobody listens');
  const server = await udp(t, slipway.guest, '0.0.0.0', 53);
  server.on('message', (bytes, from) => {
    if (String(bytes).startsWith('client')) server.send(`${bytes} from ${from.address}`, from.port, from.address);
  });
  const answers = await Promise.all(
    clients.map(async (client, i) => {
      const answer = once(client, 'message');
      client.send(`client ${i}`, 5353, '127.0.0.1');
      return String((await answer)[0]);
    }),
  );
  assert.deepEqual(
    answers,
    clients.map((_, i) => `client ${i} from 192.168.65.254`),
  );
});
