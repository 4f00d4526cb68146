import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeConfig, resolveConfig } from '../../src/config/config.ts';
import { type DnsInput, nameserver } from '../../src/config/dns.ts';
import { recordName, recordTexts } from '../../src/config/dns-zones.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { Mismatch } from '../../src/config/values.ts';
import { configProblem } from '../support/config-problem.ts';

const dnsOf = (text: string): DnsInput | undefined => parseConfig(text, 'slipway.yaml').dns;

function problem(text: string): string {
  const { code, message } = configProblem(() => parseConfig(text, 'slipway.yaml'));
  assert.equal(code, 'ERR_CONFIG_INVALID');
  return message;
}

test('upstreams, rules and hosts are read, one value or a list', () => {
  assert.deepEqual(
    dnsOf(`dns:
  ipv6: never
  upstreams: ["10.0.0.53", "[fd00::1]:5353", "127.0.0.1:5353", "fe80::1%eth0"]
  rules:
    Corp.Example.: 127.0.0.53
    10.in-addr.arpa: ["10.0.0.53", "10.0.0.54:54"]
  hosts: { printer.home: 192.168.1.9, db: ["10.1.1.1", "FD00::5"] }
  queriesPerSecond: 100
  cache: { entries: 0 }
`),
    {
      ipv6: 'never',
      upstreams: [
        { address: '10.0.0.53', port: 53 },
        { address: 'fd00::1', port: 5353 },
        { address: '127.0.0.1', port: 5353 },
        { address: 'fe80::1%eth0', port: 53 },
      ],
      rules: [
        { domain: 'corp.example', nameservers: [{ address: '127.0.0.53', port: 53 }] },
        {
          domain: '10.in-addr.arpa',
          nameservers: [
            { address: '10.0.0.53', port: 53 },
            { address: '10.0.0.54', port: 54 },
          ],
        },
      ],
      hosts: [
        { name: 'printer.home', addresses: ['192.168.1.9'] },
        { name: 'db', addresses: ['10.1.1.1', 'fd00::5'] },
      ],
      queriesPerSecond: 100,
      cache: { entries: 0 },
    },
  );
});

test('records of every type are read', () => {
  const zones = dnsOf(`dns:
  zones:
    - name: Dev.Example
      defaultAddress: 192.168.65.254
      ttlSeconds: 60
      records:
        - { name: api, type: A, address: 10.0.0.1, ttlSeconds: 5 }
        - { name: api, type: AAAA, address: "fd00::1" }
        - { name: "*.K8s", type: CNAME, target: ingress.dev.example. }
        - { name: _sip._tcp, type: SRV, priority: 1, weight: 2, port: 5060, target: api.dev.example }
        - { name: _ldap._tcp, type: SRV, priority: 0, weight: 0, port: 0, target: . }
        - { name: "@", type: MX, preference: 10, exchange: mail.example }
        - { name: txt, type: TXT, text: [one, two] }
        - { name: "1", type: PTR, target: api.dev.example }
        - { name: "@", type: NS, target: ns.example }
    - { name: empty.example }
`)?.zones;
  assert.deepEqual(zones, [
    {
      name: 'dev.example',
      defaultAddress: 0xc0a841fe,
      ttlSeconds: 60,
      records: [
        { name: 'api', ttlSeconds: 5, data: { type: 'A', address: 0x0a000001 } },
        { name: 'api', data: { type: 'AAAA', address: Uint8Array.of(0xfd, ...new Array<number>(14).fill(0), 1) } },
        { name: '*.k8s', data: { type: 'CNAME', target: 'ingress.dev.example' } },
        {
          name: '_sip._tcp',
          data: { type: 'SRV', priority: 1, weight: 2, port: 5060, target: 'api.dev.example' },
        },
        { name: '_ldap._tcp', data: { type: 'SRV', priority: 0, weight: 0, port: 0, target: '' } },
        { name: '@', data: { type: 'MX', preference: 10, exchange: 'mail.example' } },
        { name: 'txt', data: { type: 'TXT', texts: [Buffer.from('one'), Buffer.from('two')].map(plainBytes) } },
        { name: '1', data: { type: 'PTR', target: 'api.dev.example' } },
        { name: '@', data: { type: 'NS', target: 'ns.example' } },
      ],
    },
    { name: 'empty.example', records: [] },
  ]);
});

const plainBytes = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

test('a record that lacks what its type has is refused with the key', () => {
  assert.equal(
    problem('dns:\n  zones:\n    - name: a.example\n      records:\n        - { name: b, type: A }\n'),
    'slipway.yaml:5: dns.zones.0.records.0.address: expected an IPv4 address such as 192.168.65.1, found nothing',
  );
  assert.equal(
    problem('dns:\n  zones:\n    - name: a.example\n      records:\n        - { name: b, type: SPF, text: x }\n'),
    'slipway.yaml:5: dns.zones.0.records.0.type: expected one of A, AAAA, CNAME, NS, PTR, TXT, SRV, MX, found "SPF"',
  );
  assert.equal(
    problem(
      'dns:\n  zones:\n    - name: a.example\n      records:\n        - { name: b, type: CNAME,\n            targt: c.example }\n',
    ),
    [
      'slipway.yaml:5: dns.zones.0.records.0.target: expected a whole name such as www.example.org, found nothing',
      'slipway.yaml:6: dns.zones.0.records.0.targt: unknown key; did you mean "target"?',
    ].join('\n'),
  );
});

