import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_DNS_LOOKUPS } from '../../../../src/config/dns.ts';
import { Counters } from '../../../../src/env/counters.ts';
import { explainedStep } from '../../../../src/services/dns/explained-step.ts';
import { type HostAnswer, HostResolver } from '../../../../src/services/dns/sources/host-resolver.ts';
import { readU16, writeU16 } from '../../../../src/wire/bytes.ts';
import { DNS_NXDOMAIN, DNS_SERVFAIL } from '../../../../src/wire/dns-message.ts';
import { a, aaaa, pass, query, said, settled, world } from './world.ts';

const ONE = 0x0a00_0001;
const TWO = 0x0a00_0002;
const SOA = { ttlSeconds: 60, minimumSeconds: 30 };

test('a configured host is answered at once, with its family only, and its address tells its name', async () => {
  const hosts = [
    { name: 'Printer.Home', addresses: ['192.168.1.9', 'fd00::5'] },
    { name: 'other.home', addresses: ['192.168.1.9', 'no address'] },
  ];
  const w = world({ hosts });
  assert.deepEqual((await w.ask('printer.home', 'A')).answers, ['printer.home A 192.168.1.9']);
  assert.deepEqual((await w.ask('PRINTER.home', 'AAAA')).answers, ['PRINTER.home AAAA fd00::5']);
  const none = await w.ask('other.home', 'AAAA');
  assert.deepEqual([none.rcode, none.answers], ['NOERROR', []]);
  assert.deepEqual((await w.ask('printer.home', 'HTTPS')).answers, []);
  const v4 = await w.ask('9.1.168.192.in-addr.arpa', 'PTR');
  assert.deepEqual(v4.answers, ['9.1.168.192.in-addr.arpa PTR printer.home.']);
  const v6 = `5.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`;
  assert.deepEqual((await w.ask(v6, 'PTR')).answers, [`${v6} PTR printer.home.`]);
  assert.deepEqual([w.forwarder.asked, w.host.asked], [[], []]);
});

test('what a configured host and localhost do not have may be kept by who asks: an SOA says for how long (RFC 2308)', async () => {
  const w = world({ hosts: [{ name: 'printer.home', addresses: ['192.168.1.9'] }], os: () => ['127.0.0.1'] });
  const soa = (zone: string): RegExp => new RegExp(`^${zone} SOA gateway\\.docker\\.internal\\. .* 10$`);
  for (const type of ['AAAA', 'HTTPS', 'NS']) {
    const { rcode, answers, authorities, ttls } = await w.ask('Printer.home', type);
    assert.deepEqual([rcode, answers, ttls], ['NOERROR', [], [10]], type);
    assert.match(authorities[0] ?? '', soa('Printer.home'));
  }
  assert.match((await w.ask('printer.home', 'SOA')).answers[0] ?? '', soa('printer.home'));
  assert.deepEqual((await w.ask('printer.home', 'A')).authorities, []);
  for (const type of ['AAAA', 'MX'])
    assert.match((await w.ask('db.localhost', type)).authorities[0] ?? '', soa('localhost'));
  const none = world();
  const gone = await none.ask('db.localhost', 'A');
  assert.equal(gone.rcode, 'NXDOMAIN');
  assert.match(gone.authorities[0] ?? '', soa('localhost'));
});

