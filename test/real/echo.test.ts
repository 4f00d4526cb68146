import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, GATEWAY, HOST, Slipway } from '../support/slipway.ts';
import { dialled, drained, execute, listen, udp } from '../support/sockets.ts';
import { createRoutedNetwork, endFirewall, firewall, packetsSeen, ROUTER, SERVER } from './routed-network.ts';

test('a guest behind a router of the host', { timeout: 120_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'sysctl')) return;
  const { home, router, outside } = createRoutedNetwork(t);
  // Port 443 is open, 80 (traceroute's choice) is closed.
  await listen(t, outside, { port: 443 });
  const { guest } = await Slipway.start(t, { namespace: home });

  for (const [what, address] of [
    ['the gateway', GATEWAY],
    ['the host address', HOST],
    ['a server', SERVER],
  ] as const) {
    await t.test(`pings ${what}`, async (t) => {
      if (!needs(t, 'ping')) return;
      const { stdout, status } = await execute(t, guest, 'ping', '-n', '-c', '3', '-i', '0.2', '-W', '5', address);
      assert.match(stdout, /3 received/);
      assert.equal(status, 0);
    });
  }

  await t.test('pings with 8,000 bytes, by fragments on the host’s narrower link', async (t) => {
    if (!needs(t, 'ping')) return;
    const ping = ['ping', '-n', '-c', '1', '-W', '5', '-s', '8000', '-M'];
    assert.match((await execute(t, guest, ...ping, 'do', SERVER)).stdout, /Frag needed and DF set \(mtu = 1500\)/);
    assert.match((await execute(t, guest, ...ping, 'dont', SERVER)).stdout, /1 received/);
  });

  for (const bytes of [1472, 1473, 2000, 65_507]) {
    await t.test(`loses no ping of ${bytes} bytes that nobody may cut, not even the first`, async (t) => {
      if (!needs(t, 'ping')) return;
      nsExec(guest, 'ip', 'route', 'flush', 'cache');
      const ping = ['ping', '-n', '-c', '3', '-i', '0.2', '-W', '5', '-s', `${bytes}`, SERVER];
      const { stdout } = await execute(t, guest, ...ping);
      assert.match(stdout, /3 packets transmitted, 3 received, 0% packet loss/, stdout);
      assert.doesNotMatch(stdout, /errors/);
      const cached = nsExec(guest, 'ip', 'route', 'get', SERVER);
      assert.equal(/ mtu (\d+)/.exec(cached)?.[1], bytes > 1472 && bytes < 65_507 ? '1500' : undefined, cached);
    });
  }

  await t.test('hears from the router when a ping’s time to live is too short', async (t) => {
    if (!needs(t, 'ping')) return;
    const { stdout } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '5', '-t', '2', SERVER);
    assert.ok(stdout.includes(`From ${ROUTER} icmp_seq=1 Time to live exceeded`), stdout);
  });

  await t.test('hears that a host does not exist', async (t) => {
    if (!needs(t, 'ping')) return;
    firewall(router, 'forward', 'ip daddr 10.2.0.99 reject with icmp host-unreachable');
    t.after(() => endFirewall(router));
    const { stdout } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '5', '10.2.0.99');
    assert.ok(stdout.includes(`From ${ROUTER} icmp_seq=1 Destination Host Unreachable`), stdout);
  });

  for (const method of ['-I', '-U', '-T', '-T -p 443'] as const) {
    await t.test(`traceroute ${method} shows gateway, router and server, each at its real address`, async (t) => {
      if (!needs(t, 'traceroute')) return;
      const { stdout } = await execute(
        t,
        guest,
        'traceroute',
        '-n',
        ...method.split(' '),
        '-q',
        '1',
        '-w',
        '5',
        SERVER,
      );
      assert.match(stdout, new RegExp(`^ 1 +${GATEWAY.replaceAll('.', '\\.')} `, 'm'), stdout);
      assert.match(stdout, new RegExp(`^ 2 +${ROUTER.replaceAll('.', '\\.')} `, 'm'), stdout);
      assert.match(stdout, new RegExp(`^ 3 +${SERVER.replaceAll('.', '\\.')} `, 'm'), stdout);
    });
  }

  await t.test('tracepath shows gateway, router and server', async (t) => {
    if (!needs(t, 'tracepath')) return;
    const { stdout } = await execute(t, guest, 'tracepath', '-n', '-m', '5', SERVER);
    for (const address of [GATEWAY, ROUTER, SERVER]) assert.ok(stdout.includes(` ${address} `), stdout);
  });

  await t.test('tracepath finds a narrower link’s MTU behind the router', async (t) => {
    if (!needs(t, 'tracepath')) return;
    nsExec(router, 'ip', 'link', 'set', 'out0', 'mtu', '1300');
    nsExec(outside, 'ip', 'link', 'set', 'in0', 'mtu', '1300');
    const { stdout } = await execute(t, guest, 'tracepath', '-n', '-m', '5', SERVER);
    assert.match(stdout, /pmtu 1300/, stdout);
  });
});

test('where the host may only send of its own (a VPN), a guest is one of its programs', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nft', 'sysctl', 'ping')) return;
  const { home, outside } = createRoutedNetwork(t);
  nsExec(home, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  firewall(home, 'forward', 'counter name seen drop');
  const { guest } = await Slipway.start(t, { namespace: home });
  const { port, accept } = await listen(t, outside);
  const client = await dialled(t, guest, port, SERVER);
  client.end('by TCP');
  assert.equal(String((await drained(await accept())).bytes), 'by TCP');

  const server = await udp(t, outside, SERVER);
  server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
  const sender = await udp(t, guest);
  const echoed = once(sender, 'message');
  sender.send('by UDP', server.address().port, SERVER);
  assert.equal(String((await echoed)[0]), 'by UDP');

  const { stdout } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '5', SERVER);
  assert.match(stdout, /1 received/);
  assert.equal(packetsSeen(home), 0, 'nothing was forwarded');
});
