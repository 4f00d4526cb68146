import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connectNamespaces, createNamespace, nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, forwardIs, httpServer, isListening, isWaiting, publishing } from '../support/published.ts';
import { canRunGuests, HOST, type Slipway } from '../support/slipway.ts';
import { dial, dialled, drained, endingOf, listen, start, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Listens with room for one, accepts nobody until it is told to, then everybody. */
const FULL = `
import socket, sys
server = socket.socket()
server.bind(("0.0.0.0", 80))
server.listen(1)
print("listening", flush=True)
sys.stdin.readline()
while True:
    client, _ = server.accept()
    client.sendall(b"served")
    client.close()
`;

/** What becomes of a request: 'hello', or 'reset'. */
async function answer(client: Socket): Promise<string> {
  client.end('GET / HTTP/1.0\r\n\r\n');
  const { bytes, ending } = await drained(client);
  return ending === 'ECONNRESET' ? 'reset' : (/hello/.exec(String(bytes))?.[0] ?? ending);
}

for (const how of ['tcp reset', 'icmp type port-unreachable']) {
  test(`a guest that rejects one client (${how}) costs no other client a connection`, {
    timeout: 60_000,
  }, async (t) => {
    if (!canRunGuests(t) || !needs(t, 'nft')) return;
    const { home, slipway } = await publishing(t);
    const banned = createNamespace(t, 'banned');
    connectNamespaces(
      { namespace: home, device: 'up0', address: '10.1.0.2/24' },
      { namespace: banned, device: 'in0', address: '10.1.0.9/24' },
    );
    await httpServer(t, slipway.guest, 80, 'hello');
    await expose(slipway, '8080:80');
    const chain = 'type filter hook input priority 0; ip saddr 10.1.0.9 tcp dport 80 reject with';
    nsExec(slipway.guest, 'nft', `table inet ban { chain input { ${chain} ${how}; }; }`);
    for (let i = 0; i < 30; i++) {
      assert.equal(await endingOf(dial(t, banned, 8080, '10.1.0.2')), 'ECONNRESET');
      const good = await dialled(t, home, 8080, '127.0.0.1');
      good.end('GET / HTTP/1.0\r\n\r\n');
      assert.match(String((await drained(good)).bytes), /hello/);
    }
  });
}

/** Networks of the guest's own that its clients come from, too; and how it fails to answer them. */
const OWN_NETWORKS = [
  { name: 'docker0', network: '172.17.0', commands: ['ip link add own0 type bridge'] },
  {
    // The answer would come: what the guest drops is the question.
    name: 'a VPN, rp_filter strict',
    network: '10.8.0',
    commands: [
      'ip tuntap add own0 mode tun',
      'sysctl -q -w net.ipv4.conf.all.rp_filter=1',
      'sysctl -q -w net.ipv4.conf.tap0.rp_filter=1',
    ],
  },
];

/** A client at .5 of the network, Slipway's home at .9, and a guest that has the same network of its own. */
async function besideItself(
  t: TestContext,
  network: string,
  commands: readonly string[],
): Promise<{ readonly slipway: Slipway; readonly container: TestNamespace }> {
  const { home, slipway } = await publishing(t);
  const container = createNamespace(t, 'container');
  connectNamespaces(
    { namespace: home, device: 'up0', address: `${network}.9/24` },
    { namespace: container, device: 'in0', address: `${network}.5/24` },
  );
  for (const command of commands) nsExec(slipway.guest, ...command.split(' '));
  nsExec(slipway.guest, 'ip', 'address', 'add', `${network}.1/24`, 'dev', 'own0');
  nsExec(slipway.guest, 'ip', 'link', 'set', 'own0', 'up');
  return { slipway, container };
}

for (const { name, network, commands } of OWN_NETWORKS) {
  test(`a client whose network is one of the guest’s own (${name}) is served, and ports ls says how`, {
    timeout: 60_000,
  }, async (t) => {
    if (!canRunGuests(t)) return;
    const { slipway, container } = await besideItself(t, network, commands);
    const host = `${network}.9`;
    const hidden = new RegExp(`${network.replaceAll('.', '\\.')}\\.0/24`);

    await t.test('by UDP, from its first datagram after a second of silence', async (t) => {
      const server = await udp(t, slipway.guest, '0.0.0.0', 53);
      server.on('message', (_bytes, from) => server.send(from.address, from.port, from.address));
      const forward = await expose(slipway, '5353:53/udp');
      const client = await udp(t, container);
      const asking = setInterval(() => client.send('who am I?', 5353, host), 200);
      t.after(() => clearInterval(asking));
      const [bytes, from] = await once(client, 'message');
      assert.deepEqual([String(bytes), from.address, from.port], [HOST, host, 5353]);
      const { note } = await forwardIs(slipway, forward, (status) => status.note !== '');
      assert.match(note, hidden);
    });

    await t.test('by TCP, at once when that is known', async (t) => {
      await httpServer(t, slipway.guest, 80, 'hello');
      const forward = await expose(slipway, '8080:80');
      const client = await dialled(t, container, 8080, host);
      client.end('GET / HTTP/1.0\r\n\r\n');
      assert.match(String((await drained(client)).bytes), /hello 192\.168\.65\.254$/);
      const { note } = await forwardIs(slipway, forward, (status) => status.note !== '');
      assert.match(note, hidden);
    });
    await slipway.reaches(({ counters }) => counters['forward-source-hidden'] === 1, 'it was found out once');
  });

  test(`a TCP client of ${name} is the first that finds out`, { timeout: 60_000 }, async (t) => {
    if (!canRunGuests(t)) return;
    const { slipway, container } = await besideItself(t, network, commands);
    await httpServer(t, slipway.guest, 80, 'hello');
    await expose(slipway, '8080:80');
    const client = await dialled(t, container, 8080, `${network}.9`);
    client.end('GET / HTTP/1.0\r\n\r\n');
    assert.match(String((await drained(client)).bytes), /hello 192\.168\.65\.254$/);
    await slipway.reaches(({ counters }) => counters['forward-source-hidden'] === 1, 'it is counted');
  });
}

test('a full accept queue makes clients wait, and refuses none', { timeout: 180_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'python3', 'ss', 'sysctl')) return;
  const { home, slipway } = await publishing(t);
  // A connection by SYN cookie that finds the queue full is forgotten, and its client is not told, whoever that is.
  nsExec(slipway.guest, 'sysctl', '-qw', 'net.ipv4.tcp_syncookies=0');
  const program = start(t, slipway.guest, 'python3', '-c', FULL);
  await once(program.stdout!, 'data');
  const forward = await expose(slipway, '8080:80');
  await isListening(slipway, forward);
  const come = (length: number): Promise<Socket[]> =>
    Promise.all(Array.from({ length }, () => dialled(t, home, 8080, '127.0.0.1')));
  const queued = (): string => nsExec(slipway.guest, 'ss', '-Hltn', 'sport = :80').trim().split(/\s+/)[1] ?? '';
  // Two fill the guest's queue; the SYNs of the others are dropped, and sent again.
  const clients = await come(2);
  await slipway.reaches(() => queued() === '2', 'the queue is full');
  clients.push(...(await come(4)));
  program.stdin!.write('accept\n');
  for (const client of clients) assert.equal(String((await drained(client)).bytes), 'served');
});