test('the rule of the longest domain decides, then the configured upstreams; neither asks the operating system', async () => {
  const rules = [
    { domain: 'example', nameservers: [{ address: '10.0.0.1', port: 53 }] },
    { domain: 'Corp.Example', nameservers: [{ address: '10.0.0.2', port: 53 }] },
    { domain: '10.in-addr.arpa', nameservers: [{ address: '10.0.0.3', port: 53 }] },
  ];
  const upstreams = [{ address: '10.0.0.9', port: 5353 }];
  const w = world({ rules, upstreams, raw: () => ({ answers: a(ONE) }) });
  for (const name of ['a.corp.example', 'corp.example', 'mycorp.example', 'example', 'elsewhere.test']) {
    await w.ask(name, 'A');
  }
  await w.ask('1.0.0.10.in-addr.arpa', 'PTR');
  await w.ask(String.raw`a\.corp.example`, 'A');
  const asked = w.forwarder.asked.map(({ nameservers }) => nameservers !== 'system' && nameservers[0]?.address);
  const first = ['10.0.0.2', '10.0.0.2', '10.0.0.1', '10.0.0.1', '10.0.0.9', '10.0.0.3'];
  assert.deepEqual(asked, [...first, '10.0.0.1']);
  assert.deepEqual(w.host.asked, []);
  const { trace } = await w.explain('b.corp.example', 'TXT');
  const kinds = trace.steps.map((step) => step.kind);
  assert.deepEqual(kinds, ['cache', 'rule', 'answer']);
});

test('other types go to the nameservers alone, and what they say comes back whole', async () => {
  const w = world({ raw: () => ({ rcode: DNS_NXDOMAIN, soa: SOA }), os: () => ['10.0.0.1'] });
  const answer = await w.ask('host.example', 'MX');
  assert.deepEqual([answer.rcode, answer.ttls], ['NXDOMAIN', [60]]);
  assert.deepEqual(w.host.asked, []);
  assert.equal(w.forwarder.asked[0]?.nameservers, 'system');
});

test('what inet_aton(3) reads as an address is no name; what getaddrinfo cannot take is put to the nameservers alone', async () => {
  const w = world({ raw: () => ({ rcode: DNS_NXDOMAIN }), os: () => ['10.0.0.1'] });
  for (const name of ['1.2.3', '0x7f.1', '127.0.0.1', '2130706433', '0x']) {
    assert.equal((await w.ask(name, 'A')).rcode, 'NXDOMAIN', name);
  }
  assert.deepEqual([w.forwarder.asked, w.host.asked], [[], []]);
  await w.ask(String.raw`a\032b.example`, 'A');
  await w.ask(String.raw`a\.b.example`, 'AAAA');
  await w.ask('', 'A');
  assert.deepEqual([w.forwarder.asked.length, w.host.asked], [3, []]);
  for (const name of ['printer', '_sip.example', '1.2.3.4.5', '3com.example', '0x7g']) await w.ask(name, 'A');
  assert.deepEqual(w.host.asked, ['printer', '_sip.example', '1.2.3.4.5', '3com.example', '0x7g']);
});

test('localhost is what the host says, and no nameserver hears of it', async () => {
  const w = world({ os: (name) => (name === 'localhost' ? ['127.0.0.1'] : 'no-such-name') });
  assert.deepEqual((await w.ask('localhost', 'A')).answers, ['localhost A 127.0.0.1']);
  const v6 = await w.ask('localhost', 'AAAA');
  assert.deepEqual([v6.rcode, v6.answers], ['NOERROR', []]);
  assert.equal((await w.ask('db.localhost', 'A')).rcode, 'NXDOMAIN');
  assert.equal((await w.ask('localhost', 'MX')).rcode, 'NOERROR');
  assert.deepEqual(w.forwarder.asked, []);
});

test('a name with only the other family in the hosts file is NODATA, not NXDOMAIN', async () => {
  const w = world({ raw: () => ({ rcode: DNS_NXDOMAIN, soa: SOA }), os: () => ['10.0.0.7'] });
  const answer = await w.ask('only4.lan', 'AAAA');
  assert.deepEqual([answer.rcode, answer.answers], ['NOERROR', []]);
});

