import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { canRunDnsHosts, type Daemon, DnsHost, dig, guestOf, type Place } from '../support/dns-host.ts';

const WORLD = '127.0.0.2';
const CORP = '127.0.0.53';
const LIMITS = { timeout: 60_000 };

/** Who answers shows in the address: every nameserver knows every name, as its own. */
function knowsAll(address: string, name: string): string[] {
  const pointer = ['1.0.0.10', '1.0.168.192'].map((reversed) => `ptr-record=${reversed}.in-addr.arpa,${name}`);
  return ['log-queries', `address=/#/${address}`, `txt-record=text.corp.example,${name}`, ...pointer];
}

interface SplitHost {
  readonly host: DnsHost;
  readonly world: Daemon;
  readonly corp: Daemon;
}

async function splitHost(t: TestContext, resolvConf = `nameserver ${WORLD}\n`): Promise<SplitHost> {
  const host = await DnsHost.start(t, { resolvConf });
  const world = await host.dnsmasq(WORLD, ...knowsAll('192.0.2.1', 'world'));
  const corp = await host.dnsmasq(CORP, ...knowsAll('10.0.0.1', 'corp'));
  return { host, world, corp };
}

/** Lines of a dnsmasq with log-queries that tell of a question for `name`. */
function heard({ said }: Daemon, name: string): string[] {
  return said.filter((line) => line.includes(` ${name} from `));
}

async function data(place: Place, ...args: string[]): Promise<string[]> {
  return (await dig(place, ...args)).answer.map((record) => record.split(' ').slice(4).join(' '));
}

test('a rule sends its domain to its nameservers, and nothing of it to any other', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const { host, world, corp } = await splitHost(t);
  const deep = await host.dnsmasq('127.0.0.54', 'port=5353', ...knowsAll('10.0.0.2', 'deep'));
  const rules = {
    'corp.example': [CORP],
    'deep.corp.example': ['127.0.0.54:5353'],
    '10.in-addr.arpa': [CORP],
    'dead.example': ['127.0.0.99'],
  };
  const guest = guestOf(await host.slipway({ rules }));
  assert.deepEqual(await data(guest, 'corp.example'), ['10.0.0.1']);
  assert.deepEqual(await data(guest, 'a.b.CORP.example'), ['10.0.0.1']);
  assert.deepEqual(await data(guest, 'text.corp.example', 'TXT'), ['"corp"']);
  assert.deepEqual(await data(guest, 'a.deep.corp.example'), ['10.0.0.2']);
  assert.deepEqual(await data(guest, 'notcorp.example'), ['192.0.2.1']);
  assert.deepEqual(await data(guest, 'example'), ['192.0.2.1']);
  assert.deepEqual(await data(guest, '-x', '10.0.0.1'), ['corp.']);
  assert.deepEqual(await data(guest, '-x', '192.168.0.1'), ['world.']);
  assert.match(await guest.succeed('getent', 'ahosts', 'wiki.corp.example'), /^10\.0\.0\.1 /);
  // A VPN that is down: its names are nobody else's business.
  assert.equal((await dig(guest, 'a.dead.example')).status, 'SERVFAIL');

  assert.ok(heard(world, 'notcorp.example').length > 0, 'dnsmasq tells of questions');
  for (const name of [
    'corp.example',
    'text.corp.example',
    'wiki.corp.example',
    'a.dead.example',
    'a.deep.corp.example',
  ]) {
    assert.deepEqual(heard(world, name), []);
  }
  assert.deepEqual(heard(corp, 'a.deep.corp.example'), []);
  assert.ok(heard(deep, 'a.deep.corp.example').length > 0);
});

