import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { RemoteInfo, Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { nsExec } from '../support/namespace.ts';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { refusedPort, udp } from '../support/sockets.ts';
import { createRoutedNetwork, SECOND_SERVER, SERVER } from './routed-network.ts';

const SIZES = [1, 1_472, 8_000, 65_507];

interface Datagram {
  readonly bytes: Buffer;
  readonly from: RemoteInfo;
}

async function next(socket: Socket): Promise<Datagram> {
  const [bytes, from] = (await once(socket, 'message')) as [Buffer, RemoteInfo];
  return { bytes, from };
}

for (const mtu of [1_500, 65_520]) {
  test(`a UDP echo of any size comes back whole, at MTU ${mtu}`, { timeout: 60_000 }, async (t) => {
    if (!canRunGuests(t)) return;
    const { guest } = await Slipway.start(t, { mtu });
    const server = await udp(t, undefined, '127.0.0.1');
    server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
    const client = await udp(t, guest);
    for (const size of SIZES) {
      const bytes = randomBytes(size);
      const answer = next(client);
      client.send(bytes, server.address().port, HOST);
      const got = await answer;
      assert.ok(got.bytes.equals(bytes), `${size} bytes: ${got.bytes.length} came back`);
      assert.equal(got.from.address, HOST);
      assert.equal(got.from.port, server.address().port);
    }
  });
}

test('no datagram is lost for the host’s narrower link: of any size, the first to its peer, none fails its socket', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, outside } = createRoutedNetwork(t);
  const { guest } = await Slipway.start(t, { namespace: home, mtu: 65_520 });
  for (const size of [1_472, 1_473, 2_000, 9_000, 65_507]) {
    for (const connected of [false, true]) {
      nsExec(guest, 'ip', 'route', 'flush', 'cache');
      const peer = await udp(t, outside, SERVER);
      const client = await udp(t, guest);
      peer.on('message', (bytes, from) => peer.send(bytes, from.port, from.address));
      const bytes = randomBytes(size);
      const answer = next(client);
      if (connected) {
        client.connect(peer.address().port, SERVER);
        await once(client, 'connect');
        client.send(bytes);
      } else client.send(bytes, peer.address().port, SERVER);
      assert.ok((await answer).bytes.equals(bytes), `${size} bytes`);
      if (size > 1_472 && size < 65_507) assert.match(nsExec(guest, 'ip', 'route', 'get', SERVER), / mtu 1500/);
    }
  }

  await t.test('in a burst of many, large and small, all arrive in their order', async (t) => {
    nsExec(guest, 'ip', 'route', 'flush', 'cache');
    const peer = await udp(t, outside, SERVER);
    peer.setRecvBufferSize(8 << 20);
    const client = await udp(t, guest);
    const sizes = Array.from({ length: 100 }, (_, i) => [100, 2_000, 1_472, 4_000, 1_473][i % 5]!);
    const got: number[] = [];
    const all = new Promise<void>((resolve) => {
      peer.on('message', (bytes) => {
        got.push(bytes[0]!);
        if (got.length === sizes.length) resolve();
      });
    });
    for (const [i, size] of sizes.entries()) client.send(Buffer.alloc(size, i), peer.address().port, SERVER);
    await all;
    assert.deepEqual(
      got,
      sizes.map((_, i) => i),
    );
  });
});

test('a datagram to a port nobody has is ECONNREFUSED for a connected socket of the guest', async (t) => {
  if (!canRunGuests(t)) return;
  const { guest } = await Slipway.start(t);
  const client = await udp(t, guest);
  const port = await refusedPort(t);
  client.connect(port, HOST);
  await once(client, 'connect');
  const failed = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
  client.send('anyone?');
  assert.equal((await failed)[0].code, 'ECONNREFUSED');
});

test('peers of one socket of the guest', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, outside } = createRoutedNetwork(t);
  const slipway = await Slipway.start(t, { namespace: home });
  const { guest } = slipway;

  await t.test('both see it at one address and port, and it sees their own', async (t) => {
    const client = await udp(t, guest);
    const seen: number[] = [];
    for (const address of [SERVER, SECOND_SERVER]) {
      const peer = await udp(t, outside, address);
      const asked = next(peer);
      client.send('who am I?', peer.address().port, address);
      const { from } = await asked;
      assert.equal(from.address, '10.1.0.2', 'an ordinary socket of the host');
      seen.push(from.port);
      const answered = next(client);
      peer.send('you', from.port, from.address);
      const answer = await answered;
      assert.deepEqual([answer.from.address, answer.from.port], [address, peer.address().port]);
    }
    assert.equal(seen[0], seen[1], 'endpoint-independent mapping (RFC 4787 §4.1)');
  });

  await t.test(
    'a stranger is filtered until the guest has sent to its address, from any port after that',
    async (t) => {
      const client = await udp(t, guest);
      const introducer = await udp(t, outside, SERVER);
      const asked = next(introducer);
      client.send('my address?', introducer.address().port, SERVER);
      const { from: mapped } = await asked;

      const peer = await udp(t, outside, SECOND_SERVER);
      const before = await slipway.counter('udp-filtered');
      peer.send('too early', mapped.port, mapped.address);
      await slipway.reaches(({ counters }) => (counters['udp-filtered'] ?? 0) > before, 'filtered');

      const punched = next(peer);
      client.send('punch', peer.address().port, SECOND_SERVER);
      assert.equal((await punched).from.port, mapped.port);
      const other = await udp(t, outside, SECOND_SERVER);
      const heard = next(client);
      other.send('through the hole', mapped.port, mapped.address);
      const { bytes, from } = await heard;
      assert.equal(String(bytes), 'through the hole');
      assert.deepEqual([from.address, from.port], [SECOND_SERVER, other.address().port]);
    },
  );

  await t.test('an error of one peer costs the other no datagram', async (t) => {
    const client = await udp(t, guest);
    const peer = await udp(t, outside, SERVER);
    const received: string[] = [];
    peer.on('message', (bytes) => received.push(String(bytes)));
    for (let i = 0; i < 20; i++) {
      client.send('is this port open?', 1, SECOND_SERVER);
      const heard = once(peer, 'message');
      client.send(`${i}`, peer.address().port, SERVER);
      await heard;
    }
    assert.deepEqual(
      received,
      Array.from({ length: 20 }, (_, i) => `${i}`),
    );
  });
});