test('without IPv6 on the host AAAA answers become NODATA that says why; NXDOMAIN stays', async () => {
  const raw = (asked: { name: string }) =>
    asked.name === 'gone.example' ? { rcode: DNS_NXDOMAIN, soa: SOA } : { answers: aaaa(1), ttlSeconds: 300 };
  const os = (name: string) => (name === 'gone.example' ? ('no-such-name' as const) : ['2001:db8::1']);
  const w = world({ raw, os });
  assert.equal((await w.ask('host.example', 'AAAA')).answers.length, 1);
  w.system.ipv6 = false;
  w.system.generation++;
  for (const asking of [{}, { dnssecOk: true }]) {
    const answer = await w.ask('host.example', 'AAAA', asking);
    assert.deepEqual([answer.rcode, answer.answers, answer.error], ['NOERROR', [], 17]);
  }
  assert.equal((await w.ask('gone.example', 'AAAA')).rcode, 'NXDOMAIN');
  // Kept as long as the records that it hides.
  const asked = w.forwarder.asked.length;
  w.timers.advance(299_000);
  assert.equal((await w.ask('host.example', 'AAAA')).error, 17);
  assert.equal(w.forwarder.asked.length, asked);
});

test('dns.ipv6 never hides AAAA always, always never', async () => {
  const facts = { raw: () => ({ answers: aaaa(1) }), os: () => ['2001:db8::1'] };
  const never = world({ ...facts, ipv6: 'never' });
  assert.deepEqual((await never.ask('host.example', 'AAAA')).answers, []);
  const always = world({ ...facts, ipv6: 'always' });
  always.system.ipv6 = false;
  assert.equal((await always.ask('host.example', 'AAAA')).answers.length, 1);
});

test('the cache answers with what is left of the TTL, at once and by itself', async () => {
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 100 }), os: () => ['10.0.0.1'] });
  const asked = query('host.example', 'A');
  assert.equal(w.cached(asked), undefined);
  await w.ask('host.example', 'A');
  w.timers.advance(40_500);
  assert.deepEqual(said(w.cached(asked)!).ttls, [60]);
  const { trace } = await w.explain('HOST.example', 'A');
  assert.deepEqual(trace.steps[0], { kind: 'cache', outcome: 'hit', ttlSeconds: 60 });
  assert.equal(w.forwarder.asked.length, 1);
  // Who asks with DO or CD may hear something else.
  assert.equal(w.cached(query('host.example', 'A', { dnssecOk: true })), undefined);
  assert.equal(w.cached(query('host.example', 'A', { checkingDisabled: true })), undefined);
  w.timers.advance(59_500);
  assert.equal(w.cached(asked), undefined);
});

test('a message that goes out may be changed by who gets it: the cache and the other askers keep theirs', async () => {
  const w = world({ raw: () => ({ answers: a(ONE) }), os: () => ['10.0.0.1'] });
  const both = await Promise.all([1, 2].map(() => w.resolve(query('host.example', 'A'))));
  both[0]!.fill(0);
  w.cached(query('host.example', 'A'))!.fill(0);
  assert.equal(said(both[1]!).answers.length, 1);
  assert.equal((await w.ask('host.example', 'A')).answers.length, 1);
});

test('what the operating system alone knows is kept for the configured TTL, failures are not kept', async () => {
  const w = world({ os: (name) => (name === 'mdns.local' ? ['10.0.0.1'] : 'failed') });
  await w.ask('mdns.local', 'A');
  await w.ask('mdns.local', 'A');
  assert.equal(w.forwarder.asked.length, 1);
  w.timers.advance(10_000);
  await w.ask('mdns.local', 'A');
  assert.equal(w.forwarder.asked.length, 2);
  await w.ask('dead.example', 'A');
  await w.ask('dead.example', 'A');
  assert.equal(w.forwarder.asked.length, 4);
});

test('a thousand askers of one question are one asking, and each owns its answer', async () => {
  const w = world({ raw: () => ({ answers: a(ONE) }), os: () => ['10.0.0.1'] });
  w.forwarder.delayMs = 100;
  const all = Array.from({ length: 1000 }, () => w.resolve(query('host.example', 'A')));
  await pass(w.timers, 100);
  const answers = await Promise.all(all);
  assert.equal(w.forwarder.asked.length, 1);
  assert.equal(w.host.asked.length, 1);
  assert.equal(new Set(answers).size, 1000);
  for (const answer of answers) assert.equal(said(answer).answers.length, 1);
  assert.equal(w.counters.get('dns-joined'), 999);
});

