import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { type DnsInput, resolveDns } from '../../../src/config/dns.ts';
import { BatchedRandom } from '../../../src/control/batched-random.ts';
import { Counters } from '../../../src/env/counters.ts';
import { describeMessage } from '../../../src/services/dns/described-message.ts';
import type { DnsTransport } from '../../../src/services/dns/dns-query.ts';
import { DnsService } from '../../../src/services/dns/dns-service.ts';
import { dnsSources } from '../../../src/services/dns/dns-sources.ts';
import { type DnsStack, dnsStack } from '../../../src/services/dns/dns-stack.ts';
import type { DnsServerName } from '../../../src/services/dns/dns-stream-server.ts';
import { RecordedTrace } from '../../../src/services/dns/lookup-trace.ts';
import { QueryLimit } from '../../../src/services/dns/query-limit.ts';
import { HostResolver } from '../../../src/services/dns/sources/host-resolver.ts';
import { Forwarder } from '../../../src/services/dns/upstream/forwarder.ts';
import type { Nameserver } from '../../../src/facts/nameserver.ts';
import { SystemConfigWatch } from '../../../src/services/dns/upstream/system-config.ts';
import { ZoneStore } from '../../../src/services/dns/zones/zone-store.ts';
import { readU16, writeU16 } from '../../../src/wire/bytes.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';
import {
  DNS_CD,
  DNS_FORMERR,
  DNS_NOERROR,
  DNS_NOTIMP,
  DNS_NXDOMAIN,
  DNS_RA,
  DNS_RD,
  DNS_REFUSED,
  DNS_SERVFAIL,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_MX,
  DNS_TYPE_PTR,
  DNS_TYPE_TXT,
} from '../../../src/wire/dns-message.ts';
import { parseIpv4Address } from '../../../src/wire/ipv4-address.ts';
import { deferred } from '../../support/deferred.ts';
import {
  answerBytes,
  dnsQuery,
  type OwnedData,
  queryBytes,
  type Read,
  readMessage,
} from '../../support/dns-messages.ts';
import { needs } from '../../support/needs.ts';

const GUEST = 'a guest';
const OTHER_GUEST = 'another guest';
const log = { info: () => {}, warn: () => {} };

interface World extends DnsStack {
  readonly counters: Counters;
}

/** The whole stack of a computer that has no nameserver, unless `dns.upstreams` says so. */
function world(t: TestContext, dns: DnsInput = {}): World {
  const counters = new Counters();
  const stack = dnsStack({
    dns: resolveDns(dns),
    network: {
      subnet: parseCidr('192.168.65.0/24')!,
      gateway: parseIpv4Address('192.168.65.1')!,
      hostAddress: parseIpv4Address('192.168.65.254')!,
    },
    counters,
    log,
    random: new BatchedRandom(),
    host: new SystemConfigWatch({ resolvConf: '/nonexistent/resolv.conf' }),
  });
  t.after(() => stack.close());
  return { ...stack, counters };
}

