import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canRunDnsHosts, DnsHost, dig, guestOf } from '../support/dns-host.ts';
import { GATEWAY } from '../support/slipway.ts';

const NAMESERVER = '127.0.0.2';

const ZONES = [
  {
    name: 'dev.example',
    defaultAddress: '192.168.65.254',
    ttlSeconds: 60,
    records: [
      { name: 'api', type: 'A', address: '10.0.0.1', ttlSeconds: 5 },
      { name: 'api', type: 'AAAA', address: 'fd00::1' },
      { name: '*.k8s', type: 'CNAME', target: 'api.dev.example' },
      { name: '_sip._tcp', type: 'SRV', priority: 1, weight: 2, port: 5060, target: 'api.dev.example' },
      { name: '@', type: 'MX', preference: 10, exchange: 'mail.dev.example' },
      { name: '@', type: 'TXT', text: 'v=spf1 -all' },
    ],
  },
  { name: '10.in-addr.arpa', records: [{ name: '1.0.0', type: 'PTR', target: 'api.dev.example' }] },
  { name: 'bare.example', records: [{ name: 'www', type: 'CNAME', target: 'www.world.example' }] },
];

test('zones of the configuration answer a guest at both ports, and their names go no further', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq', 'getent')) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
  const outside = await host.dnsmasq(NAMESERVER, 'log-queries', 'address=/#/192.0.2.1');
  const guest = guestOf(await host.slipway({ zones: ZONES }));
  for (const server of [[], ['-p', '5301'], ['-p', '5301', '+tcp']]) {
    const asked = (...args: string[]): ReturnType<typeof dig> => dig(guest, `@${GATEWAY}`, ...server, ...args);
    const answer = async (...args: string[]): Promise<readonly string[]> => (await asked(...args)).answer;
    assert.deepEqual(await answer('API.dev.example'), ['API.dev.example. 5 IN A 10.0.0.1']);
    assert.deepEqual(await answer('api.dev.example', 'AAAA'), ['api.dev.example. 60 IN AAAA fd00::1']);
    assert.deepEqual(await answer('a.b.k8s.dev.example'), [
      'a.b.k8s.dev.example. 60 IN CNAME api.dev.example.',
      'api.dev.example. 5 IN A 10.0.0.1',
    ]);
    assert.match((await answer('_sip._tcp.dev.example', 'SRV'))[0]!, / SRV 1 2 5060 api\.dev\.example\.$/);
    assert.match((await answer('dev.example', 'MX'))[0]!, / MX 10 mail\.dev\.example\.$/);
    assert.match((await answer('dev.example', 'TXT'))[0]!, / TXT "v=spf1 -all"$/);
    assert.match((await answer('whatever.dev.example'))[0]!, / A 192\.168\.65\.254$/);
    assert.match((await answer('-x', '10.0.0.1'))[0]!, / PTR api\.dev\.example\.$/);
    assert.match((await answer('-x', '192.168.65.254'))[0]!, / PTR host\.docker\.internal\.$/);
    assert.match((await answer('www.bare.example'))[1]!, /^www\.world\.example\. \d+ IN A 192\.0\.2\.1$/);
    for (const [name, type, status] of [
      ['api.dev.example', 'MX', 'NOERROR'],
      ['host.docker.internal', 'AAAA', 'NOERROR'],
      ['nobody.bare.example', 'A', 'NXDOMAIN'],
      ['nobody.docker.internal', 'A', 'NXDOMAIN'],
    ] as const) {
      const none = await asked(name, type);
      assert.deepEqual([none.status, none.answer, none.flags.includes('aa')], [status, [], true]);
      assert.match(none.authority[0]!, / SOA /);
    }
    assert.equal((await asked('elsewhere.example')).status, server.length === 0 ? 'NOERROR' : 'REFUSED');
  }
  assert.match(await guest.succeed('getent', 'ahostsv4', 'x.k8s.dev.example'), /^10\.0\.0\.1 /);
  const names = outside.said.map((line) => / query\[\w+\] (\S+) from /.exec(line)?.[1]).filter((name) => name);
  assert.deepEqual([...new Set(names)].sort(), ['elsewhere.example', 'www.world.example']);
});
