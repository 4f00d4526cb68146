import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  canRunDnsHosts,
  compileMuslLookup,
  DnsHost,
  dig,
  guestOf,
  type Place,
  withoutTtl,
} from '../support/dns-host.ts';
import { authZone, REVERSE, signedZone, WORLD } from '../support/dns-zones.ts';
import { listen } from '../support/sockets.ts';

/** From source: as the built program does. */
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const NAMESERVER = '127.0.0.2';

interface World {
  readonly host: DnsHost;
  readonly guest: Place;
}

/** A host whose nameserver is an unbound that validates, and a guest. */
async function world(t: TestContext): Promise<World> {
  const host = await DnsHost.start(t, {
    resolvConf: `nameserver ${NAMESERVER}\n`,
    hosts: '192.0.2.99 printer.home\n2001:db8::99 six.home',
  });
  const signed = signedZone(host.folder, 'signed.example');
  const bogus = signedZone(host.folder, 'bogus.example', (zone) => zone.replaceAll('192.0.2.80', '192.0.2.81'));
  const lines = [
    ...[signed.anchor, bogus.anchor],
    'local-zone: "2.0.192.in-addr.arpa" nodefault',
    'local-zone: "refused.example" always_refuse',
    'local-zone: "home" static',
    ...authZone(host.folder, 'world.example', WORLD),
    ...authZone(host.folder, '2.0.192.in-addr.arpa', REVERSE),
    ...[...signed.zone, ...bogus.zone],
  ];
  await host.unbound(NAMESERVER, lines, 'validator iterator');
  return { host, guest: guestOf(await host.slipway({ ipv6: 'always' })) };
}