test(
  'an own list of upstreams stands in the place of the host’s resolver, over IPv6 and with ports',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq')) return;
    const { host, world } = await splitHost(t);
    await host.address('fd00::53/128');
    await host.dnsmasq('fd00::53', 'port=5353', ...knowsAll('10.0.0.6', 'six'));
    host.hosts('10.9.9.9 printer.home');
    const guest = guestOf(
      await host.slipway({
        upstreams: ['[fd00::53]:5353'],
        rules: { 'corp.example': [CORP] },
        hosts: { 'db.example': '10.1.1.1' },
      }),
    );
    assert.deepEqual(await data(guest, 'any.example'), ['10.0.0.6']);
    assert.deepEqual(await data(guest, 'a.corp.example'), ['10.0.0.1']);
    assert.deepEqual(await data(guest, 'printer.home'), ['10.0.0.6'], 'not the host’s file: these upstreams decide');
    assert.deepEqual(await data(guest, 'db.example'), ['10.1.1.1']);
    const nodata = await dig(guest, 'db.example', 'AAAA');
    assert.deepEqual([nodata.status, nodata.answer], ['NOERROR', []]);
    assert.deepEqual(await data(guest, 'host.docker.internal'), ['192.168.65.254']);
    assert.deepEqual(
      world.said.filter((line) => line.includes('query[')),
      [],
    );
  },
);

test('a name with one family never meets the host’s search list, whatever that answers', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const host = await DnsHost.start(t, {
    resolvConf: 'search corp.example\nnameserver 127.0.0.2\n',
    hosts: '10.0.0.7 only4.lan',
  });
  // A wildcard for IPv6 in the search domain: glibc, asked for IPv6 alone, goes on to github.example.corp.example.
  const wildcard = ['log-queries', 'address=/corp.example/2001:db8::bad', 'host-record=github.example,10.1.1.1'];
  const server = await host.dnsmasq('127.0.0.2', ...wildcard, 'local=/lan/');
  const guest = guestOf(await host.slipway({ ipv6: 'always' }));
  assert.deepEqual(await data(guest, 'github.example'), ['10.1.1.1']);
  assert.deepEqual(await data(guest, 'only4.lan'), ['10.0.0.7']);
  for (const name of ['github.example', 'only4.lan']) {
    const six = await dig(guest, name, 'AAAA');
    assert.deepEqual([six.status, six.answer], ['NOERROR', []], name);
  }
  assert.ok(heard(server, 'github.example').length > 0, 'dnsmasq tells of questions');
  assert.deepEqual(
    server.said.filter((line) => line.includes('example.corp.example') || line.includes('lan.corp.example')),
    [],
  );
});

for (const program of ['dnsmasq', 'unbound'] as const) {
  test(
    `a host that splits its names itself, by ${program}: the guest sees each as the host does`,
    LIMITS,
    async (t) => {
      if (!canRunDnsHosts(t, 'dnsmasq', program)) return;
      const local = '127.0.0.3';
      const { host, world } = await splitHost(t, `nameserver ${local}\n`);
      if (program === 'dnsmasq') {
        const split = [`server=/corp.example/${CORP}`, `server=/10.in-addr.arpa/${CORP}`, `server=${WORLD}`];
        await host.dnsmasq(local, ...split);
      } else {
        const forward = (name: string, to: string): string[] => [
          ...['forward-zone:', `name: "${name}"`, `forward-addr: ${to}`],
        ];
        await host.unbound(local, [
          ...['local-zone: "10.in-addr.arpa" nodefault', 'local-zone: "168.192.in-addr.arpa" nodefault'],
          ...[...forward('corp.example', CORP), ...forward('10.in-addr.arpa', CORP), ...forward('.', WORLD)],
        ]);
      }
      const guest = guestOf(await host.slipway());
      for (const place of [host, guest]) {
        assert.deepEqual(await data(place, 'a.corp.example'), ['10.0.0.1']);
        assert.deepEqual(await data(place, 'text.corp.example', 'TXT'), ['"corp"']);
        assert.deepEqual(await data(place, 'www.example'), ['192.0.2.1']);
        assert.deepEqual(await data(place, '-x', '10.0.0.1'), ['corp.']);
        assert.deepEqual(await data(place, '-x', '192.168.0.1'), ['world.']);
        assert.match(await place.succeed('getent', 'ahosts', 'wiki.corp.example'), /^10\.0\.0\.1 /);
      }
      assert.deepEqual(heard(world, 'a.corp.example'), []);
    },
  );
}
