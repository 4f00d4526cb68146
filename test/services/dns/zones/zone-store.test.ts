import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { SlipwayError } from '../../../../src/facts/errors.ts';
import { MAX_ZONES, type ZoneRecord } from '../../../../src/config/dns-zones.ts';
import { MAX_NAME_BYTES } from '../../../../src/services/dns/zones/zone-limits.ts';
import { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { a, address, ask, builtInStore, cname, query, queryFrom, txt } from './asking.ts';

const SOA = (zone: string, serial: number, ttl = 10): string =>
  `${zone} ${ttl} SOA gateway.docker.internal. hostmaster.gateway.docker.internal. ${serial} 3600 600 86400 ${ttl}`;

const octets = (text: string): Uint8Array => new TextEncoder().encode(text);

function store(...records: readonly ZoneRecord[]): ZoneStore {
  const zones = new ZoneStore({ defaultTtlSeconds: 10 });
  zones.setZone({ name: 'dev.example', records });
  return zones;
}

function refused(change: () => void, message: RegExp): void {
  assert.throws(change, (error: SlipwayError) => {
    assert.equal(error.code, 'ERR_DNS_ZONE');
    assert.match(error.message, message);
    assert.notEqual(error.hint, '');
    return true;
  });
}

describe('the records of a name', () => {
  test('each type is answered with all its data, with authority', () => {
    const v6 = Uint8Array.from([0xfd, ...new Array<number>(14).fill(0), 5]);
    const zones = store(
      { name: 'api', data: a('10.0.0.1') },
      { name: 'api', data: a('10.0.0.2') },
      { name: 'api', data: { type: 'AAAA', address: v6 } },
      { name: 'api', data: txt('hello') },
      { name: '@', data: { type: 'MX', preference: 10, exchange: 'mail.elsewhere.example.' } },
      { name: 'r', data: { type: 'PTR', target: 'api.dev.example' } },
    );
    const said = ask(zones, 'api.dev.example', 'A');
    assert.deepEqual(said?.answer, ['api.dev.example 10 A 10.0.0.1', 'api.dev.example 10 A 10.0.0.2']);
    assert.equal(said.authoritative, true);
    assert.deepEqual(said.authority, []);
    assert.deepEqual(ask(zones, 'api.dev.example', 'AAAA')?.answer, ['api.dev.example 10 AAAA fd00::5']);
    assert.deepEqual(ask(zones, 'api.dev.example', 'TXT')?.answer, ['api.dev.example 10 TXT "hello"']);
    assert.deepEqual(ask(zones, 'dev.example', 'MX')?.answer, ['dev.example 10 MX 10 mail.elsewhere.example.']);
    assert.deepEqual(ask(zones, 'r.dev.example', 'PTR')?.answer, ['r.dev.example 10 PTR api.dev.example.']);
    assert.equal(ask(zones, 'api.dev.example', 'ANY')?.answer.length, 4);
  });

  test('a TTL is the record’s own, else the zone’s, else the default', () => {
    const zones = new ZoneStore({ defaultTtlSeconds: 10 });
    zones.setZone({
      name: 'dev.example',
      ttlSeconds: 60,
      records: [
        { name: 'own', ttlSeconds: 5, data: a('10.0.0.1') },
        { name: 'zone', data: a('10.0.0.2') },
      ],
    });
    assert.deepEqual(ask(zones, 'own.dev.example', 'A')?.answer, ['own.dev.example 5 A 10.0.0.1']);
    assert.deepEqual(ask(zones, 'zone.dev.example', 'A')?.answer, ['zone.dev.example 60 A 10.0.0.2']);
    assert.deepEqual(ask(zones, 'zone.dev.example', 'AAAA')?.authority, [SOA('dev.example', 2, 60)]);
  });

  test('where TTLs of a set differ the lowest is told for all (RFC 2181 §5.2)', () => {
    const zones = store(
      { name: 'x', ttlSeconds: 30, data: a('10.0.0.1') },
      { name: 'x', ttlSeconds: 5, data: a('10.0.0.2') },
    );
    assert.deepEqual(ask(zones, 'x.dev.example', 'A')?.answer, [
      'x.dev.example 5 A 10.0.0.1',
      'x.dev.example 5 A 10.0.0.2',
    ]);
  });

  test('a set has no record twice (RFC 2181 §5)', () => {
    const zones = store({ name: 'x', data: cname('Y.example') }, { name: 'X', data: cname('y.EXAMPLE.') });
    assert.equal(ask(zones, 'x.dev.example', 'CNAME')?.answer.length, 1);
  });

  test('names are compared without case (RFC 4343), and the question keeps its own', () => {
    const zones = store({ name: 'API', data: a('10.0.0.1') });
    assert.deepEqual(ask(zones, 'aPi.DEV.example', 'A')?.answer, ['aPi.DEV.example 10 A 10.0.0.1']);
  });

  test('a text beyond 255 bytes goes on in the next string', () => {
    const zones = store({ name: 'long', data: txt('x'.repeat(300)) });
    const [record] = ask(zones, 'long.dev.example', 'TXT')?.answer ?? [];
    assert.equal(record, `long.dev.example 10 TXT "${'x'.repeat(255)}" "${'x'.repeat(45)}"`);
  });

  test('targets of SRV, MX and NS that are ours come with their addresses, each once', () => {
    const zones = store(
      { name: '_sip._tcp', data: { type: 'SRV', priority: 1, weight: 2, port: 5060, target: 'sip.dev.example' } },
      { name: '_sip._tcp', data: { type: 'SRV', priority: 2, weight: 2, port: 5060, target: 'SIP.dev.example' } },
      { name: '_sip._tcp', data: { type: 'SRV', priority: 3, weight: 2, port: 5060, target: 'other.example' } },
      { name: 'sip', data: a('10.0.0.7') },
      { name: '@', data: { type: 'NS', target: 'sip.dev.example' } },
    );
    const said = ask(zones, '_sip._tcp.dev.example', 'SRV');
    assert.deepEqual(said?.answer[0], '_sip._tcp.dev.example 10 SRV 1 2 5060 sip.dev.example.');
    assert.deepEqual(said.additional, ['sip.dev.example 10 A 10.0.0.7']);
    assert.deepEqual(ask(zones, 'dev.example', 'NS')?.answer, ['dev.example 10 NS sip.dev.example.']);
    assert.deepEqual(ask(zones, 'dev.example', 'NS')?.additional, ['sip.dev.example 10 A 10.0.0.7']);
  });

  test('additional records that do not fit are left out, answers that do not fit set TC (RFC 2181 §9)', () => {
    const targets = Array.from({ length: 12 }, (_, i) => `t${i}.dev.example`);
    const zones = store(
      ...targets.map((exchange): ZoneRecord => ({ name: '@', data: { type: 'MX', preference: 1, exchange } })),
      ...targets.flatMap((_, i) => [1, 2, 3].map((j): ZoneRecord => ({ name: `t${i}`, data: a(`10.0.${i}.${j}`) }))),
      ...Array.from({ length: 60 }, (_, i): ZoneRecord => ({ name: 'many', data: a(`10.1.0.${i}`) })),
    );
    const mx = ask(zones, 'dev.example', 'MX', 512);
    assert.deepEqual([mx?.truncated, mx?.answer.length], [false, 12]);
    assert.ok((mx?.additional.length ?? 0) < 36);
    assert.equal(ask(zones, 'many.dev.example', 'A', 512)?.truncated, true);
    assert.equal(ask(zones, 'many.dev.example', 'A')?.answer.length, 60);
  });
});

describe('what is not there', () => {
  const zones = store({ name: 'api', data: a('10.0.0.1') }, { name: 'deep.in.here', data: a('10.0.0.2') });

  test('a name with other types is NODATA: NOERROR and the SOA (RFC 2308 §2.2)', () => {
    const said = ask(zones, 'api.dev.example', 'MX');
    assert.deepEqual([said?.rcode, said?.answer, said?.authority], ['NOERROR', [], [SOA('dev.example', 2)]]);
  });

  test('a name that has only names below it is NODATA (RFC 4592 §2.2.2)', () => {
    for (const name of ['in.here.dev.example', 'here.dev.example']) {
      assert.equal(ask(zones, name, 'A')?.rcode, 'NOERROR');
      assert.deepEqual(ask(zones, name, 'A')?.authority, [SOA('dev.example', 2)]);
    }
  });

  test('a name below which a deeper zone lies is NODATA, and takes no wildcard', () => {
    const nested = store({ name: '*', data: a('10.0.0.9') });
    nested.setZone({ name: 'x.y.dev.example', records: [] });
    assert.equal(ask(nested, 'y.dev.example', 'A')?.rcode, 'NOERROR');
    assert.deepEqual(ask(nested, 'y.dev.example', 'A')?.answer, []);
    assert.equal(ask(nested, 'z.y.dev.example', 'A')?.rcode, 'NXDOMAIN');
    assert.equal(nested.removeZone('x.y.dev.example'), true);
    assert.equal(ask(nested, 'y.dev.example', 'A')?.answer.length, 1);
  });

  test('any other name of the zone is NXDOMAIN with the SOA (RFC 2308 §2.1)', () => {
    for (const type of ['A', 'TXT', 'ANY', 'SOA']) {
      const said = ask(zones, 'nobody.dev.example', type);
      assert.deepEqual([said?.rcode, said?.answer, said?.authority], ['NXDOMAIN', [], [SOA('dev.example', 2)]]);
    }
  });

  test('a name below a name with records is NXDOMAIN', () => {
    assert.equal(ask(zones, 'x.api.dev.example', 'A')?.rcode, 'NXDOMAIN');
  });

  test('a name outside of all zones is not ours', () => {
    assert.equal(ask(zones, 'example', 'A'), undefined);
    assert.equal(ask(zones, 'notdev.example', 'A'), undefined);
    assert.equal(ask(zones, '', 'NS'), undefined);
    assert.equal(ask(zones, 'x\\.dev.example', 'A'), undefined, 'a dot inside a label begins no zone');
    assert.equal(ask(zones, 'x.dev.example', 'A') !== undefined, true);
    assert.equal(ask(zones, 'x.example', 'A') !== undefined, false);
  });

  test('a zone without records still has SOA and NS', () => {
    const empty = store();
    assert.deepEqual(ask(empty, 'dev.example', 'SOA')?.answer, [SOA('dev.example', 2)]);
    assert.deepEqual(ask(empty, 'dev.example', 'NS')?.answer, ['dev.example 10 NS gateway.docker.internal.']);
    assert.equal(ask(empty, 'dev.example', 'A')?.rcode, 'NOERROR');
  });
});

describe('the wildcards of RFC 4592', () => {
  // The zone of §2.2.1.
  const zones = new ZoneStore({ defaultTtlSeconds: 3600 });
  zones.setZone({
    name: 'example',
    records: [
      { name: '*', data: txt('this is a wildcard') },
      { name: '*', data: { type: 'MX', preference: 10, exchange: 'host1.example.' } },
      { name: 'sub.*', data: txt('this is not a wildcard') },
      { name: 'host1', data: a('192.0.2.1') },
      { name: '_ssh._tcp.host1', data: { type: 'SRV', priority: 0, weight: 0, port: 22, target: 'host1.example' } },
      { name: '_ssh._tcp.host2', data: { type: 'SRV', priority: 0, weight: 0, port: 22, target: 'host2.example' } },
    ],
  });
  zones.setZone({ name: 'subdel.example', records: [] });
  const outcome = (name: string, type: string): string => {
    const said = ask(zones, name, type);
    return said?.answer.length === 0 ? said.rcode : (said?.answer.join() ?? 'not ours');
  };

  test('synthesised: host3.example MX, host3.example TXT, foo.bar.example TXT', () => {
    assert.equal(outcome('host3.example', 'MX'), 'host3.example 3600 MX 10 host1.example.');
    assert.equal(outcome('foo.bar.example', 'TXT'), 'foo.bar.example 3600 TXT "this is a wildcard"');
  });

  test('NODATA, as the wildcard has no such type: host3.example A', () => {
    assert.equal(outcome('host3.example', 'A'), 'NOERROR');
  });

  test('not synthesised: host1.example MX exists, sub.*.example MX exists', () => {
    assert.equal(outcome('host1.example', 'MX'), 'NOERROR');
    assert.equal(outcome('sub.*.example', 'MX'), 'NOERROR');
  });

  test('not synthesised: _telnet._tcp.host1.example lies below an existing name, host.subdel.example in another zone', () => {
    assert.equal(outcome('_telnet._tcp.host1.example', 'SRV'), 'NXDOMAIN');
    assert.equal(outcome('host.subdel.example', 'A'), 'NXDOMAIN');
  });

  test('not synthesised: ghost.*.example, as the closest encloser is *.example and *.*.example does not exist', () => {
    assert.equal(outcome('ghost.*.example', 'MX'), 'NXDOMAIN');
  });

  test('a question for the wildcard itself is answered with its records', () => {
    assert.equal(outcome('*.example', 'TXT'), '*.example 3600 TXT "this is a wildcard"');
  });

  test('a wildcard that only exists because of names below it still stands in, with nothing', () => {
    const empty = store({ name: 'below.*', data: a('10.0.0.1') });
    assert.equal(ask(empty, 'anything.dev.example', 'A')?.rcode, 'NOERROR');
    assert.deepEqual(ask(empty, 'anything.dev.example', 'A')?.answer, []);
  });

  test('an asterisk inside a name is an ordinary label', () => {
    const inner = store({ name: 'a.*.b', data: a('10.0.0.1') });
    assert.equal(ask(inner, 'a.x.b.dev.example', 'A')?.rcode, 'NOERROR', 'matches *.b, an empty non-terminal');
    assert.deepEqual(ask(inner, 'a.x.b.dev.example', 'A')?.answer, []);
    assert.deepEqual(ask(inner, 'a.*.b.dev.example', 'A')?.answer, ['a.*.b.dev.example 10 A 10.0.0.1']);
  });

  test('a wildcard CNAME is followed from each name that it stands in for', () => {
    const aliases = store(
      { name: '*.k8s', data: cname('ingress.dev.example') },
      { name: 'ingress', data: a('10.0.0.3') },
    );
    assert.deepEqual(ask(aliases, 'web.k8s.dev.example', 'A')?.answer, [
      'web.k8s.dev.example 10 CNAME ingress.dev.example.',
      'ingress.dev.example 10 A 10.0.0.3',
    ]);
  });
});

describe('a zone’s default address', () => {
  const zones = new ZoneStore({ defaultTtlSeconds: 10 });
  const records: ZoneRecord[] = [
    { name: 'api', data: a('10.0.0.1') },
    { name: 'text', data: txt('x') },
    { name: '*.wild', data: txt('w') },
    { name: 'deep.down', data: a('10.0.0.2') },
  ];
  zones.setZone({ name: 'apps.test', defaultAddress: address('10.9.9.9'), records });

  test('is the A of every name that has no record of its own, empty non-terminals too', () => {
    for (const name of ['x', 'x.y.z', 'x.api', 'down', 'wild']) {
      assert.deepEqual(ask(zones, `${name}.apps.test`, 'A')?.answer, [`${name}.apps.test 10 A 10.9.9.9`]);
    }
  });

  test('makes other types of such a name NODATA', () => {
    const said = ask(zones, 'x.apps.test', 'AAAA');
    assert.deepEqual([said?.rcode, said?.answer, said?.authority.length], ['NOERROR', [], 1]);
  });

  test('loses to records and wildcards, whatever their type', () => {
    assert.deepEqual(ask(zones, 'api.apps.test', 'A')?.answer, ['api.apps.test 10 A 10.0.0.1']);
    assert.deepEqual(ask(zones, 'text.apps.test', 'A')?.answer, []);
    assert.deepEqual(ask(zones, 'x.wild.apps.test', 'A')?.answer, []);
  });

  test('is not the zone’s own, unless asked for', () => {
    assert.deepEqual(ask(zones, 'apps.test', 'A')?.answer, []);
    zones.setZone({ name: 'apex.test', defaultAddress: address('10.9.9.9'), defaultAtApex: true, records: [] });
    assert.deepEqual(ask(zones, 'apex.test', 'A')?.answer, ['apex.test 10 A 10.9.9.9']);
    zones.addRecords('apex.test', [{ name: '@', data: a('10.0.0.5') }]);
    assert.deepEqual(ask(zones, 'apex.test', 'A')?.answer, ['apex.test 10 A 10.0.0.5']);
  });
});

describe('chains of CNAMEs', () => {
  test('are followed through all zones, and the last name decides the rcode (RFC 6604 §3)', () => {
    const zones = store(
      { name: 'one', data: cname('two.other.test') },
      { name: 'lost', data: cname('gone.other.test') },
    );
    zones.setZone({ name: 'other.test', records: [{ name: 'two', data: cname('three.dev.example') }] });
    zones.addRecords('dev.example', [{ name: 'three', data: a('10.0.0.3') }]);
    assert.deepEqual(ask(zones, 'one.dev.example', 'A')?.answer, [
      'one.dev.example 10 CNAME two.other.test.',
      'two.other.test 10 CNAME three.dev.example.',
      'three.dev.example 10 A 10.0.0.3',
    ]);
    const nodata = ask(zones, 'one.dev.example', 'AAAA');
    assert.deepEqual([nodata?.rcode, nodata?.answer.length, nodata?.authority.length], ['NOERROR', 2, 1]);
    const lost = ask(zones, 'lost.dev.example', 'A');
    assert.deepEqual([lost?.rcode, lost?.answer.length], ['NXDOMAIN', 1]);
    assert.match(lost?.authority[0] ?? '', /^other\.test /);
  });

  test('are not followed when CNAME or ANY is asked for', () => {
    const zones = store({ name: 'x', data: cname('y.dev.example') }, { name: 'y', data: a('10.0.0.1') });
    assert.equal(ask(zones, 'x.dev.example', 'CNAME')?.answer.length, 1);
    assert.equal(ask(zones, 'x.dev.example', 'ANY')?.answer.length, 1);
  });

  test('that leave our zones say where to', () => {
    const zones = store(
      { name: 'x', data: cname('y.dev.example') },
      { name: 'y', data: cname('WWW.elsewhere.example.') },
    );
    const said = ask(zones, 'x.dev.example', 'A');
    assert.equal(said?.aliasTarget, 'WWW.elsewhere.example');
    assert.deepEqual([said.rcode, said.answer.length, said.authority], ['NOERROR', 2, []]);
    assert.equal(ask(zones, 'x.dev.example', 'CNAME')?.aliasTarget, undefined);
  });

  test('loops and endless chains are signalled as an error (RFC 1034 §3.6.2)', () => {
    const zones = store(
      { name: 'x', data: cname('y.dev.example') },
      { name: 'y', data: cname('x.dev.example') },
      { name: '*.w', data: cname('again.w.dev.example') },
    );
    for (const name of ['x', 'any.w']) assert.equal(ask(zones, `${name}.dev.example`, 'A')?.rcode, 'SERVFAIL');
  });
});

describe('changes at run time', () => {
  const serialOf = (zones: ZoneStore, zone = 'dev.example'): number =>
    zones.list().find(({ name }) => name === zone)?.serial ?? 0;

  test('each raises the zone’s serial, of a zone that comes back too', () => {
    const zones = store();
    const serials = [serialOf(zones)];
    const next = (): void => void serials.push(serialOf(zones));
    zones.addRecords('dev.example', [{ name: 'x', data: a('10.0.0.1') }]);
    next();
    assert.equal(zones.removeRecords('dev.example', [{ name: 'x' }]), 1);
    next();
    assert.equal(zones.removeRecords('dev.example', [{ name: 'x' }]), 0);
    zones.setZone({ name: 'dev.example', records: [] });
    next();
    zones.removeZone('dev.example');
    zones.setZone({ name: 'dev.example', records: [] });
    next();
    assert.deepEqual(
      serials,
      [...new Set(serials)].sort((one, other) => one - other),
    );
  });

  test('records go by name, by type, or one by its data, and names that were there for them alone go too', () => {
    const zones = store(
      { name: 'a.b', data: a('10.0.0.1') },
      { name: 'a.b', data: a('10.0.0.2') },
      { name: 'a.b', data: txt('x') },
      { name: 'c', data: a('10.0.0.3') },
    );
    assert.equal(zones.removeRecords('dev.example', [{ name: 'a.b', data: a('10.0.0.1') }]), 1);
    assert.deepEqual(ask(zones, 'a.b.dev.example', 'A')?.answer, ['a.b.dev.example 10 A 10.0.0.2']);
    assert.equal(zones.removeRecords('dev.example', [{ name: 'A.B', type: 'A' }]), 1);
    assert.equal(ask(zones, 'a.b.dev.example', 'A')?.rcode, 'NOERROR');
    assert.equal(zones.removeRecords('dev.example', [{ name: 'a.b' }]), 1);
    assert.equal(ask(zones, 'b.dev.example', 'A')?.rcode, 'NXDOMAIN');
    assert.equal(ask(zones, 'c.dev.example', 'A')?.answer.length, 1);
  });

  test('a zone is replaced whole, and what the list shows sets it again', () => {
    const zones = store({ name: 'old', data: a('10.0.0.1') });
    zones.setZone({ name: 'Dev.Example.', ttlSeconds: 7, records: [{ name: 'new', data: a('10.0.0.2') }] });
    assert.equal(ask(zones, 'old.dev.example', 'A')?.rcode, 'NXDOMAIN');
    const [listed] = zones.list();
    assert.ok(listed !== undefined);
    assert.deepEqual(
      [listed.name, listed.ttlSeconds, listed.records],
      ['dev.example', 7, [{ name: 'new', data: a('10.0.0.2') }]],
    );
    const copy = new ZoneStore({ defaultTtlSeconds: 10 });
    copy.setZone(structuredClone(listed));
    assert.deepEqual(copy.list()[0]?.records, listed.records);
    assert.deepEqual(ask(copy, 'new.dev.example', 'A')?.answer, ['new.dev.example 7 A 10.0.0.2']);
  });

  test('the longest zone decides, and when it goes the one around it does again', () => {
    const zones = store({ name: 'x.sub', data: a('10.0.0.1') });
    zones.setZone({ name: 'sub.dev.example', records: [] });
    assert.equal(ask(zones, 'x.sub.dev.example', 'A')?.rcode, 'NXDOMAIN');
    zones.setZone({ name: 'example', records: [] });
    assert.equal(ask(zones, 'dev.example', 'SOA')?.answer.length, 1);
    assert.equal(ask(zones, 'other.example', 'A')?.rcode, 'NXDOMAIN');
    zones.removeZone('sub.dev.example');
    assert.equal(ask(zones, 'x.sub.dev.example', 'A')?.answer.length, 1);
    assert.equal(zones.removeZone('sub.dev.example'), false);
  });

  test('the root can be a zone', () => {
    const zones = new ZoneStore({ defaultTtlSeconds: 10 });
    zones.setZone({ name: '.', defaultAddress: address('10.9.9.9'), records: [{ name: 'x.y', data: a('10.0.0.1') }] });
    assert.deepEqual(ask(zones, 'any.name', 'A')?.answer, ['any.name 10 A 10.9.9.9']);
    assert.deepEqual(ask(zones, 'x.y', 'A')?.answer, ['x.y 10 A 10.0.0.1']);
    assert.equal(ask(zones, '', 'SOA')?.answer.length, 1);
  });

  test('a change that is refused changes nothing', () => {
    const zones = store({ name: 'x', data: a('10.0.0.1') });
    const before = zones.list();
    refused(
      () => zones.setZone({ name: 'dev.example', records: [{ name: 'a..b', data: a('10.0.0.1') }] }),
      /not a domain name/,
    );
    refused(
      () =>
        zones.addRecords('dev.example', [
          { name: 'y', data: txt('') },
          { name: 'x', data: cname('y.z') },
        ]),
      /beside a CNAME/,
    );
    refused(() => zones.setZone({ name: 'two..dots', records: [] }), /cannot be the name of a zone/);
    assert.deepEqual(zones.list(), before);
  });
});

test('whatever bytes a guest asks with, the answer is a message or nothing', () => {
  const zones = builtInStore('192.168.65.0/24');
  zones.setZone({ name: '.', defaultAddress: address('10.9.9.9'), records: [{ name: '*.x', data: cname('y.*.x') }] });
  const label = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 63 }),
    fc.constantFrom('*', 'x', 'docker', 'internal', '65', '168', '192', 'in-addr', 'arpa', '.', '\\').map(octets),
  );
  const type = fc.oneof(fc.constantFrom(1, 2, 5, 6, 12, 16, 255), fc.integer({ min: 0, max: 0xffff }));
  const end = fc.constantFrom('', 'x', 'docker.internal', '65.168.192.in-addr.arpa');
  fc.assert(
    fc.property(
      fc.array(label, { maxLength: 6 }),
      end,
      type,
      fc.integer({ min: 512, max: 70_000 }),
      (labels, last, number, max) => {
        const name = [...labels, ...(last === '' ? [] : last.split('.').map(octets))];
        const wire = name.flatMap((one) => [one.length, ...one]);
        const bytes = Uint8Array.from([
          0,
          7,
          1,
          0,
          0,
          1,
          0,
          0,
          0,
          0,
          0,
          0,
          ...wire,
          0,
          number >> 8,
          number & 0xff,
          0,
          1,
        ]);
        const asked = queryFrom(bytes);
        if (asked === undefined) return;
        const answer = zones.answer(asked, max);
        assert.ok(answer !== undefined && answer.message.length <= max);
        assert.deepEqual(answer.message.slice(12, bytes.length), bytes.slice(12));
      },
    ),
    { numRuns: 1000 },
  );
});