test('the operating system is asked once for both families, never for one that the name may lack', async () => {
  // Asked for one family alone, glibc goes on to only4.example.SEARCHDOMAIN; asked for both, it is content with IPv4.
  const w = world({
    raw: ({ question }) => (question.type === 1 ? { answers: a(ONE) } : { soa: SOA }),
    os: () => ['10.0.0.1'],
  });
  w.forwarder.delayMs = 100;
  const both = ['A', 'AAAA'].map((type) => w.explain('only4.example', type));
  await pass(w.timers, 100);
  const [v4, v6] = await Promise.all(both);
  assert.deepEqual(v4!.answer.answers, ['only4.example A 10.0.0.1']);
  assert.deepEqual([v6!.answer.rcode, v6!.answer.answers, v6!.answer.ttls], ['NOERROR', [], [60]]);
  assert.deepEqual(w.host.asked, ['only4.example']);
});

test('who asks after the network changed does not share the asking from before, nor the cache', async () => {
  let address = ONE;
  const w = world({ upstreams: [{ address: '10.0.0.9', port: 53 }], raw: () => ({ answers: a(address) }) });
  w.forwarder.delayMs = 100;
  const before = w.ask('host.example', 'A');
  await settled();
  w.system.generation++;
  address = TWO;
  const after = w.ask('host.example', 'A');
  await pass(w.timers, 100);
  assert.deepEqual((await before).answers, ['host.example A 10.0.0.1']);
  assert.deepEqual((await after).answers, ['host.example A 10.0.0.2']);
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.2']);
  assert.equal(w.forwarder.asked.length, 2);
  w.system.generation++;
  address = ONE;
  const third = w.ask('host.example', 'A');
  await pass(w.timers, 100);
  assert.deepEqual((await third).answers, ['host.example A 10.0.0.1']);
});

test('an NXDOMAIN that the operating system brings from the former network is nobody’s answer on the new one', async () => {
  const open: ((answer: HostAnswer) => void)[] = [];
  let generation = 1;
  const lookup = (): Promise<HostAnswer> => new Promise((resolve) => open.push(resolve));
  const resolver = new HostResolver(new Counters(), () => generation, lookup);
  const w = world({ resolver, raw: () => (generation === 1 ? 'silent' : { answers: a(ONE) }) });
  void w.ask('intern.example', 'A');
  await settled();
  // The VPN is up.
  generation++;
  w.system.generation++;
  const after = w.ask('intern.example', 'A');
  await pass(w.timers, 10);
  open[0]!('no-such-name');
  await pass(w.timers, 10);
  open[1]!(['10.0.0.1']);
  assert.deepEqual((await after).answers, ['intern.example A 10.0.0.1']);
  assert.deepEqual((await w.ask('intern.example', 'A')).answers, ['intern.example A 10.0.0.1']);
});

test('a failure that came while the network changed is asked again on the new one', async () => {
  const upstreams = [{ address: '10.0.0.9', port: 53 }];
  const w = world({ upstreams });
  w.forwarder.script = () => {
    if (w.forwarder.asked.length > 1) return { answers: a(ONE) };
    w.system.generation++;
    return { rcode: DNS_SERVFAIL };
  };
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.1']);
  assert.notEqual(w.cached(query('host.example', 'A')), undefined);
});

test('flush forgets everything', async () => {
  const w = world({ raw: () => ({ answers: a(ONE) }), os: () => ['10.0.0.1'] });
  await w.ask('host.example', 'A');
  assert.equal(w.cache.kept.entries, 1);
  w.cache.flush();
  assert.deepEqual(w.cache.kept, { entries: 0, bytes: 0 });
  assert.equal(w.cached(query('host.example', 'A')), undefined);
  await w.ask('host.example', 'A');
  assert.equal(w.forwarder.asked.length, 2);
});