/** A nameserver on loopback; what `reply` gives is sent with the id of the question. */
async function nameserver(
  t: TestContext,
  reply: (query: Uint8Array) => Uint8Array | undefined,
): Promise<Nameserver & { readonly asked: string[] }> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (message, from) => {
    asked.push(dnsQuery(message).name);
    const answer = reply(message);
    if (answer === undefined) return;
    writeU16(answer, 0, readU16(message, 0));
    socket.send(answer, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { address: '127.0.0.1', port: (socket.address() as AddressInfo).port, asked };
}

interface Asking {
  readonly transport?: DnsTransport;
  readonly server?: DnsServerName;
  readonly guest?: string;
}

async function ask(stack: DnsStack, bytes: Uint8Array, asking: Asking = {}): Promise<Read> {
  const { transport = 'udp', server = 'all', guest = GUEST } = asking;
  const answer = await stack.service.answer(bytes, guest, transport, server);
  assert.ok(answer !== undefined);
  const read = readMessage(answer);
  assert.ok(read.head.response);
  assert.equal(read.head.id, readU16(bytes, 0));
  return read;
}

const a = (owner: string, text: string): OwnedData => ({
  owner,
  data: { type: 'A', address: parseIpv4Address(text)! },
});

test('an address of dns.hosts tells its name wherever it lies, in the subnet too', async (t) => {
  const hosts = [
    { name: 'nas.home', addresses: ['192.168.65.77', '10.9.9.9'] },
    { name: 'alias.home', addresses: ['192.168.65.77', '192.168.65.78', '192.168.65.254'] },
    { name: 'none.docker.internal', addresses: ['192.168.65.79'] },
  ];
  const { service } = world(t, { hosts });
  const pointer = async (address: string): Promise<string> => {
    const name = `${address.split('.').toReversed().join('.')}.in-addr.arpa`;
    const { rcode, answer } = describeMessage(await service.lookup({ name, type: DNS_TYPE_PTR }));
    return answer[0]?.data ?? rcode;
  };
  assert.equal(await pointer('10.9.9.9'), 'nas.home.');
  assert.equal(await pointer('192.168.65.77'), 'nas.home.');
  assert.equal(await pointer('192.168.65.78'), 'alias.home.');
  assert.equal(await pointer('192.168.65.254'), 'host.docker.internal.');
  assert.equal(await pointer('192.168.65.79'), 'NXDOMAIN', 'a zone of ours says that there is no such name');
});

test('our own names are answered at once, in the case of the question, with their addresses alone', async (t) => {
  const dns = world(t);
  assert.ok(
    dns.service.answer(queryBytes('host.docker.internal', DNS_TYPE_A), GUEST, 'udp', 'all') instanceof Uint8Array,
  );
  const host = await ask(dns, queryBytes('Host.Docker.Internal', DNS_TYPE_A));
  assert.deepEqual(host.records, ['answer Host.Docker.Internal A 192.168.65.254']);
  assert.equal(host.head.flags & (DNS_RA | DNS_RD), DNS_RA | DNS_RD);
  for (const type of [DNS_TYPE_AAAA, DNS_TYPE_MX]) {
    const none = await ask(dns, queryBytes('host.docker.internal', type));
    assert.equal(none.head.rcode, DNS_NOERROR);
    assert.equal(none.head.answerCount, 0);
    assert.match(none.records[0]!, /^authority docker\.internal SOA/);
  }
});

test('our own addresses have a name, others of the subnet have none', async (t) => {
  const dns = world(t);
  const host = await ask(dns, queryBytes('254.65.168.192.in-addr.arpa', DNS_TYPE_PTR));
  assert.match(host.records[0]!, /PTR host\.docker\.internal\.$/);
  assert.equal((await ask(dns, queryBytes('77.65.168.192.in-addr.arpa', DNS_TYPE_PTR))).head.rcode, DNS_NXDOMAIN);
});

test('A and AAAA of other names come from the host’s resolver', async (t) => {
  const dns = world(t);
  const { records } = await ask(dns, queryBytes('localhost', DNS_TYPE_A));
  assert.deepEqual(records, ['answer localhost A 127.0.0.1']);
  assert.equal((await ask(dns, queryBytes('LOCALHOST', DNS_TYPE_AAAA))).head.rcode, DNS_NOERROR);
});

test('what the cache has is answered at once, to each asker in its own way', async (t) => {
  const upstream = await nameserver(t, (query) => answerBytes(query, { answers: [a('www.example', '10.0.0.1')] }));
  const dns = world(t, { upstreams: [upstream] });
  await ask(dns, queryBytes('www.example', DNS_TYPE_A));
  const again = dns.service.answer(
    queryBytes('WWW.Example', DNS_TYPE_A, { id: 77, edns: {} }),
    OTHER_GUEST,
    'tcp',
    'all',
  );
  assert.ok(again instanceof Uint8Array);
  const { head, edns, records } = readMessage(again);
  assert.equal(head.id, 77);
  assert.equal(edns?.udpBytes, 1232);
  assert.deepEqual(records, ['answer WWW.Example A 10.0.0.1']);
  assert.deepEqual(upstream.asked, ['www.example']);
});

test('what is malformed is FORMERR, with the question where it could be read', async (t) => {
  const dns = world(t);
  const good = queryBytes('localhost', DNS_TYPE_A);
  const cut = await ask(dns, good.subarray(0, good.length - 1));
  assert.equal(cut.head.rcode, DNS_FORMERR);
  assert.equal(cut.head.name, '');
  const twice = Uint8Array.from([
    ...queryBytes('localhost', DNS_TYPE_A, { edns: {} }),
    0,
    0,
    41,
    4,
    208,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  writeU16(twice, 10, 2);
  const twoOpts = await ask(dns, twice);
  assert.equal(twoOpts.head.rcode, DNS_FORMERR);
  assert.equal(twoOpts.head.name, 'localhost');
  assert.equal((await ask(dns, queryBytes('localhost', 41))).head.rcode, DNS_FORMERR);
  const none = good.slice();
  writeU16(none, 4, 0);
  assert.equal((await ask(dns, none)).head.rcode, DNS_FORMERR);
  assert.equal(dns.counters.get('dns-not-one-question'), 1);
  assert.equal(dns.counters.get('dns-bad-edns'), 1);
});

test('what is no query of the Internet is NOTIMP or REFUSED, another EDNS is BADVERS', async (t) => {
  const dns = world(t);
  const good = queryBytes('localhost', DNS_TYPE_A);
  const update = good.slice();
  writeU16(update, 2, 5 << 11);
  const notImplemented = await ask(dns, update);
  assert.equal(notImplemented.head.rcode, DNS_NOTIMP);
  assert.equal(notImplemented.head.opcode, 5);
  const chaos = good.slice();
  writeU16(chaos, chaos.length - 2, 3);
  assert.equal((await ask(dns, chaos)).head.rcode, DNS_REFUSED);
  for (const type of [251, 252]) {
    assert.equal((await ask(dns, queryBytes('docker.internal', type))).head.rcode, DNS_REFUSED);
  }
  const version = await ask(dns, queryBytes('localhost', DNS_TYPE_A, { edns: { version: 1 } }));
  assert.equal(version.head.rcode, 0);
  assert.equal(version.edns?.extendedRcode, 1);
  assert.equal(version.edns?.version, 0);
});

test('an answer, and what has no header, get no answer', async (t) => {
  const dns = world(t);
  const response = queryBytes('localhost', DNS_TYPE_A, { flags: 0x8000 });
  for (const transport of ['udp', 'tcp'] as const) {
    assert.equal(await dns.service.answer(response, GUEST, transport, 'all'), undefined);
    assert.equal(await dns.service.answer(response.subarray(0, 11), GUEST, transport, 'all'), undefined);
  }
  assert.equal(dns.counters.get('dns-not-a-question'), 2);
  assert.equal(dns.counters.get('dns-truncated'), 2);
});

test('the internal server answers zones and refuses the rest', async (t) => {
  const upstream = await nameserver(t, (query) => answerBytes(query, {}));
  const dns = world(t, { upstreams: [upstream] });
  const host = await ask(dns, queryBytes('host.docker.internal', DNS_TYPE_A), { server: 'internal' });
  assert.equal(host.records.length, 1);
  const outside = await ask(dns, queryBytes('www.example', DNS_TYPE_A), { server: 'internal' });
  assert.equal(outside.head.rcode, DNS_REFUSED);
  assert.deepEqual(upstream.asked, []);
});

const ZONE = {
  name: 'dev.example',
  records: [
    { name: 'api', data: { type: 'CNAME', target: 'Ingress.corp.example' } },
    { name: 'gone', data: { type: 'CNAME', target: 'gone.corp.example' } },
  ],
} as const;

test('a name of a zone that is another name elsewhere is answered with what that is', async (t) => {
  const soa = { mname: 'ns.corp.example', rname: 'root.corp.example', serial: 1, refreshSeconds: 1, retrySeconds: 1 };
  const upstream = await nameserver(t, (query) =>
    dnsQuery(query).name === 'gone.corp.example'
      ? answerBytes(
          query,
          {
            authorities: [
              { owner: 'corp.example', data: { type: 'SOA', soa: { ...soa, expireSeconds: 1, minimumSeconds: 60 } } },
            ],
          },
          0,
          DNS_NXDOMAIN,
        )
      : answerBytes(query, {
          answers: [
            { owner: 'ingress.corp.example', data: { type: 'CNAME', target: 'lb.corp.example' } },
            a('lb.corp.example', '10.1.1.1'),
            a('lb.corp.example', '10.1.1.2'),
          ],
        }),
  );
  const dns = world(t, { upstreams: [upstream], zones: [ZONE] });
  for (const server of ['all', 'internal'] as const) {
    const found = await ask(dns, queryBytes('API.dev.example', DNS_TYPE_A, { edns: {} }), { server });
    assert.deepEqual(
      found.records.map((text) => text.toLowerCase()),
      [
        'answer api.dev.example cname ingress.corp.example.',
        'answer ingress.corp.example cname lb.corp.example.',
        'answer lb.corp.example a 10.1.1.1',
        'answer lb.corp.example a 10.1.1.2',
      ],
    );
    assert.equal(found.head.name, 'API.dev.example');
    const gone = await ask(dns, queryBytes('gone.dev.example', DNS_TYPE_A), { server });
    assert.equal(gone.head.rcode, DNS_NXDOMAIN);
    assert.equal(gone.records.length, 2);
    assert.match(gone.records[1]!, /^authority corp\.example SOA ns\.corp\.example\. root\.corp\.example\./);
  }
});

test('over its limit a guest’s datagrams are dropped, its streams wait, and the others do not notice', async (t) => {
  const dns = world(t, { queriesPerSecond: 4 });
  const query = queryBytes('host.docker.internal', DNS_TYPE_A);
  const dropped = Array.from({ length: 20 }, () => dns.service.answer(query, GUEST, 'udp', 'all'));
  assert.ok(dropped.filter((answer) => answer !== undefined).length < 8);
  assert.ok(dns.counters.get('dns-over-limit') > 12);
  await ask(dns, query, { guest: OTHER_GUEST });
  // A wait of its own does not hold the process; this one does.
  const hold = setInterval(() => {}, 1000);
  await ask(dns, query, { transport: 'tcp' });
  clearInterval(hold);
});

test('one guest takes at most half of the lookups; beyond the answer is SERVFAIL', async (t) => {
  const waiting: (() => void)[] = [];
  const both = deferred<void>();
  const upstream = await nameserver(t, (query) => {
    if (dnsQuery(query).name.startsWith('quick'))
      return answerBytes(query, { answers: [a('quick.example', '10.0.0.1')] });
    waiting.push(() => {});
    if (waiting.length === 2) both.resolve();
    return undefined;
  });
  const dns = world(t, { lookups: 4, upstreams: [upstream] });
  const stuck = ['a.example', 'b.example'].map((name) => ask(dns, queryBytes(name, DNS_TYPE_TXT)));
  await both.promise;
  assert.equal((await ask(dns, queryBytes('quick.example', DNS_TYPE_A))).head.rcode, DNS_SERVFAIL);
  assert.equal(dns.counters.get('dns-busy'), 1);
  const other = await ask(dns, queryBytes('quick.example', DNS_TYPE_A), { guest: OTHER_GUEST });
  assert.equal(other.records.length, 1);
  dns.close();
  for (const { head } of await Promise.all(stuck)) assert.equal(head.rcode, DNS_SERVFAIL);
});

test('what the configuration says of IPv6 stays where AAAA are held back', async (t) => {
  const zone = {
    name: 'dev.example',
    records: [{ name: 'six', data: { type: 'AAAA', address: new Uint8Array(16) } }],
  } as const;
  const dns = world(t, { ipv6: 'never', zones: [zone], hosts: [{ name: 'six.home', addresses: ['fd00::5'] }] });
  for (const name of ['six.dev.example', 'six.home']) {
    assert.equal((await ask(dns, queryBytes(name, DNS_TYPE_AAAA))).records.length, 1, name);
  }
});

test('a defect costs one answer', async (t) => {
  class Broken extends ZoneStore {
    override answer(): never {
      throw new Error('a defect');
    }
  }
  const counters = new Counters();
  const clock = { nowMs: () => 0 };
  const limit = new QueryLimit({ queriesPerSecond: 10, lookups: 1, clock, counters, log });
  const system = new SystemConfigWatch({ resolvConf: '/nonexistent/resolv.conf' });
  const forwarder = new Forwarder({ system, counters, random: new BatchedRandom() });
  t.after(() => forwarder.close());
  const resolver = new HostResolver(counters, () => 0);
  const zones = new Broken({ defaultTtlSeconds: 1 });
  const { servers } = dnsSources({ ...resolveDns({}), zones, forwarder, resolver, system, limit, counters });
  const service = new DnsService({ servers, limit, counters });
  const answer = service.answer(queryBytes('www.example', DNS_TYPE_A, { edns: {} }), GUEST, 'udp', 'all');
  assert.ok(answer instanceof Uint8Array);
  assert.equal(readMessage(answer).head.rcode, DNS_SERVFAIL);
  assert.equal(counters.get('dns-defect'), 1);
});

test('a lookup of our own tells its way', async (t) => {
  const upstream = await nameserver(t, (query) => answerBytes(query, { answers: [a('lb.corp.example', '10.1.1.1')] }));
  const dns = world(t, {
    upstreams: [upstream],
    zones: [{ name: 'dev.example', records: [{ name: 'lb', data: { type: 'CNAME', target: 'lb.corp.example' } }] }],
  });
  const trace = new RecordedTrace();
  const message = await dns.service.lookup({ name: 'lb.dev.example', type: DNS_TYPE_A, trace });
  assert.equal(readMessage(message).records.length, 2);
  assert.deepEqual(
    trace.steps.map((step) =>
      `${step.kind} ${'source' in step ? step.source : 'server' in step ? step.server : ''}`.trim(),
    ),
    ['server internal', 'answer zone', 'server system', 'cache', 'upstream', 'answer upstream'],
  );
  await assert.rejects(dns.service.lookup({ name: 'a..b', type: DNS_TYPE_A }), { code: 'ERR_USAGE' });
});

/** Answers at once whatever is asked, so that no made-up name leaves the test. */
const refuse = (query: Uint8Array): Uint8Array => answerBytes(query, {}, 0, DNS_REFUSED);

/** Whatever `bytes` are: no answer, or a well-formed one with the right id. */
async function survives(dns: DnsStack, bytes: Uint8Array, asking: Asking = {}): Promise<void> {
  const { transport = 'udp', server = 'all' } = asking;
  const answer = await dns.service.answer(bytes, GUEST, transport, server);
  if (answer === undefined) return;
  const { head } = readMessage(answer);
  assert.ok(head.response);
  assert.equal(head.id, readU16(bytes, 0));
  assert.ok(transport === 'tcp' || answer.length <= 4096);
}

const REAL = [
  queryBytes('api.dev.example', DNS_TYPE_A, { edns: { dnssecOk: true } }),
  queryBytes('host.docker.internal', DNS_TYPE_AAAA),
  queryBytes('_sip._tcp.www.example', 33, { flags: DNS_RD | DNS_CD, edns: { udpBytes: 512 } }),
];

test('every truncation of a real query is survived', async (t) => {
  const dns = world(t, { upstreams: [await nameserver(t, refuse)], zones: [ZONE] });
  for (const query of REAL) for (let end = 0; end <= query.length; end++) await survives(dns, query.slice(0, end));
  assert.equal(dns.counters.get('dns-defect'), 0);
});

test('whatever bytes come, and however a real query is changed, the front answers well-formed or not at all', async (t) => {
  const dns = world(t, { upstreams: [await nameserver(t, refuse)], zones: [ZONE], queriesPerSecond: 1_000_000 });
  const asking = fc.record({
    transport: fc.constantFrom('udp' as const, 'tcp' as const),
    server: fc.constantFrom('all' as const, 'internal' as const),
  });
  const random = fc.uint8Array({ maxLength: 80 });
  const mutated = fc
    .tuple(
      fc.constantFrom(...REAL),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
      fc.uint8Array({ maxLength: 20 }),
    )
    .map(([query, changes, tail]) => {
      const bytes = Uint8Array.from([...query, ...tail]);
      for (const [at, octet] of changes) if (at < bytes.length) bytes[at] = octet;
      return bytes;
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(random, mutated), asking, (bytes, how) => survives(dns, bytes, how)),
    { numRuns: 3000 },
  );
  assert.equal(dns.counters.get('dns-defect'), 0);
});

test('dig understands the answers', async (t) => {
  if (!needs(t, 'dig')) return;
  const dns = world(t);
  const socket = createSocket('udp4', async (message, from) => {
    const answer = await dns.service.answer(message, GUEST, 'udp', 'all');
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const port = String((socket.address() as AddressInfo).port);
  const dig = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('dig', ['@127.0.0.1', '-p', port, '+tries=1', ...args])).stdout;
  assert.equal((await dig('+short', 'host.docker.internal')).trim(), '192.168.65.254');
  assert.equal((await dig('+short', '-x', '192.168.65.1')).trim(), 'gateway.docker.internal.');
  assert.match(await dig('host.docker.internal', 'AAAA'), /status: NOERROR[\s\S]*ANSWER: 0/);
  const withEdns = await dig('host.docker.internal');
  assert.match(withEdns, /EDNS: version: 0, flags:; udp: 1232/);
  assert.match(withEdns, /host\.docker\.internal\.\s+10\s+IN\s+A\s+192\.168\.65\.254/);
  assert.doesNotMatch(withEdns, /warning|malformed/i);
  assert.match(await dig('+edns=1', '+noednsneg', 'host.docker.internal'), /status: BADVERS/);
  assert.doesNotMatch(await dig('+noedns', 'host.docker.internal'), /EDNS/);
});