test('a removal of which one part is refused removes nothing', () => {
  const zones = store({ name: 'x', data: a('10.0.0.1') });
  refused(() => zones.removeRecords('dev.example', [{ name: 'x' }, { name: 'a..b' }]), /not a domain name/);
  assert.equal(ask(zones, 'x.dev.example', 'A')?.answer.length, 1);
});

describe('refused with ERR_DNS_ZONE', () => {
  const cases: [string, ZoneRecord, RegExp][] = [
    ['a CNAME of the zone itself (RFC 1034 §3.6.2)', { name: '@', data: cname('x.y') }, /CNAME/],
    ['a delegation', { name: 'sub', data: { type: 'NS', target: 'ns.x' } }, /NS record below the zone/],
    ['a name that repeats the zone', { name: 'api.dev.example', data: a('10.0.0.1') }, /repeats the zone/],
    ['an absolute name outside of the zone', { name: 'api.test.', data: a('10.0.0.1') }, /outside of the zone/],
    ['a label of 64 octets', { name: 'x'.repeat(64), data: a('10.0.0.1') }, /not a domain name/],
    ['a name of 256 octets', { name: Array(62).fill('abc').join('.'), data: a('10.0.0.1') }, /longer than 255/],
    ['letters outside of ASCII', { name: 'bücher', data: a('10.0.0.1') }, /not a domain name/],
    ['a target that is no name', { name: 'x', data: cname('a..b') }, /points to "a\.\.b"/],
    ['a TTL beyond RFC 2181 §8', { name: 'x', ttlSeconds: 2 ** 31, data: a('10.0.0.1') }, /TTL/],
    [
      'a port beyond 65535',
      { name: 'x', data: { type: 'SRV', priority: 0, weight: 0, port: 65_536, target: 'x' } },
      /port/,
    ],
    ['an IPv6 address of 4 bytes', { name: 'x', data: { type: 'AAAA', address: new Uint8Array(4) } }, /IPv6/],
    ['a TXT without text', { name: 'x', data: { type: 'TXT', texts: [] } }, /without text/],
    ['too much at one name', { name: 'x', data: txt('x'.repeat(MAX_NAME_BYTES)) }, /too much for an answer/],
  ];
  for (const [what, record, message] of cases) {
    test(what, () => refused(() => store(record), message));
  }

  test('a record in a deeper zone', () => {
    const zones = store();
    zones.setZone({ name: 'sub.dev.example', records: [] });
    refused(
      () => zones.addRecords('dev.example', [{ name: 'x.sub', data: a('10.0.0.1') }]),
      /belongs to the zone sub\.dev\.example/,
    );
  });

  test('a zone that is not there', () =>
    refused(() => store().addRecords('nobody.example', []), /no zone nobody\.example/));

  test('too many zones', () => {
    const zones = new ZoneStore({ defaultTtlSeconds: 10 });
    for (let i = 0; i < MAX_ZONES; i++) zones.setZone({ name: `z${i}.test`, records: [] });
    refused(() => zones.setZone({ name: 'one.more', records: [] }), /1024 zones already/);
    zones.setZone({ name: 'z0.test', records: [] });
  });

  test('too many bytes of records, of which removed ones do not count', () => {
    const zones = new ZoneStore({ defaultTtlSeconds: 10 });
    const big = (name: string): ZoneRecord => ({ name, data: txt('x'.repeat(32_000)) });
    zones.setZone({ name: 'big.test', records: Array.from({ length: 520 }, (_, i) => big(`n${i}`)) });
    refused(
      () =>
        zones.addRecords(
          'big.test',
          Array.from({ length: 10 }, (_, i) => big(`m${i}`)),
        ),
      /bytes/,
    );
    zones.setZone({ name: 'big.test', records: [] });
    zones.setZone({ name: 'big.test', records: [big('x')] });
  });
});

