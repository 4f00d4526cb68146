import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { canRunDnsHosts, compileMuslLookup, DnsHost } from '../support/dns-host.ts';
import { authZone, REVERSE, WORLD } from '../support/dns-zones.ts';
import { needsQemu, QemuGuest } from '../support/qemu-guest.ts';

const NAMESERVER = '127.0.0.2';

test('a QEMU VM resolves names as its host does', { timeout: 300_000 }, async (t) => {
  if (!canRunDnsHosts(t, 'unbound', 'musl-gcc') || !needsQemu(t)) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n`, hosts: '192.0.2.99 printer.home' });
  await host.unbound(NAMESERVER, [
    ...['local-zone: "home" static', 'local-zone: "2.0.192.in-addr.arpa" nodefault'],
    ...[...authZone(host.folder, 'world.example', WORLD), ...authZone(host.folder, '2.0.192.in-addr.arpa', REVERSE)],
  ]);
  const socket = join(host.folder, 'vm.sock');
  await host.slipway({ ipv6: 'always' }, { guest: false, listen: [`qemu+unix://${socket}`] });
  const guest = await QemuGuest.start({ plug: { dial: socket }, programs: [compileMuslLookup(host)] });
  t.after(() => guest.stop());
  await guest.lease();

  await t.test('busybox: both families, aliases, other types, backwards, what does not exist', async () => {
    const nslookup = async (...args: string[]): Promise<string> =>
      (await guest.run(`nslookup ${args.join(' ')}`)).output;
    const both = await nslookup('www.world.example');
    for (const address of ['192.0.2.1', '2001:db8::1']) assert.ok(both.includes(`Address: ${address}\n`), both);
    assert.match(await nslookup('four.world.example'), /Address: 192\.0\.2\.4\n/);
    assert.match(await nslookup('-type=srv', '_sip._tcp.world.example'), /service = 10 60 5060 one\.world\.example/);
    assert.match(await nslookup('-type=mx', 'world.example'), /mail exchanger = 10 mail\.world\.example/);
    assert.match(await nslookup('192.0.2.4'), /name = four\.world\.example/);
    assert.match(await nslookup('nobody.world.example'), /NXDOMAIN/);
    assert.match(await nslookup('printer.home'), /Address: 192\.0\.2\.99\n/);
  });

  await t.test(
    'musl finds names that have one family only, in the nameserver or in the host’s hosts file',
    async () => {
      const names = ['four.world.example', 'six.world.example', 'printer.home', 'nobody.world.example'];
      assert.deepEqual((await guest.succeed(`musl-lookup ${names.join(' ')}`)).trim().split('\n'), [
        'four.world.example: 192.0.2.4',
        'six.world.example: 2001:db8::6',
        'printer.home: 192.0.2.99',
        'nobody.world.example: error -2',
      ]);
    },
  );

  await t.test('glibc, in the static busybox, pings by name', async () => {
    assert.match(await guest.succeed('ping -c 1 -W 5 web.world.example'), /1 packets received/);
    assert.match(await guest.succeed('ping -c 1 -W 5 host.docker.internal'), /1 packets received/);
  });
});
