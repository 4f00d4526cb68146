import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canRunDnsHosts, DnsHost, type Dug, dig, guestOf, type Place, withoutTtl } from '../support/dns-host.ts';

const [FIRST, SECOND] = ['127.0.0.2', '127.0.0.3'];
const LIMITS = { timeout: 60_000 };
/** As a program asks that waits for five seconds, once. */
const PATIENT = ['+time=5'];

/** Asks again until the answer is as wanted, for what follows from something that was just changed. */
async function until(ask: () => Promise<Dug>, wanted: (dug: Dug) => boolean): Promise<Dug> {
  for (;;) {
    const dug = await ask();
    if (wanted(dug)) return dug;
  }
}

/** Asks until the answer is this one record's data, or nothing but the status. */
async function becomes(place: Place, name: string, wanted: string, type = 'A'): Promise<void> {
  const said = ({ status, answer }: Dug): string => answer[0]?.split(' ')[4] ?? status;
  await until(
    () => dig(place, name, type),
    (dug) => said(dug) === wanted,
  );
}

test(
  'names of the host’s hosts file resolve in the guest, in the order of nsswitch.conf, as the files are now',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq', 'getent')) return;
    const host = await DnsHost.start(t, {
      resolvConf: `nameserver ${FIRST}\n`,
      hosts: '10.0.0.9 printer.home printer\nfd00::9 six.home\n10.0.0.80 both.example',
    });
    const lines = ['local=/home/', 'local=/printer/', 'address=/example/192.0.2.1', 'local-ttl=3600'];
    await host.dnsmasq(FIRST, ...lines);
    const guest = guestOf(await host.slipway({ ipv6: 'always' }));

    await t.test('a name of one family has that one, and NODATA for the other', async () => {
      for (const name of ['printer.home', 'printer', 'PRINTER.home']) {
        assert.deepEqual(withoutTtl((await dig(guest, name)).answer), [`${name} IN A 10.0.0.9`.replace(' ', '. ')]);
        const other = await dig(guest, name, 'AAAA');
        assert.deepEqual([other.status, other.answer.length], ['NOERROR', 0]);
      }
      assert.match((await dig(guest, 'six.home', 'AAAA')).answer[0]!, / AAAA fd00::9$/);
      const other = await dig(guest, 'six.home');
      assert.deepEqual([other.status, other.answer.length], ['NOERROR', 0]);
      assert.equal((await dig(guest, 'nobody.home')).status, 'NXDOMAIN');
    });

    await t.test('a change of the file shows, whatever the cache holds and however long it might', async () => {
      assert.match((await dig(guest, 'www.example')).answer[0]!, /^www\.example\. 3600 IN A 192\.0\.2\.1$/);
      host.hosts('10.0.0.10 printer.home\n10.0.0.11 www.example');
      await becomes(guest, 'printer.home', '10.0.0.10');
      await becomes(guest, 'www.example', '10.0.0.11');
      host.rename('hosts', '10.0.0.12 www.example\n');
      await becomes(guest, 'www.example', '10.0.0.12');
      await becomes(guest, 'printer.home', 'NXDOMAIN');
      host.hosts('');
      await becomes(guest, 'www.example', '192.0.2.1');
    });

    await t.test('where file and nameserver differ, the first of nsswitch.conf wins', async () => {
      host.hosts('10.0.0.80 both.example');
      await becomes(guest, 'both.example', '10.0.0.80');
      host.order('dns files');
      await becomes(guest, 'both.example', '192.0.2.1');
      host.order('files');
      await becomes(guest, 'both.example', '10.0.0.80');
      host.order('files dns');
      await becomes(guest, 'www.example', '192.0.2.1');
    });
  },
);

