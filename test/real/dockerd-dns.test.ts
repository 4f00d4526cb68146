import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bundleGuest } from '../../scripts/guest-bundle.ts';
import {
  canRunDnsHosts,
  compileMuslLookup,
  DnsHost,
  dig,
  guestOf,
  type Place,
  serve,
  withoutTtl,
} from '../support/dns-host.ts';
import { authZone, REVERSE, WORLD } from '../support/dns-zones.ts';
import { canRunDockerd, Dockerd } from '../support/dockerd.ts';
import { listen } from '../support/sockets.ts';

const NAMESERVER = '127.0.0.2';
const HOST = '192.168.65.254';
/** docker0's address, unless dockerd finds a reason for another. */
const BRIDGE = '172.17.0.1';
/** The resolv.conf of a guest whose nameserver is its own `slipway guest dns`. */
const OWN = 'nameserver 127.0.0.1\n';
const LIMITS = { timeout: 60_000 };

interface World {
  readonly host: DnsHost;
  /** The guest as programs outside containers see it. */
  readonly guest: Place;
  readonly dockerd: Dockerd;
}

/**
 * As in the virtual machine: dockerd, before it `slipway guest dns`, before that Slipway, and the host's nameserver.
 */
async function world(t: TestContext): Promise<World> {
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n`, hosts: '192.0.2.99 printer.home' });
  await host.unbound(NAMESERVER, [
    'local-zone: "2.0.192.in-addr.arpa" nodefault',
    // Else it would ask the root, which is not there.
    'local-zone: "db" static',
    ...authZone(host.folder, 'world.example', WORLD),
    ...authZone(host.folder, '2.0.192.in-addr.arpa', REVERSE),
  ]);
  const guest = guestOf(await host.slipway({ ipv6: 'always' }));
  const bundle = join(host.folder, 'guest.mjs');
  await bundleGuest(bundle);
  // Only the guest's network: its /proc shows no process from outside, not even this one to itself.
  const enter = ['nsenter', `--net=${guest.namespace.path}`, '--'];
  const dns = await serve(t, /^process \d+; /, ...enter, process.execPath, bundle, 'dns');
  const dockerd = await Dockerd.start(t, guest, { resolvConf: OWN });
  await dns.says(/^listening at 172\.17\.0\.1:53 \(docker0\)/);
  return { host, guest, dockerd };
}

test('containers behind a real dockerd get what the guest itself gets', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'unbound', 'busybox', 'curl', 'musl-gcc') || !canRunDockerd(t)) return;
  const { host, guest, dockerd } = await world(t);
  const musl = compileMuslLookup(host);
  await dockerd.docker('network', 'create', 'web');
  const options = ['--volume', `${musl}:/musl-lookup:ro`];
  const [embedded, over, plain] = await Promise.all([
    dockerd.container('app', '--network', 'web', ...options),
    dockerd.container('api', '--network', 'web', '--dns', BRIDGE, ...options),
    dockerd.container('plain', '--dns', BRIDGE, ...options),
    dockerd.container('db', '--network', 'web', '--network-alias', 'database'),
  ]);
  const places: readonly (readonly [string, Place])[] = [
    ['dockerd’s DNS before 127.0.0.1', embedded],
    ['dockerd’s DNS before the bridge’s address', over],
    ['the bridge’s address alone', plain],
  ];

  await t.test('a container of the same network is found by name and by alias, and by no other', async () => {
    const inspect = '{{(index .NetworkSettings.Networks "web").IPAddress}}';
    const db = (await dockerd.docker('inspect', '--format', inspect, 'db')).trim();
    for (const container of [embedded, over]) {
      assert.match(await container.succeed('cat', '/etc/resolv.conf'), /^nameserver 127\.0\.0\.11$/m);
      assert.match(await container.succeed('busybox', 'nslookup', 'db'), new RegExp(`^Address: ${db}$`, 'm'));
      assert.match(await container.succeed('getent', 'ahosts', 'database'), new RegExp(`^${db} +STREAM`));
      assert.equal(await container.succeed('/musl-lookup', 'db', 'database'), `db: ${db}\ndatabase: ${db}\n`);
    }
    assert.equal((await plain.succeed('cat', '/etc/resolv.conf')).trim(), `nameserver ${BRIDGE}`);
    assert.equal((await plain.run('getent', 'ahosts', 'db')).status, 2);
    assert.equal((await dig(plain, 'db')).status, 'NXDOMAIN');
  });

  for (const [what, container] of places) {
    await t.test(`${what}: host.docker.internal is the host, and its servers answer there`, async () => {
      const { port, accept } = await listen(t, host.namespace, { host: '127.0.0.1' });
      const answered = accept().then((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nfrom the host'));
      const got = container.succeed('curl', '--silent', '--show-error', `http://host.docker.internal:${port}/`);
      assert.equal(await got, 'from the host');
      await answered;
      assert.match(
        await container.succeed('busybox', 'nslookup', 'host.docker.internal'),
        /^Address: 192\.168\.65\.254$/m,
      );
      assert.deepEqual(await addresses(container, 'host.docker.internal'), [HOST]);
      assert.deepEqual(await addresses(container, 'docker.for.mac.host.internal'), [HOST]);
      assert.equal((await dig(container, 'nobody.docker.internal')).status, 'NXDOMAIN');
    });

    await t.test(`${what}: glibc, musl and busybox look outside names up`, async () => {
      assert.deepEqual(await addresses(container, 'printer.home'), ['192.0.2.99']);
      assert.deepEqual(await addresses(container, 'www.world.example'), ['192.0.2.1']);
      assert.deepEqual(await addresses(container, 'four.world.example'), ['192.0.2.4']);
      assert.equal((await container.run('getent', 'ahosts', 'nobody.world.example')).status, 2);
      assert.equal(
        await container.succeed('/musl-lookup', 'www.world.example', 'four.world.example', 'nobody.world.example'),
        'www.world.example: 192.0.2.1 2001:db8::1\nfour.world.example: 192.0.2.4\nnobody.world.example: error -2\n',
      );
      const text = await container.succeed('busybox', 'nslookup', '-type=txt', 'text.world.example');
      assert.match(text, /^text\.world\.example\ttext = "v=spf1 -all"$/m);
      assert.match(await container.succeed('busybox', 'nslookup', '192.0.2.4'), /name = four\.world\.example$/m);
    });

    await t.test(`${what}: every type, NXDOMAIN, NODATA and TXT of 40 kB over TCP pass unchanged`, async () => {
      const same = async (...args: string[]): Promise<Awaited<ReturnType<typeof dig>>> => {
        const [there, here] = await Promise.all([dig(container, ...args), dig(guest, '@127.0.0.1', ...args)]);
        assert.equal(there.status, here.status, `${args.join(' ')}: ${there.text}${here.text}`);
        assert.deepEqual(withoutTtl(there.answer), withoutTtl(here.answer));
        assert.deepEqual(withoutTtl(there.authority), withoutTtl(here.authority));
        return there;
      };
      for (const type of ['A', 'AAAA', 'HTTPS']) assert.equal((await same('one.world.example', type)).answer.length, 1);
      for (const type of ['MX', 'CAA', 'NS', 'SOA']) assert.ok((await same('world.example', type)).answer.length > 0);
      assert.equal((await same('_sip._tcp.world.example', 'SRV')).answer.length, 2);
      assert.equal((await same('_443._tcp.one.world.example', 'TLSA')).answer.length, 1);
      assert.equal((await same('www.world.example')).answer.length, 4);

      const missing = await same('nobody.world.example');
      assert.deepEqual([missing.status, missing.authority.length], ['NXDOMAIN', 1]);
      const empty = await same('four.world.example', 'AAAA');
      assert.deepEqual([empty.status, empty.answer.length, empty.authority.length], ['NOERROR', 0, 1]);

      for (const size of ['big3000', 'big40000']) {
        for (const flags of [['+edns'], ['+noedns']]) {
          const big = await same(`${size}.world.example`, 'TXT', ...flags);
          assert.equal(big.answer.length, 1);
          assert.match(big.text, /SERVER: [\d.#()]+ \(TCP\)/);
        }
      }
    });
  }

  await t.test('without --dns the default bridge’s containers are not given 127.0.0.1, so they need it', async () => {
    const lost = await dockerd.container('lost');
    // Docker puts public nameservers in its place: the split DNS of the host is not theirs.
    assert.doesNotMatch(await lost.succeed('cat', '/etc/resolv.conf'), /127\.0\.0\.1|172\.17\.0\.1/);
  });
});

