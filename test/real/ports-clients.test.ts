import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../support/dns-host.ts';
import { nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, fetched, isListening, nginx, publishing, socketSpec } from '../support/published.ts';
import { needsQemu, QemuGuest } from '../support/qemu-guest.ts';
import { canRunGuests } from '../support/slipway.ts';
import { dialled, execute, listen } from '../support/sockets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { download, MIB, upload } from './transfers.ts';

/** One more address of the host. */
const OWN = '10.1.0.2';

test('nginx of a guest is published at every address of the host', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nginx', 'curl')) return;
  const { home, slipway } = await publishing(t);
  nsExec(home, 'ip', 'address', 'add', `${OWN}/24`, 'dev', 'lo');
  await nginx(t, slipway.guest);
  const forward = await expose(slipway, '8080:80');
  assert.deepEqual([forward.state, forward.boundPort, forward.descriptors], ['listening', 8080, 2]);

  for (const host of ['127.0.0.1', '[::1]', 'localhost', OWN]) {
    await t.test(`curl http://${host}:8080/`, async (t) => {
      assert.equal(await fetched(t, home, `http://${host}:8080/`), 'hello');
    });
  }

  await t.test('a file of 4 MiB comes whole', async (t) => {
    const file = join(temporaryFolder('ports'), 'big');
    await fetched(t, home, '-o', file, 'http://127.0.0.1:8080/big');
    assert.equal(statSync(file).size, 4 * MIB);
  });

  await t.test('by a unix socket of the host', async (t) => {
    const path = join(temporaryFolder('ports'), 'web.sock');
    assert.equal((await expose(slipway, socketSpec(path, 80))).state, 'listening');
    assert.equal(await fetched(t, home, '--unix-socket', path, 'http://web/'), 'hello');
    // Somebody removed it: exposing it again makes it again.
    rmSync(path);
    await expose(slipway, socketSpec(path, 80));
    assert.equal(await fetched(t, home, '--unix-socket', path, 'http://web/'), 'hello');
  });

  await t.test('one address alone is published there alone', async (t) => {
    await expose(slipway, '127.0.0.1:8081:80');
    await expose(slipway, '[::1]:8082:80');
    assert.equal(await fetched(t, home, 'http://127.0.0.1:8081/'), 'hello');
    assert.equal(await fetched(t, home, 'http://[::1]:8082/'), 'hello');
    for (const [host, port] of [
      ['::1', 8081],
      [OWN, 8081],
      ['127.0.0.1', 8082],
    ] as const) {
      await assert.rejects(dialled(t, home, port, host), { code: 'ECONNREFUSED' });
    }
  });
});

test('iperf3 and checksummed transfers go both ways through a forward', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'iperf3')) return;
  const { home, slipway } = await publishing(t);
  await serve(t, /Server listening/, 'nsenter', `--net=${slipway.guest.path}`, '--', 'iperf3', '--forceflush', '-s');
  await expose(slipway, '5201:5201');
  await expose(slipway, '5201:5201/udp');
  for (const [way, ...flags] of [
    ['up', '-n', '256M'],
    ['down', '-n', '256M', '-R'],
    ['both ways', '-n', '64M', '--bidir'],
    ['by UDP', '-n', '8M', '-u', '-b', '100M', '-l', '1400'],
  ] as const) {
    await t.test(`iperf3 ${way}`, async (t) => {
      const { status, stdout } = await execute(t, home, 'iperf3', '-J', '-c', '127.0.0.1', ...flags);
      assert.equal(status, 0, stdout);
      const { end } = JSON.parse(stdout) as { readonly end: Readonly<Record<string, { readonly bytes: number }>> };
      // A sender that is through ends the count, whatever is still on its way; and datagrams may be lost.
      const least = way === 'up' || way === 'down' ? 128 * MIB : 1;
      assert.ok((end.sum_received ?? end.sum)!.bytes >= least, stdout);
    });
  }
  const { port, accept } = await listen(t, slipway.guest);
  await expose(slipway, `9000:${port}`);
  for (const way of ['up', 'down'] as const) {
    await t.test(`128 MiB ${way} by checksum`, async (t) => {
      const client = await dialled(t, home, 9000, '127.0.0.1');
      const server = await accept();
      const [from, to] = way === 'up' ? [client, server] : [server, client];
      const [sent, received] = await Promise.all([upload(from, 128 * MIB), download(to)]);
      assert.equal(received, sent);
    });
  }
});

test('dig asks the name server of a guest through a forward of UDP and one of TCP', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'dig', 'dnsmasq')) return;
  const { home, slipway } = await publishing(t);
  const options = [
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    '--pid-file',
    '--log-facility=-',
    '--address=/web.test/192.0.2.7',
  ];
  await serve(
    t,
    /started, version/,
    'nsenter',
    `--net=${slipway.guest.path}`,
    '--',
    'dnsmasq',
    '--keep-in-foreground',
    ...options,
  );
  await expose(slipway, '5353:53/udp');
  await expose(slipway, '5353:53');
  for (const server of ['127.0.0.1', '::1']) {
    for (const transport of ['+notcp', '+tcp']) {
      await t.test(`dig @${server} ${transport}`, async (t) => {
        const argv = ['dig', `@${server}`, '-p', '5353', transport, '+tries=2', '+time=5', '+short', 'web.test'];
        assert.equal((await execute(t, home, ...argv)).stdout, '192.0.2.7\n');
      });
    }
  }
});

test('a port of a QEMU VM is published before the VM boots, and works once its server runs', {
  timeout: 120_000,
}, async (t) => {
  if (!needsQemu(t) || !needs(t, 'curl')) return;
  const path = join(temporaryFolder('ports'), 'net.sock');
  const { home, slipway } = await publishing(t, { mtu: 1_500, guest: false, listen: [`qemu+unix://${path}`] });
  const [tcp, udp] = [await expose(slipway, '8080:80'), await expose(slipway, '5353:5353/udp')];
  assert.equal(tcp.state, 'waiting');
  assert.equal(tcp.why, 'no guest is there');
  await assert.rejects(dialled(t, home, 8080, '127.0.0.1'), { code: 'ECONNREFUSED' });

  const guest = await QemuGuest.start({ plug: { dial: path } });
  t.after(() => guest.stop());
  await guest.lease();
  await guest.succeed('mkdir -p /tmp/www && echo hello from a VM > /tmp/www/page && httpd -p 80 -h /tmp/www');
  await isListening(slipway, tcp);
  assert.equal(await fetched(t, home, 'http://127.0.0.1:8080/page'), 'hello from a VM\n');
  assert.equal(await fetched(t, home, 'http://[::1]:8080/page'), 'hello from a VM\n');
  await isListening(slipway, udp);
});