test('AAAA come and go with the host’s own IPv6', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${FIRST}\n` });
  await host.dnsmasq(FIRST, 'host-record=two.example,192.0.2.1,2001:db8::1', 'local-ttl=3600');
  const guest = guestOf(await host.slipway());
  const none = await dig(guest, 'two.example', 'AAAA');
  assert.deepEqual([none.status, none.answer.length], ['NOERROR', 0]);
  assert.match((await dig(guest, 'two.example')).answer[0]!, / A 192\.0\.2\.1$/);
  await host.succeed('ip', 'link', 'add', 'wan', 'type', 'veth', 'peer', 'name', 'cable');
  await host.succeed('ip', 'address', 'add', '2001:db8:1::2/64', 'dev', 'wan', 'nodad');
  await host.succeed('ip', 'link', 'set', 'cable', 'up');
  await host.succeed('ip', 'link', 'set', 'wan', 'up');
  await becomes(guest, 'two.example', '2001:db8::1', 'AAAA');
  await host.succeed('ip', 'link', 'delete', 'wan');
  await becomes(guest, 'two.example', 'NOERROR', 'AAAA');
});

test(
  'a nameserver that is silent: SERVFAIL in time, what is known lives on, and all is well when it is back',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq')) return;
    const host = await DnsHost.start(t, { resolvConf: `nameserver ${FIRST}\n`, hosts: '10.0.0.9 printer.home' });
    const lines = ['address=/example/192.0.2.1', 'local=/example/', 'txt-record=known.example,known', 'local-ttl=1'];
    const server = await host.dnsmasq(FIRST, ...lines);
    const guest = guestOf(await host.slipway());
    for (const type of ['A', 'TXT']) assert.equal((await dig(guest, 'known.example', type)).answer.length, 1);
    server.freeze();

    const lost = ['A', 'TXT', 'SRV'].map(async (type) => {
      assert.equal((await dig(guest, ...PATIENT, 'unknown.example', type)).status, 'SERVFAIL');
    });
    const getent = guest
      .run('env', 'RES_OPTIONS=attempts:1', 'getent', 'ahostsv4', 'unknown.example')
      .then(({ status }) => assert.equal(status, 2));
    // Once its second is over, an answer is an old one: RFC 8767 wants 30 s for it.
    const stale = ['A', 'TXT'].map((type) =>
      until(
        () => dig(guest, ...PATIENT, 'known.example', type),
        ({ answer }) => answer[0]?.split(' ')[1] === '30',
      ),
    );
    assert.match((await dig(guest, ...PATIENT, 'printer.home')).answer[0]!, / A 10\.0\.0\.9$/);
    assert.match((await dig(guest, 'host.docker.internal')).answer[0]!, / A 192\.168\.65\.254$/);
    await Promise.all([...lost, ...stale, getent]);

    server.thaw();
    for (const type of ['A', 'TXT']) {
      const back = await dig(guest, ...PATIENT, 'fresh.example', type);
      assert.deepEqual([back.status, back.answer.length], ['NOERROR', type === 'A' ? 1 : 0]);
      await until(
        () => dig(guest, ...PATIENT, 'known.example', type),
        ({ answer }) => answer[0]?.split(' ')[1] === '1',
      );
    }
  },
);

test('a nameserver whose port is closed: SERVFAIL, and an answer as soon as it runs again', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${FIRST}\n` });
  const guest = guestOf(await host.slipway());
  for (const type of ['A', 'MX']) assert.equal((await dig(guest, ...PATIENT, 'www.example', type)).status, 'SERVFAIL');
  await host.dnsmasq(FIRST, 'address=/example/192.0.2.1', 'local=/example/');
  assert.match((await dig(guest, ...PATIENT, 'www.example')).answer[0]!, / A 192\.0\.2\.1$/);
  assert.equal((await dig(guest, ...PATIENT, 'www.example', 'MX')).status, 'NOERROR');
});

test('of two nameservers the first is silent: every question is answered by the second', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${FIRST}\nnameserver ${SECOND}\n` });
  const first = await host.dnsmasq(FIRST, 'address=/example/192.0.2.1', 'local=/example/');
  await host.dnsmasq(SECOND, 'address=/example/192.0.2.2', 'local=/example/');
  const guest = guestOf(await host.slipway());
  assert.match((await dig(guest, 'before.example')).answer[0]!, / A 192\.0\.2\.1$/);
  first.freeze();
  const names = Array.from({ length: 20 }, (_, i) => `n${i}.example`);
  for (const { answer } of await Promise.all(names.map((name) => dig(guest, ...PATIENT, name)))) {
    assert.match(answer[0]!, / A 192\.0\.2\.2$/);
  }
  const nodata = await dig(guest, ...PATIENT, 'more.example', 'TXT');
  assert.deepEqual([nodata.status, nodata.answer], ['NOERROR', []]);
  first.thaw();
});