test('a CNAME beside another record or at the zone itself, an NS below it, and a zone said twice are refused', () => {
  const text = (records: string): string => `dns:\n  zones:\n    - name: a.example\n      records:\n${records}`;
  assert.match(
    problem(
      text('        - { name: b, type: A, address: 10.0.0.1 }\n        - { name: B, type: CNAME, target: c.d }\n'),
    ),
    /^slipway.yaml:6: dns\.zones\.0\.records\.1: expected no other record of b beside its CNAME/,
  );
  assert.match(problem(text('        - { name: "@", type: CNAME, target: c.d }\n')), /expected a CNAME below the zone/);
  assert.match(
    problem(text('        - { name: b, type: NS, target: c.d }\n')),
    /records\.0: expected an NS record at "@" only/,
  );
  assert.match(
    problem('dns:\n  zones:\n    - name: a.example\n    - name: A.example.\n'),
    /^slipway.yaml:4: dns\.zones\.1\.name: expected one zone of the name a\.example, found "A\.example\."$/,
  );
});

test('a name that is none and an address that is none are told apart', () => {
  assert.equal(
    problem('dns:\n  rules:\n    "corp example": 10.0.0.53\n    corp.example: dns.corp\n'),
    [
      'slipway.yaml:3: dns.rules.corp example: expected a host name such as host.docker.internal, found "corp example"',
      'slipway.yaml:4: dns.rules.corp.example: expected a nameserver such as 10.0.0.53, 127.0.0.1:5353, fd00::1 or "[fd00::1]:5353", found "dns.corp"',
    ].join('\n'),
  );
  assert.match(problem('dns:\n  hosts: { db: [] }\n'), /^slipway.yaml:2: dns\.hosts\.db: expected an address/);
  assert.match(problem('dns:\n  hosts: []\n'), /dns\.hosts: expected keys with values, found \[\]$/);
});

test('an unknown key is refused at every depth', () => {
  assert.match(problem('dns:\n  upstream: []\n'), /dns\.upstream: unknown key; did you mean "upstreams"\?$/);
  assert.match(problem('dns:\n  cache: { megabyte: 1 }\n'), /dns\.cache\.megabyte: .*"megabytes"\?$/);
  assert.match(problem('dns:\n  zones:\n    - { name: a, record: [] }\n'), /dns\.zones\.0\.record: .*"records"\?$/);
});

test('a nameserver has a port from 1 to 65535 and an address of either family', () => {
  for (const text of [
    '10.0.0.53:0',
    '10.0.0.53:65536',
    'fd00::1]:53',
    '[10.0.0.1',
    '[fd00::1]53',
    'a.example',
    '%eth0',
  ]) {
    assert.ok(nameserver(text) instanceof Mismatch, text);
  }
  assert.deepEqual(nameserver('[::1]'), { address: '::1', port: 53 });
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65_535 }), (address, port) => {
      assert.deepEqual(nameserver(`[${address}]:${port}`), { address, port });
      assert.deepEqual(nameserver(address), { address, port: 53 });
    }),
  );
  fc.assert(
    fc.property(fc.anything(), (raw) => {
      nameserver(raw);
      recordName(raw);
      recordTexts(raw);
    }),
  );
});

test('a star stands alone or first, and a record’s name is below its zone', () => {
  for (const text of ['@', '*', '*.k8s', '_sip._tcp', 'a.b']) assert.equal(recordName(text), text);
  for (const text of ['a.*', '**', '*.', 'a.example.', '', 5])
    assert.ok(recordName(text) instanceof Mismatch, String(text));
});

test('a long text is cut into strings of 255 bytes, a list is kept as it is', () => {
  const cut = recordTexts('x'.repeat(600)) as Uint8Array[];
  assert.deepEqual(
    cut.map((part) => part.length),
    [255, 255, 90],
  );
  assert.deepEqual((recordTexts('') as Uint8Array[]).length, 1);
  assert.ok(recordTexts(['x'.repeat(256)]) instanceof Mismatch);
  assert.ok(recordTexts([]) instanceof Mismatch);
  assert.ok(recordTexts([1]) instanceof Mismatch);
});

test('a flag leaves what the file says of dns, down to the cache', () => {
  const { dns } = resolveConfig(
    mergeConfig({ dns: { cache: { entries: 5 }, ipv6: 'always' } }, { dns: { cache: { megabytes: 3 } } }),
  );
  assert.deepEqual(dns.cache, { entries: 5, megabytes: 3, staleSeconds: 3600 });
  assert.equal(dns.ipv6, 'always');
});

test('bytes in a zone survive the freezing of the configuration', () => {
  const input = parseConfig(
    'dns: { zones: [{ name: a.b, records: [{ name: c, type: TXT, text: hello }] }] }',
    'slipway.yaml',
  );
  const [zone] = resolveConfig(input).dns.zones;
  assert.ok(Object.isFrozen(zone?.records[0]?.data));
  const copy = structuredClone(zone);
  assert.deepEqual(copy, zone);
});