test('nobody answers: the old answer after 1.8 s with TTL 30; the answer that comes later is kept (RFC 8767)', async () => {
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 60 }), upstreams: [{ address: '10.0.0.9', port: 53 }] });
  await w.ask('host.example', 'A');
  w.timers.advance(60_000);
  w.forwarder.delayMs = 3000;
  w.forwarder.script = () => ({ answers: a(TWO), ttlSeconds: 60 });
  let answered = false;
  const asking = w.explain('host.example', 'A').finally(() => {
    answered = true;
  });
  await pass(w.timers, 1790);
  assert.equal(answered, false);
  await pass(w.timers, 10);
  const { answer, trace } = await asking;
  assert.deepEqual([answer.answers, answer.ttls, answer.error], [['host.example A 10.0.0.1'], [30], 3]);
  assert.deepEqual(
    trace.steps.map((step) => (step.kind === 'cache' ? step.outcome : step.kind)),
    ['miss', 'stale', 'answer'],
  );
  // Who asks meanwhile has it at once, and the world is not asked twice.
  assert.equal((await w.ask('host.example', 'A')).error, 3);
  assert.equal(w.forwarder.asked.length, 2);
  await pass(w.timers, 1200);
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.2']);
  assert.equal(w.forwarder.asked.length, 2);
  assert.equal(w.timers.waiting, 0);
});

test('after a silence the old answer goes out at once for 30 s, while the world is asked again (RFC 8767 §5)', async () => {
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 60 }), upstreams: [{ address: '10.0.0.9', port: 53 }] });
  await w.ask('host.example', 'A');
  w.timers.advance(60_000);
  w.forwarder.script = () => 'silent';
  const first = w.ask('host.example', 'A');
  await pass(w.timers, 4500);
  assert.equal((await first).error, 3);
  // No time passes for who asks next.
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.1']);
  assert.equal(w.forwarder.asked.length, 3);
  await pass(w.timers, 5000);
  // The nameserver is back: one more old answer, then its own.
  w.forwarder.script = () => ({ answers: a(TWO), ttlSeconds: 60 });
  assert.equal((await w.ask('host.example', 'A')).error, 3);
  await settled();
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.2']);
  assert.equal(w.forwarder.asked.length, 4);
  assert.equal(w.timers.waiting, 0);
});

test('of names that are answered at once only 256 are asked for again at a time', async () => {
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 60 }), upstreams: [{ address: '10.0.0.9', port: 53 }] });
  const names = Array.from({ length: 300 }, (_, i) => `host${i}.example`);
  const askAll = (): Promise<unknown>[] => names.map((name) => w.ask(name, 'A'));
  await Promise.all(askAll());
  w.timers.advance(60_000);
  w.forwarder.script = () => 'silent';
  const waiting = askAll();
  await pass(w.timers, 4500);
  await Promise.all(waiting);
  assert.equal(w.forwarder.asked.length, 600);
  await Promise.all(askAll());
  assert.deepEqual([w.forwarder.asked.length, w.counters.get('dns-recheck-limit')], [856, 44]);
});

test('an old answer does not go out at once on another network, nor after the 30 s', async () => {
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 60 }), upstreams: [{ address: '10.0.0.9', port: 53 }] });
  const slow = async (): Promise<void> => {
    w.forwarder.script = () => 'silent';
    const asking = w.ask('host.example', 'A');
    await pass(w.timers, 4500);
    assert.equal((await asking).error, 3);
    w.forwarder.script = () => ({ answers: a(TWO), ttlSeconds: 60 });
  };
  await w.ask('host.example', 'A');
  w.timers.advance(60_000);
  await slow();
  w.timers.advance(30_000);
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.2']);
  w.timers.advance(60_000);
  await slow();
  w.system.generation++;
  assert.equal((await w.ask('host.example', 'A')).error, undefined);
});

