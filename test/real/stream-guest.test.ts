import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { GATEWAY, HOST, Slipway, type SlipwayOptions } from '../support/slipway.ts';
import { connected, drained, endingOf, execute, refusedPort, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest, TAP } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { MIB, transfer } from './transfers.ts';

interface Listening {
  readonly slipway: Slipway;
  readonly socket: string;
}

async function listening(t: TestContext, options: SlipwayOptions = {}): Promise<Listening> {
  const folder = temporaryFolder('test');
  const socket = join(folder, 'net.sock');
  const listen = [`qemu+unix://${socket}`, ...(options.listen ?? [])];
  return { slipway: await Slipway.start(t, { mtu: 1_500, ...options, guest: false, listen }), socket };
}

async function pings(t: TestContext, guest: TestNamespace, address: string): Promise<boolean> {
  const { status } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '2', address);
  return status === 0;
}

for (const engine of ['epoll', 'node'] as const) {
  test(`a guest on a QEMU stream, host engine ${engine}`, { timeout: 120_000 }, async (t) => {
    if (!canRunStreamGuests(t)) return;
    for (const mtu of [1_500, 65_520]) {
      const { socket } = await listening(t, { engine, mtu });
      const { namespace } = await plugGuest(t, { socket, mtu, address: '192.168.65.3' });
      for (const way of ['down', 'up'] as const) {
        await t.test(`moves 128 MiB ${way} by checksum at MTU ${mtu}`, (t) => transfer(t, namespace, way, 128 * MIB));
      }
      await t.test(`half-closes both ways at MTU ${mtu}`, async (t) => {
        for (const first of ['guestSide', 'hostSide'] as const) {
          const sides = await connected(t, namespace, HOST, { allowHalfOpen: true });
          const [closing, answering] =
            first === 'guestSide' ? [sides.guestSide, sides.hostSide] : [sides.hostSide, sides.guestSide];
          closing.end('first');
          assert.equal(String((await drained(answering)).bytes), 'first');
          const bytes = randomBytes(2 * MIB);
          answering.end(bytes);
          const got = await drained(closing);
          assert.ok(got.bytes.equals(bytes) && got.ending === 'end', `${got.bytes.length} bytes, then ${got.ending}`);
        }
      });
      await t.test(`reads 10 bytes and a reset, and a refusal, at MTU ${mtu}`, async (t) => {
        const { guestSide, hostSide } = await connected(t, namespace, HOST);
        hostSide.write('0123456789', () => hostSide.resetAndDestroy());
        const got = await drained(guestSide);
        assert.deepEqual([String(got.bytes), got.ending], ['0123456789', 'ECONNRESET']);
        const { stderr } = await execute(t, namespace, 'nc', '-v', '-w', '5', HOST, `${await refusedPort(t)}`);
        assert.match(stderr, /refused/);
      });
      await t.test(`has its UDP echoed at every size at MTU ${mtu}`, async (t) => {
        const server = await udp(t, undefined, '127.0.0.1');
        server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
        const client = await udp(t, namespace);
        for (const size of [1, 1_472, 8_000, 65_507]) {
          const bytes = randomBytes(size);
          const answer = once(client, 'message') as Promise<[Buffer]>;
          client.send(bytes, server.address().port, HOST);
          assert.ok((await answer)[0].equals(bytes));
        }
      });
    }
  });
}

test('guests of one network', { timeout: 120_000 }, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'ping')) return;
  const { slipway, socket } = await listening(t);
  const one = await plugGuest(t, { socket, address: '192.168.65.10' });
  const two = await plugGuest(t, { socket, address: '192.168.65.11' });

  await t.test('ping each other, and a static address works like a lease', async (t) => {
    assert.ok(await pings(t, one.namespace, '192.168.65.11'));
    assert.ok(await pings(t, two.namespace, '192.168.65.10'));
    assert.ok(await pings(t, one.namespace, GATEWAY));
    await transfer(t, one.namespace, 'down', MIB);
  });

  await t.test('cannot take the gateway’s address: it is counted, and the others keep their network', async (t) => {
    const thief = await plugGuest(t, { socket, address: GATEWAY });
    nsExec(thief.namespace, 'ip', 'address', 'add', '192.168.65.12/24', 'dev', TAP);
    const macOf = (address: string): string =>
      nsExec(one.namespace, 'ip', '-o', 'neigh', 'show', address).replace(/ [A-Z]+ *\n$/, '');
    const before = [macOf(GATEWAY), await slipway.counter('arp-gateway-address-claimed')] as const;
    // Its own ARP request for the other guest names the sender's address.
    await execute(t, thief.namespace, 'ping', '-n', '-c', '1', '-W', '1', '-I', GATEWAY, '192.168.65.10');
    assert.ok((await slipway.counter('arp-gateway-address-claimed')) > before[1]);
    assert.equal(macOf(GATEWAY), before[0]);
    assert.match(slipway.log.join('\n'), /claims an address of the gateway/);
    assert.ok(await pings(t, one.namespace, GATEWAY));
    await transfer(t, one.namespace, 'down', MIB);
  });

  await t.test('cannot take the gateway’s MAC', async (t) => {
    const thief = await plugGuest(t, { socket, mac: '5a:94:ef:e4:0c:dd', address: '192.168.65.13' });
    await pings(t, thief.namespace, '192.168.65.10');
    assert.ok((await slipway.counter('switch-gateway-mac-claimed')) > 0);
    assert.ok(await pings(t, one.namespace, GATEWAY));
  });

  await t.test('are not heard from an address outside the subnet', async (t) => {
    const liar = await plugGuest(t, { socket, address: '192.168.65.14' });
    assert.ok(await pings(t, liar.namespace, GATEWAY), 'which also tells it the gateway’s MAC');
    nsExec(liar.namespace, 'ip', 'address', 'add', '10.99.99.99/32', 'dev', TAP);
    const before = await slipway.counter('ipv4-spoofed-source');
    await execute(t, liar.namespace, 'ping', '-n', '-c', '1', '-W', '1', '-I', '10.99.99.99', GATEWAY);
    assert.ok((await slipway.counter('ipv4-spoofed-source')) > before);
  });

  await t.test('may leave and come back', async (t) => {
    const guest = await plugGuest(t, { socket, address: '192.168.65.15' });
    assert.ok(await pings(t, guest.namespace, GATEWAY));
    await guest.unplug();
    const again = await plugGuest(t, { socket, mac: guest.mac, address: '192.168.65.15' });
    assert.ok(await pings(t, again.namespace, GATEWAY));
    assert.ok(await pings(t, one.namespace, '192.168.65.15'));
  });
});