test(
  'a resolv.conf with docker0’s usual address moves docker0 away from it, unless --bip says where',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t) || !canRunDockerd(t)) return;
    const resolvConf = `nameserver ${BRIDGE}\n`;
    const bridge = async (...args: string[]): Promise<[string, Dockerd]> => {
      const host = await DnsHost.start(t, { resolvConf: '' });
      const dockerd = await Dockerd.start(t, host, { resolvConf, args });
      const address = await host.succeed('ip', '-4', '-oneline', 'address', 'show', 'docker0');
      return [/inet (\S+)/.exec(address)![1]!, dockerd];
    };
    const [[moved], [stayed, dockerd]] = await Promise.all([bridge(), bridge('--bip', `${BRIDGE}/16`)]);
    assert.doesNotMatch(moved, /^172\.17\./);
    assert.equal(stayed, `${BRIDGE}/16`);
    const container = await dockerd.container('plain');
    assert.match(await container.succeed('cat', '/etc/resolv.conf'), /^nameserver 172\.17\.0\.1$/m);
  },
);

/** What glibc finds: of IPv6 nothing, as a container has none. */
async function addresses(place: Place, name: string): Promise<string[]> {
  const lines = (await place.succeed('getent', 'ahosts', name)).split('\n');
  return lines.filter((line) => line.includes('STREAM')).map((line) => line.split(' ')[0]!);
}