test('a failure is replaced by the old answer at once, for an hour after its end', async () => {
  const upstreams = [{ address: '10.0.0.9', port: 53 }];
  const w = world({ raw: () => ({ rcode: DNS_NXDOMAIN, soa: SOA }), upstreams });
  await w.ask('gone.example', 'A');
  for (const failure of [() => 'no-answer' as const, () => ({ rcode: DNS_SERVFAIL })]) {
    w.forwarder.script = failure;
    w.timers.advance(30_000);
    const answer = await w.ask('gone.example', 'A');
    assert.deepEqual([answer.rcode, answer.ttls, answer.error], ['NXDOMAIN', [30], 19]);
  }
  w.timers.advance(3_600_000);
  assert.equal((await w.ask('gone.example', 'A')).rcode, 'SERVFAIL');
});

test('after a change of network an old answer stands in for a minute, and only when nobody answers', async () => {
  const upstreams = [{ address: '10.0.0.9', port: 53 }];
  const w = world({ raw: () => ({ answers: a(ONE), ttlSeconds: 86_400 }), upstreams });
  await w.ask('host.example', 'A');
  w.system.generation++;
  assert.equal(w.cached(query('host.example', 'A')), undefined);
  w.forwarder.script = () => 'no-answer';
  w.timers.advance(59_000);
  assert.equal((await w.ask('host.example', 'A')).error, 3);
  w.system.generation++;
  w.timers.advance(1000);
  assert.equal((await w.ask('host.example', 'A')).rcode, 'SERVFAIL');
});

test('nobody answers at all: SERVFAIL after 4.5 s that says so', async () => {
  const w = world({ raw: () => 'silent', os: () => 'silent' });
  const all = ['A', 'MX'].map((type) => w.explain('dead.example', type));
  await pass(w.timers, 4490);
  assert.notEqual(w.timers.waiting, 0);
  await pass(w.timers, 10);
  for (const { answer, trace } of await Promise.all(all)) {
    assert.deepEqual([answer.rcode, answer.error], ['SERVFAIL', 22]);
    assert.equal(trace.steps.at(-1)?.kind, 'answer');
  }
  // Recovery needs nothing but another question.
  w.forwarder.script = () => ({ answers: a(ONE) });
  const again = w.ask('dead.example', 'A');
  // The operating system still waits.
  await pass(w.timers, 1000);
  assert.equal((await again).rcode, 'NOERROR');
});

test('a slow operating system is waited for one second after the nameserver', async () => {
  const w = world({ raw: () => ({ answers: a(ONE) }), os: () => 'silent' });
  const asking = w.explain('slow.example', 'A');
  await pass(w.timers, 990);
  assert.equal(w.cached(query('slow.example', 'A')), undefined);
  await pass(w.timers, 10);
  const { answer, trace } = await asking;
  assert.deepEqual(answer.answers, ['slow.example A 10.0.0.1']);
  assert.deepEqual(trace.steps[1], {
    ...{ kind: 'operating-system', family: 4, outcome: 'not-in-time', addresses: [], ms: 1000 },
  });
});

test('a name of the hosts file does not wait for dead nameservers', async () => {
  const w = world({ raw: () => 'silent', os: () => ['10.0.0.1'] });
  const plain = w.ask('nas.lan', 'A');
  const signed = w.ask('nas.lan', 'A', { dnssecOk: true });
  await pass(w.timers, 250);
  assert.deepEqual((await plain).answers, ['nas.lan A 10.0.0.1']);
  await pass(w.timers, 1750);
  assert.deepEqual((await signed).answers, ['nas.lan A 10.0.0.1']);
});

test('a name that the hosts file has in one family is NODATA in the other, however dead the nameservers are', async () => {
  const w = world({ raw: () => 'silent', os: () => ['10.0.0.1'] });
  const missing = w.explain('nas.lan', 'AAAA');
  await pass(w.timers, 250);
  const { answer, trace } = await missing;
  assert.deepEqual([answer.rcode, answer.answers], ['NOERROR', []]);
  assert.match(explainedStep(trace.steps[1]!), /knows the name, without an address of this family, after 0\.0 ms\.$/);
});