test('a guest that limits how often clients may come resets those beyond, and serves the next', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nft')) return;
  const { home, slipway } = await publishing(t);
  await httpServer(t, slipway.guest, 80, 'hello');
  const forward = await expose(slipway, '8080:80');
  await isListening(slipway, forward);
  const chain = 'type filter hook input priority 0; tcp dport 80 ct state new limit rate over 1/second burst 3 packets';
  nsExec(slipway.guest, 'nft', `table inet slow { chain input { ${chain} reject with tcp reset; }; }`);
  const endings = await Promise.all(Array.from({ length: 12 }, () => answer(dial(t, home, 8080, '127.0.0.1'))));
  assert.ok(endings.includes('hello') && endings.includes('reset'), endings.join(' '));
  for (let last = ''; last !== 'hello'; ) last = await answer(dial(t, home, 8080, '127.0.0.1'));
  await isListening(slipway, forward);
});

test('clients of a guest that stands still for four seconds wait, and are served when it goes on', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const socket = join(temporaryFolder('ports'), 'net.sock');
  const { home, slipway } = await publishing(t, { mtu: 1_500, guest: false, listen: [`qemu+unix://${socket}`] });
  const guest = await plugGuest(t, { socket, address: '192.168.65.3' });
  await httpServer(t, guest.namespace, 80, 'hello');
  const forward = await expose(slipway, '8080:80');
  await isListening(slipway, forward);
  guest.pause();
  const clients = Array.from({ length: 5 }, () => answer(dial(t, home, 8080, '127.0.0.1')));
  // The time is what is tried: clients of a guest that was silent for so long were once refused.
  await setTimeout(4_000);
  guest.resume();
  assert.deepEqual(
    await Promise.all(clients),
    Array.from({ length: 5 }, () => 'hello'),
  );
});

test('what a guest sends by UDP from a published port comes from that port of the host', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const outside = createNamespace(t, 'outside');
  connectNamespaces(
    { namespace: home, device: 'up0', address: '10.1.0.2/24' },
    { namespace: outside, device: 'in0', address: '10.1.0.9/24' },
  );
  await expose(slipway, '27015:27015/udp');
  const remote = await udp(t, outside, '10.1.0.9', 27_010);
  const game = await udp(t, slipway.guest, '0.0.0.0', 27_015);
  const heard = once(remote, 'message');
  game.send('announce', 27_010, '10.1.0.9');
  const [, from] = await heard;
  assert.deepEqual([from.address, from.port], ['10.1.0.2', 27_015]);
  const answered = once(game, 'message');
  remote.send('welcome', 27_015, '10.1.0.2');
  const [bytes, peer] = await answered;
  assert.deepEqual([String(bytes), peer.address, peer.port], ['welcome', '10.1.0.9', 27_010]);
});

test('a guest whose sockets are seen refuses while nobody listens, and serves when somebody does', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const forward = await expose(slipway, '8080:80');
  await isWaiting(slipway, forward, /^nobody listens at port 80 of the guest$/);
  await assert.rejects(dialled(t, home, 8080, '127.0.0.1'), { code: 'ECONNREFUSED' });
  const { accept } = await listen(t, slipway.guest, { port: 80 });
  const from = performance.now();
  await isListening(slipway, forward);
  t.diagnostic(`listened after ${Math.round(performance.now() - from)} ms`);
  const client = await dialled(t, home, 8080, '127.0.0.1');
  (await accept()).end('served');
  assert.equal(String((await drained(client)).bytes), 'served');
});