test('udhcpc gets a lease with router, name server, mask and MTU, and the same one again', async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'udhcpc')) return;
  const { socket } = await listening(t);
  const guest = await plugGuest(t, { socket });
  const script = join(import.meta.dirname, '../support/print-lease.sh');
  const ask = ['udhcpc', '-f', '-n', '-q', '-i', TAP, '-t', '5', '-T', '2', '-O', 'mtu', '-s', script];
  const first = await execute(t, guest.namespace, ...ask);
  assert.match(first.stdout, /^lease 192\.168\.65\.\d+\/24 router 192\.168\.65\.1 dns 192\.168\.65\.1 mtu 1500$/m);
  const second = await execute(t, guest.namespace, ...ask);
  const line = /^lease .*$/m;
  assert.equal(line.exec(second.stdout)?.[0], line.exec(first.stdout)?.[0]);
});

test('a guest whose frames bear tags of VLAN 0 has all of the network: DHCP, ARP, TCP, UDP, ping, its neighbours', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'udhcpc', 'ping')) return;
  const { socket } = await listening(t);
  const { namespace } = await plugGuest(t, { socket, priorityTags: true });
  const beside = await plugGuest(t, { socket, address: '192.168.65.77' });
  const script = join(import.meta.dirname, '../support/print-lease.sh');
  const asked = await execute(t, namespace, 'udhcpc', '-f', '-n', '-q', '-i', TAP, '-t', '5', '-T', '2', '-s', script);
  const lease = /^lease (192\.168\.65\.\d+\/24) router/m.exec(asked.stdout)?.[1];
  assert.ok(lease !== undefined, asked.stdout);
  nsExec(namespace, 'ip', 'address', 'replace', lease, 'dev', TAP);
  nsExec(namespace, 'ip', 'route', 'replace', 'default', 'via', GATEWAY);
  for (const address of [GATEWAY, HOST, '192.168.65.77']) assert.ok(await pings(t, namespace, address), address);
  assert.ok(await pings(t, beside.namespace, lease.split('/')[0]!));
  for (const way of ['down', 'up'] as const) await transfer(t, namespace, way, 4 * MIB);
  const server = await udp(t, undefined, '127.0.0.1');
  server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
  const client = await udp(t, namespace);
  const bytes = randomBytes(8_000);
  const answer = once(client, 'message') as Promise<[Buffer]>;
  client.send(bytes, server.address().port, HOST);
  assert.ok((await answer)[0].equals(bytes));
});

test('a web browser on the QEMU port is detached with one line, and the guest beside it never notices', async (t) => {
  if (!canRunStreamGuests(t)) return;
  const { slipway, socket } = await listening(t, { listen: ['qemu+tcp://127.0.0.1:0'] });
  const guest = await plugGuest(t, { socket, address: '192.168.65.3' });
  const running = transfer(t, guest.namespace, 'down', 64 * MIB);
  const before = slipway.said.length;
  const stranger = connect(slipway.port(1), '127.0.0.1').resume();
  const ending = endingOf(stranger);
  stranger.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.match(await ending, /^(end|ECONNRESET)$/);
  await slipway.hear((said) => said.event === 'log' && /HTTP/.test(String(said.message)));
  await running;
  const warnings = slipway.said.slice(before).filter((said) => said.level === 'warn');
  assert.equal(warnings.length, 1, JSON.stringify(warnings));
});