test('dead names never delay a living one', async () => {
  const dead = (name: string) => name.startsWith('dead');
  const w = world({
    raw: ({ name }) => (dead(name) ? 'silent' : { answers: a(ONE) }),
    os: (name) => (dead(name) ? 'silent' : ['10.0.0.1']),
  });
  const all = Array.from({ length: 64 }, (_, i) => w.ask(`dead${i}.example`, 'A'));
  await settled();
  assert.equal(w.host.running, 48);
  const { answer, trace } = await w.explain('living.example', 'A');
  assert.deepEqual(answer.answers, ['living.example A 10.0.0.1']);
  assert.equal(trace.steps.find((step) => step.kind === 'operating-system')?.outcome, 'addresses');
  await pass(w.timers, 4500);
  for (const said of await Promise.all(all)) assert.equal(said.rcode, 'SERVFAIL');
  // Who waited for a thread left with its asker.
  assert.equal(w.host.asked.length, 49);
});

test('as many dead names as one guest may ask for keep the operating system’s word from nobody', async () => {
  const dead = (name: string) => name.startsWith('dead');
  const w = world({
    raw: ({ name }) => (dead(name) ? 'silent' : { rcode: DNS_NXDOMAIN, soa: SOA }),
    os: (name) => (dead(name) ? 'silent' : ['10.0.0.1']),
  });
  const all = Array.from({ length: DEFAULT_DNS_LOOKUPS / 2 }, (_, i) => w.ask(`dead${i}.example`, 'A'));
  await pass(w.timers, 1100);
  const { answer, trace } = await w.explain('nas.lan', 'A');
  assert.deepEqual(answer.answers, ['nas.lan A 10.0.0.1']);
  assert.equal(trace.steps.find((step) => step.kind === 'operating-system')?.outcome, 'addresses');
  await pass(w.timers, 3400);
  for (const said of await Promise.all(all)) assert.equal(said.rcode, 'SERVFAIL');
});

test('a question without RD is put to the nameservers alone, and its answer is nobody else’s', async () => {
  const w = world({ raw: () => ({ answers: a(TWO) }), os: () => ['10.0.0.1'] });
  assert.deepEqual((await w.ask('host.example', 'A', { rd: false })).answers, ['host.example A 10.0.0.2']);
  assert.deepEqual(w.host.asked, []);
  assert.deepEqual((await w.ask('host.example', 'A')).answers, ['host.example A 10.0.0.1']);
});

test('a broken message of a nameserver is no answer', async () => {
  const w = world();
  w.forwarder.script = (asked) => {
    const bytes = asked.bytes.slice();
    writeU16(bytes, 2, readU16(bytes, 2) | 0x8000);
    // An answer that is not there.
    writeU16(bytes, 6, 1);
    return bytes;
  };
  assert.equal((await w.ask('host.example', 'TXT')).rcode, 'SERVFAIL');
  assert.equal(w.counters.get('dns-upstream-broken-message'), 1);
});

test('a defect costs one answer', async () => {
  const w = world({
    raw: ({ name }) => {
      if (name === 'defect.example') throw new Error('a defect');
      return { answers: a(ONE) };
    },
    os: (name) => {
      if (name === 'odd.example') throw new Error('a defect');
      return ['10.0.0.1'];
    },
  });
  for (const type of ['A', 'MX']) {
    const { answer, trace } = await w.explain('defect.example', type);
    assert.deepEqual([answer.rcode, answer.error], ['SERVFAIL', 0]);
    assert.equal(trace.steps.at(-1)?.kind, 'answer');
  }
  assert.equal(w.counters.get('dns-defect'), 2);
  assert.equal((await w.ask('odd.example', 'A')).rcode, 'NOERROR');
  assert.equal((await w.ask('host.example', 'A')).rcode, 'NOERROR');
});