test('a guest and its host are told the same by a real unbound', { timeout: 60_000 }, async (t) => {
  if (!canRunDnsHosts(t, 'unbound', 'ldns-signzone', 'ldns-keygen', 'busybox', 'musl-gcc')) return;
  const { host, guest } = await world(t);

  /** The guest's dig, after a look that the host's dig at its nameserver saw the same but for the TTL. */
  async function asked(...args: string[]): Promise<Awaited<ReturnType<typeof dig>>> {
    const [there, here] = await Promise.all([dig(guest, ...args), dig(host, ...args)]);
    const told = `${args.join(' ')}: ${there.text}${here.text}`;
    assert.equal(there.status, here.status, told);
    assert.deepEqual(there.flags, here.flags, told);
    for (const section of ['answer', 'authority', 'additional'] as const) {
      assert.deepEqual(withoutTtl(there[section]), withoutTtl(here[section]), told);
    }
    return there;
  }

  await t.test(
    'dig gets A, AAAA, chains of CNAME, TXT, SRV, MX, CAA, HTTPS, PTR, and a type without a name',
    async () => {
      const answer = async (...args: string[]): Promise<string[]> => withoutTtl((await asked(...args)).answer);
      assert.deepEqual(await answer('one.world.example', 'A'), ['one.world.example. IN A 192.0.2.1']);
      assert.deepEqual(await answer('one.world.example', 'AAAA'), ['one.world.example. IN AAAA 2001:db8::1']);
      assert.equal((await answer('many.world.example', 'A')).length, 3);
      assert.deepEqual(await answer('www.world.example', 'A'), [
        'alias.world.example. IN CNAME last.chain.world.example.',
        'last.chain.world.example. IN CNAME one.world.example.',
        'one.world.example. IN A 192.0.2.1',
        'www.world.example. IN CNAME alias.world.example.',
      ]);
      assert.equal((await answer('www.world.example', 'AAAA')).length, 4);
      assert.deepEqual(await answer('text.world.example', 'TXT'), [
        'text.world.example. IN TXT "v=spf1 -all" "a second string; with \\"quotes\\""',
      ]);
      assert.equal((await answer('_sip._tcp.world.example', 'SRV')).length, 2);
      assert.equal((await answer('world.example', 'MX')).length, 2);
      assert.deepEqual(await answer('world.example', 'CAA'), ['world.example. IN CAA 0 issue "ca.example"']);
      assert.deepEqual(await answer('one.world.example', 'HTTPS'), [
        'one.world.example. IN HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1',
      ]);
      assert.equal((await answer('_443._tcp.one.world.example', 'TLSA')).length, 1);
      assert.deepEqual(await answer('-x', '192.0.2.4'), ['4.2.0.192.in-addr.arpa. IN PTR four.world.example.']);
      assert.equal((await answer('world.example', 'SOA', '+tcp')).length, 1);
    },
  );

  await t.test('NXDOMAIN, NODATA, SERVFAIL and REFUSED stay what they are, with their SOA', async () => {
    for (const type of ['A', 'AAAA', 'MX']) {
      const missing = await asked('nobody.world.example', type);
      assert.equal(missing.status, 'NXDOMAIN');
      assert.match(missing.authority[0]!, /^world\.example\. \d+ IN SOA ns\.world\.example\. /);
      assert.equal((await asked('refused.example', type)).status, 'REFUSED');
      const none = await asked('dangling.world.example', type);
      assert.equal(none.status, 'NXDOMAIN');
      assert.equal(none.answer.length, 1);
    }
    assert.equal((await asked('www.bogus.example', 'A')).status, 'SERVFAIL');
    for (const [name, type] of [
      ['four.world.example', 'AAAA'],
      ['six.world.example', 'A'],
      ['one.world.example', 'MX'],
      ['world.example', 'A'],
    ] as const) {
      const nothing = await asked(name, type);
      assert.deepEqual([nothing.status, nothing.answer.length], ['NOERROR', 0]);
      assert.match(nothing.authority[0]!, / IN SOA /);
    }
  });

  await t.test(
    'glibc: getent finds both families, one of them, by alias, by the hosts file, and backwards',
    async () => {
      const words = async (...args: string[]): Promise<string[][]> =>
        (await guest.succeed('getent', ...args))
          .trim()
          .split('\n')
          .map((line) => line.trim().split(/\s+/));
      assert.deepEqual(await words('ahostsv4', 'one.world.example'), [
        ['192.0.2.1', 'STREAM', 'one.world.example'],
        ['192.0.2.1', 'DGRAM'],
        ['192.0.2.1', 'RAW'],
      ]);
      assert.deepEqual((await words('ahosts', 'www.world.example'))[0], ['192.0.2.1', 'STREAM', 'one.world.example']);
      assert.deepEqual(await words('hosts', 'six.world.example'), [['2001:db8::6', 'six.world.example']]);
      assert.deepEqual((await words('ahosts', 'four.world.example'))[0]?.[0], '192.0.2.4');
      assert.deepEqual(await words('hosts', '192.0.2.1'), [['192.0.2.1', 'one.world.example']]);
      assert.equal((await guest.run('getent', 'ahosts', 'nobody.world.example')).status, 2);
      assert.equal((await guest.run('getent', 'ahosts', 'www.bogus.example')).status, 2);
    },
  );

  await t.test('musl, which gives a name up when one family fails, finds names that have only one', async () => {
    const program = compileMuslLookup(host);
    const names = ['one', 'four', 'six', 'www', 'nobody'].map((name) => `${name}.world.example`);
    // The guest has the host's hosts file, too: the name would not leave it.
    const empty = join(host.folder, 'empty');
    writeFileSync(empty, '');
    names.push('printer.home', 'six.home', 'host.docker.internal');
    const hidden = ['unshare', '--mount', '--', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', empty];
    const said = await guest.succeed(...hidden, program, ...names);
    const sorted = said
      .trim()
      .split('\n')
      .map((line) => line.split(' ').sort().join(' '));
    assert.deepEqual(sorted, [
      '192.0.2.1 2001:db8::1 one.world.example:',
      '192.0.2.4 four.world.example:',
      '2001:db8::6 six.world.example:',
      '192.0.2.1 2001:db8::1 www.world.example:',
      '-2 error nobody.world.example:',
      '192.0.2.99 printer.home:',
      '2001:db8::99 six.home:',
      '192.168.65.254 host.docker.internal:',
    ]);
  });

  await t.test('busybox: nslookup asks for both families, and wget fetches by name', async (t) => {
    const both = await guest.succeed('busybox', 'nslookup', 'one.world.example');
    assert.match(both, /Address: 192\.0\.2\.1\n/);
    assert.match(both, /Address: 2001:db8::1\n/);
    assert.match(await guest.succeed('busybox', 'nslookup', 'four.world.example'), /Address: 192\.0\.2\.4\n/);
    assert.match(await guest.succeed('busybox', 'nslookup', '-type=mx', 'world.example'), /mail exchanger = 10 mail/);
    assert.match((await guest.run('busybox', 'nslookup', 'nobody.world.example')).stdout, /NXDOMAIN/);
    const { port, accept } = await listen(t, host.namespace, { host: '127.0.0.1' });
    const fetched = guest.succeed('busybox', 'wget', '-q', '-O', '-', `http://web.world.example:${port}/`);
    (await accept()).end('HTTP/1.0 200 OK\r\n\r\nby name');
    assert.equal(await fetched, 'by name');
  });

  await t.test('Node in the guest: lookup and every resolver of node:dns', async () => {
    const program = `
      const { promises: dns } = require('node:dns');
      const failure = (promise) => promise.then(() => 'answered', (error) => error.code);
      (async () => console.log(JSON.stringify({
        lookup: await dns.lookup('one.world.example', { all: true, order: 'ipv4first' }),
        a: await dns.resolve4('www.world.example'), aaaa: await dns.resolve6('one.world.example'),
        cname: await dns.resolveCname('www.world.example'), txt: await dns.resolveTxt('text.world.example'),
        srv: (await dns.resolveSrv('_sip._tcp.world.example')).map(({ port }) => port).sort(),
        mx: (await dns.resolveMx('world.example')).map(({ exchange }) => exchange).sort(),
        caa: await dns.resolveCaa('world.example'), ptr: await dns.reverse('192.0.2.4'),
        big: (await dns.resolveTxt('big5000.world.example'))[0].join('').length,
        missing: await failure(dns.resolve4('nobody.world.example')),
        nodata: await failure(dns.resolve4('six.world.example')),
        refused: await failure(dns.resolve4('refused.example')),
        servfail: await failure(dns.resolve4('www.bogus.example')),
        lookupMissing: await failure(dns.lookup('nobody.world.example')),
      })))();`;
    assert.deepEqual(JSON.parse(await guest.succeed(process.execPath, '-e', program)), {
      lookup: [
        { address: '192.0.2.1', family: 4 },
        { address: '2001:db8::1', family: 6 },
      ],
      a: ['192.0.2.1'],
      aaaa: ['2001:db8::1'],
      cname: ['alias.world.example'],
      txt: [['v=spf1 -all', 'a second string; with "quotes"']],
      srv: [5060, 5061],
      mx: ['backup.mail.world.example', 'mail.world.example'],
      caa: [{ critical: 0, issue: 'ca.example', type: 'CAA' }],
      ptr: ['four.world.example'],
      big: 4975,
      missing: 'ENOTFOUND',
      nodata: 'ENODATA',
      refused: 'EREFUSED',
      servfail: 'ESERVFAIL',
      lookupMissing: 'ENOTFOUND',
    });
  });

  await t.test('AD comes to who asked for it by AD or DO, and to nobody else', async () => {
    for (const args of [['+adflag'], ['+noadflag', '+dnssec']]) {
      const { flags, answer } = await asked('www.signed.example', 'A', ...args);
      assert.ok(flags.includes('ad'), args.join(' '));
      assert.ok(answer.length > 0);
    }
    assert.ok(!(await asked('www.signed.example', 'A', '+noadflag')).flags.includes('ad'));
    assert.ok(!(await asked('one.world.example', 'A', '+adflag')).flags.includes('ad'));
  });

  await t.test(
    'signatures come whole: RRSIG with answers, NSEC and SOA with denials, by TCP when they are big',
    async () => {
      const types = (records: readonly string[]): string[] => records.map((record) => record.split(' ')[3]!).sort();
      assert.deepEqual(types((await asked('alias.signed.example', 'A', '+dnssec')).answer), [
        'A',
        'CNAME',
        'RRSIG',
        'RRSIG',
      ]);
      const missing = await asked('nobody.signed.example', 'A', '+dnssec');
      assert.equal(missing.status, 'NXDOMAIN');
      assert.ok(missing.flags.includes('ad'));
      assert.deepEqual([...new Set(types(missing.authority))], ['NSEC', 'RRSIG', 'SOA']);
      assert.deepEqual(types((await asked('signed.example', 'DNSKEY', '+dnssec')).answer), ['DNSKEY', 'RRSIG']);
      const big = await asked('big.signed.example', 'TXT', '+dnssec', '+bufsize=1232');
      assert.deepEqual(types(big.answer), ['RRSIG', 'TXT']);
      assert.match(big.text, /SERVER: .*\(TCP\)/);
    },
  );

  await t.test('an answer with a false signature is SERVFAIL, and comes to who disabled checking', async () => {
    assert.equal((await asked('www.bogus.example', 'A')).status, 'SERVFAIL');
    assert.equal((await asked('www.bogus.example', 'A', '+dnssec')).status, 'SERVFAIL');
    assert.equal((await guest.run('getent', 'ahosts', 'www.bogus.example')).status, 2);
    const unchecked = await asked('www.bogus.example', 'A', '+cd');
    assert.deepEqual(withoutTtl(unchecked.answer), ['www.bogus.example. IN A 192.0.2.81']);
    assert.ok(!unchecked.flags.includes('ad'));
    // The one without CD is not answered by what the other left in the cache.
    assert.equal((await asked('www.bogus.example', 'A')).status, 'SERVFAIL');
  });

  await t.test('slipway run and slipway dns lookup --explain, as a person types them on that host', async () => {
    const slipway = (...args: string[]): Promise<string> =>
      host.succeed('env', 'HOME=', process.execPath, MAIN, ...args);
    const asks = 'getent ahostsv4 www.world.example && dig +short text.world.example TXT';
    const [ran, address, text] = await Promise.all([
      slipway('run', '--', 'sh', '-c', asks),
      slipway('dns', 'lookup', 'www.world.example', '--explain'),
      slipway('dns', 'lookup', 'text.world.example', 'TXT', '--explain'),
    ]);
    assert.match(ran, /^192\.0\.2\.1 +STREAM one\.world\.example\n[\s\S]*"v=spf1 -all"/);
    assert.match(address, /operating system \(getaddrinfo, IPv4\) says 192\.0\.2\.1/);
    assert.match(address, /Nameserver 127\.0\.0\.2 over UDP: NOERROR/);
    assert.match(address, /one\.world\.example\.\t\d+\tIN\tA\t192\.0\.2\.1/);
    assert.match(text, /Nameserver 127\.0\.0\.2 over UDP: NOERROR/);
    assert.doesNotMatch(text, /getaddrinfo/);
  });
});