test('absolute names with a last dot belong to their zone', () => {
  const zones = store({ name: 'api.dev.example.', data: a('10.0.0.1') }, { name: 'dev.example.', data: txt('x') });
  assert.equal(ask(zones, 'api.dev.example', 'A')?.answer.length, 1);
  assert.equal(ask(zones, 'dev.example', 'TXT')?.answer.length, 1);
});

test('the message is the asker’s own: id and question as asked, at most what was allowed', () => {
  const zones = builtInStore('192.168.65.0/24');
  const asked = query('HOST.docker.internal', 'A');
  const message = zones.answer(asked, 512)?.message;
  assert.deepEqual(message?.slice(0, 2), asked.bytes.slice(0, 2));
  assert.deepEqual(message?.slice(12, asked.bytes.length), asked.bytes.slice(12));
});

describe('names of services', () => {
  const told = (zones: ZoneStore, name: string): string => ask(zones, name, 'A')?.answer.join() ?? 'not ours';

  test('removing or replacing a built-in zone leaves them, and what is set hides them', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setServiceName('db.docker.internal', address('192.168.65.10'));
    zones.setZone({ name: 'docker.internal', records: [{ name: 'api', data: a('10.0.0.1') }] });
    assert.equal(told(zones, 'db.docker.internal'), 'db.docker.internal 10 A 192.168.65.10');
    zones.setZone({ name: 'docker.internal', records: [{ name: 'db', data: a('10.0.0.2') }] });
    assert.equal(told(zones, 'db.docker.internal'), 'db.docker.internal 10 A 10.0.0.2');
    assert.equal(zones.removeZone('docker.internal'), true);
    assert.equal(told(zones, 'db.docker.internal'), 'db.docker.internal 10 A 192.168.65.10');
    assert.equal(told(zones, 'host.docker.internal'), 'host.docker.internal 10 A 192.168.65.254');
    const [docker] = zones.list();
    assert.deepEqual([docker?.records, docker?.standing.some(({ name }) => name === 'db')], [[], true]);
    zones.removeServiceName('db.docker.internal');
    assert.equal(told(zones, 'db.docker.internal'), '');
  });

  test('outside of all zones each is a zone of its name alone, which goes with it and cannot be removed', () => {
    const zones = builtInStore('192.168.65.0/24');
    const before = zones.list().map(({ name }) => name);
    zones.setServiceName('db.dev.example', address('192.168.65.10'));
    assert.equal(told(zones, 'db.dev.example'), 'db.dev.example 10 A 192.168.65.10');
    assert.equal(told(zones, 'api.dev.example'), 'not ours');
    assert.equal(ask(zones, '10.65.168.192.in-addr.arpa', 'PTR')?.answer[0]?.split(' ').at(-1), 'db.dev.example.');
    assert.equal(zones.removeZone('db.dev.example'), false);
    zones.setServiceName('db.dev.example', address('192.168.65.11'));
    assert.equal(told(zones, 'db.dev.example'), 'db.dev.example 10 A 192.168.65.11');
    zones.removeServiceName('db.dev.example');
    assert.deepEqual(
      zones.list().map(({ name }) => name),
      before,
    );
    assert.equal(told(zones, 'db.dev.example'), 'not ours');
  });

  test('zones that come and go around them change nothing but who decides about other names', () => {
    const zones = builtInStore('192.168.65.0/24');
    for (const [i, name] of ['dev.example', 'db.dev.example', 'x.db.dev.example'].entries()) {
      zones.setServiceName(name, address(`192.168.65.${10 + i}`));
    }
    const all = (): string[] =>
      ['dev.example', 'db.dev.example', 'x.db.dev.example'].map((name) => told(zones, name).split(' ').at(-1) ?? '');
    const expected = ['192.168.65.10', '192.168.65.11', '192.168.65.12'];
    assert.deepEqual(all(), expected);
    zones.setZone({ name: 'db.dev.example', records: [{ name: 'y', data: a('10.0.0.1') }] });
    assert.deepEqual(all(), expected);
    zones.setZone({ name: 'example', records: [{ name: 'api.dev', data: a('10.0.0.2') }] });
    assert.deepEqual(all(), expected);
    assert.equal(told(zones, 'api.dev.example'), 'api.dev.example 10 A 10.0.0.2');
    assert.deepEqual(
      zones.list().flatMap(({ name, builtIn }) => (builtIn ? [] : [name])),
      ['db.dev.example', 'example'],
    );
    for (const name of ['db.dev.example', 'example']) assert.equal(zones.removeZone(name), true);
    assert.deepEqual(all(), expected);
    assert.equal(
      told(zones, 'api.dev.example'),
      '',
      'dev.example is a service’s name, and what lies below is not there',
    );
    assert.equal(told(zones, 'other.example'), 'not ours');
    zones.addRecords('dev.example', [{ name: 'api', data: a('10.0.0.3') }]);
    assert.deepEqual(all(), expected);
    zones.removeServiceName('dev.example');
    assert.equal(told(zones, 'api.dev.example'), 'api.dev.example 10 A 10.0.0.3', 'records were set: the zone stays');
  });

  test('whatever is set and removed, each name means its service or what was set', () => {
    const name = fc.constantFrom('a', 'b.a', 'c.b.a', 'd.a', 'docker.internal', 'x.docker.internal');
    const step = fc.record({ act: fc.constantFrom('service', 'end', 'zone', 'remove', 'records'), name });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const zones = builtInStore('192.168.65.0/24');
        const services = new Set<string>();
        for (const { act, name: one } of steps) {
          if (act === 'service') zones.setServiceName(one, address('192.168.65.9'));
          if (act === 'service') services.add(one);
          if (act === 'end') zones.removeServiceName(one);
          if (act === 'end') services.delete(one);
          if (act === 'zone') zones.setZone({ name: one, records: [] });
          if (act === 'remove') zones.removeZone(one);
          if (act === 'records' && zones.list().some((zone) => zone.name === one))
            zones.addRecords(one, [{ name: 'own', data: a('10.0.0.1') }]);
          for (const service of services) assert.match(told(zones, service), / A 192\.168\.65\.9$/);
        }
        for (const { name: zone, builtIn } of zones.list()) if (!builtIn) zones.removeZone(zone);
        for (const service of services) zones.removeServiceName(service);
        assert.ok(zones.list().every(({ builtIn, standing }) => builtIn && standing.every(({ name: n }) => n !== 'x')));
      }),
    );
  });
});
