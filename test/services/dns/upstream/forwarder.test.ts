import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { DEFAULT_DNS_LOOKUPS } from '../../../../src/config/dns.ts';
import { RecordedTrace } from '../../../../src/services/dns/lookup-trace.ts';
import { readU16 } from '../../../../src/wire/bytes.ts';
import { findEdns } from '../../../../src/wire/dns-edns.ts';
import {
  DNS_AD,
  DNS_CD,
  DNS_FORMERR,
  DNS_NXDOMAIN,
  DNS_RD,
  DNS_REFUSED,
  DNS_SERVFAIL,
  DNS_TC,
  DnsQuestion,
  parseDnsQuestion,
} from '../../../../src/wire/dns-message.ts';
import { addressesIn, answerTo, FakeNameserver, type Heard } from './fake-nameserver.ts';
import { query, UpstreamWorld } from './upstream-world.ts';

const NOBODY = { address: '255.255.255.255', port: 53 };

function bytesOf(result: Uint8Array | string): Uint8Array {
  if (typeof result === 'string') assert.fail(result);
  return result;
}

function rcodeOf(result: Uint8Array | string): number {
  return readU16(bytesOf(result), 2) & 15;
}

test('the query is our own: RD, CD and DO as asked, AD, 1,232 bytes, no options, an id of its own', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const ids = new Set<number>();
  for (let i = 0; i < 4; i++) {
    const asked = world.ask(query('Example.TEST', { flags: DNS_RD | DNS_CD, options: [0, 10, 0, 1, 7] }), [
      server.nameserver,
    ]);
    const heard = await server.next();
    ids.add(heard.question.id);
    assert.equal(heard.question.name, 'Example.TEST');
    assert.equal(heard.question.flags, DNS_RD | DNS_CD | DNS_AD);
    const edns = findEdns(heard.bytes, heard.question, heard.bytes.length);
    assert.ok(typeof edns === 'object');
    assert.deepEqual([edns.udpBytes, edns.dnssecOk, edns.optCount, edns.version], [1232, true, 0, 0]);
    heard.reply(answerTo(heard));
    assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);
  }
  assert.ok(ids.size > 1);
  const plain = world.ask(query('example.test', { flags: 0 }), [server.nameserver]);
  const heard = await server.next();
  assert.equal(heard.question.flags, DNS_AD);
  const edns = findEdns(heard.bytes, heard.question, heard.bytes.length);
  assert.ok(typeof edns === 'object' && !edns.dnssecOk);
  heard.reply(answerTo(heard));
  await plain;
});

test('a broken answer lets the next server be asked at once, and alone is none', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  const twice = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
  for (const hostile of [
    // More records than there are.
    (answer: Uint8Array) => answer.map((byte, i) => (i === 7 ? 99 : byte)),
    (answer: Uint8Array) => answer.subarray(0, answer.length - 2),
    (answer: Uint8Array) => Uint8Array.from([...answer.with(11, 2), ...twice, ...twice]),
  ]) {
    using world = new UpstreamWorld();
    const asked = world.ask(query('broken.test'), [first.nameserver, second.nameserver]);
    const heard = await first.next();
    heard.reply(hostile(answerTo(heard, { addresses: [6] })));
    const again = await second.next();
    again.reply(answerTo(again, { addresses: [7] }));
    assert.deepEqual(addressesIn(bytesOf(await asked)), [7]);
    const alone = world.ask(query('broken.test'), [first.nameserver]);
    const last = await first.next();
    last.reply(hostile(answerTo(last, { addresses: [6] })));
    assert.equal(await alone, 'no-answer');
    assert.equal(world.counters.get('dns-upstream-broken-message'), 2);
  }
});

test('what is no answer to the question is passed over and counted; the question may come back in any case', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('one.test'), [server.nameserver]);
  const heard = await server.next();
  const answer = answerTo(heard, { addresses: [9] });
  const changed = (at: number, to: number): Uint8Array => answer.map((byte, i) => (i === at ? to : byte));
  heard.reply(Uint8Array.of(1, 2, 3));
  heard.reply(changed(0, (answer[0] ?? 0) ^ 0x55));
  heard.reply(changed(2, 0x01));
  heard.reply(changed(5, 2));
  heard.reply(changed(13, 0x78));
  heard.reply(changed(heard.question.questionEnd - 3, 28));
  heard.reply(changed(13, 'O'.charCodeAt(0)));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [9]);
  assert.deepEqual(world.counters.snapshot(), {
    'dns-upstream-garbage': 3,
    'dns-upstream-other-question': 2,
    'dns-upstream-unasked': 1,
  });
});

test('a second answer is harmless', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  for (const address of [1, 2]) {
    const asked = world.ask(query(`n${address}.test`), [server.nameserver]);
    const heard = await server.next();
    heard.reply(answerTo(heard, { addresses: [address] }));
    heard.reply(answerTo(heard, { addresses: [99] }));
    assert.deepEqual(addressesIn(bytesOf(await asked)), [address]);
  }
});

test('after 800 ms without an answer the next server is asked too, and the first is still listened to', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const servers = [first.nameserver, second.nameserver];
  const asked = world.ask(query('late.test'), servers);
  const heard = await first.next();
  world.timers.advance(799);
  assert.equal(second.untaken, 0);
  world.timers.advance(1);
  await second.next();
  heard.reply(answerTo(heard, { addresses: [1] }));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);

  const again = world.ask(query('other.test'), servers);
  await first.next();
  world.timers.advance(800);
  const other = await second.next();
  other.reply(answerTo(other, { rcode: DNS_NXDOMAIN, addresses: [] }));
  assert.equal(rcodeOf(await again), DNS_NXDOMAIN);
  assert.equal(world.counters.get('dns-upstream-timeout'), 2);
});

test('a lost datagram is made good: each server is asked a second time, under another id', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('lost.test'), [server.nameserver]);
  const first = await server.next();
  world.timers.advance(800);
  const second = await server.next();
  assert.notDeepEqual([first.port, first.question.id], [second.port, second.question.id]);
  second.reply(answerTo(second));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);
});

test('when nobody answers, that is said after 4.5 s, and every server had three chances', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  let result: unknown;
  const asked = world.ask(query('dead.test'), [first.nameserver, second.nameserver]).then((r) => {
    result = r;
  });
  for (const server of [first, second, first, second, first]) {
    await server.next();
    world.timers.advance(800);
  }
  await second.next();
  world.timers.advance(4499 - 5 * 800);
  await new Promise(setImmediate);
  assert.equal(result, undefined);
  world.timers.advance(1);
  await asked;
  assert.equal(result, 'no-answer');
  assert.equal(first.untaken + second.untaken, 0);
  assert.equal(world.counters.get('dns-upstream-no-answer'), 1);
});

test('a refused port and an address without a way lead to the next server at once', async () => {
  await using server = await FakeNameserver.open();
  const closed = await FakeNameserver.open();
  await closed.closeUdp();
  using world = new UpstreamWorld();
  const asked = world.ask(query('next.test'), [NOBODY, closed.nameserver, server.nameserver]);
  const heard = await server.next();
  heard.reply(answerTo(heard));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);
  assert.equal(world.counters.get('dns-upstream-unreachable'), 1);
  assert.equal(world.counters.get('dns-upstream-refused'), 1);
  await closed.closeTcp();
});

test('one refusal fails all that wait for that server', async () => {
  const server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const lookups = Array.from({ length: 20 }, (_, i) => world.ask(query(`n${i}.test`), [server.nameserver]));
  for (const _ of lookups) await server.next();
  await server.closeUdp();
  // Who asks now learns of the refusal, and with it all the others; they try once more after 800 ms.
  lookups.push(world.ask(query('last.test'), [server.nameserver]));
  while (world.counters.get('dns-upstream-refused') === 0) await new Promise(setImmediate);
  world.timers.advance(800);
  assert.deepEqual(new Set(await Promise.all(lookups)), new Set(['no-answer']));
  assert.equal(world.counters.get('dns-upstream-timeout'), 0);
  await server.closeTcp();
});

test('SERVFAIL and REFUSED lead to the next server at once; the first of them is the answer when nobody does better', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const servers = [first.nameserver, second.nameserver];
  const better = world.ask(query('a.test'), servers);
  const one = await first.next();
  one.reply(answerTo(one, { rcode: DNS_SERVFAIL, addresses: [] }));
  const two = await second.next();
  two.reply(answerTo(two, { addresses: [5] }));
  assert.deepEqual(addressesIn(bytesOf(await better)), [5]);

  const worse = world.ask(query('b.test'), servers);
  const three = await first.next();
  three.reply(answerTo(three, { rcode: DNS_REFUSED, addresses: [] }));
  const four = await second.next();
  four.reply(answerTo(four, { rcode: DNS_SERVFAIL, addresses: [] }));
  assert.equal(rcodeOf(await worse), DNS_REFUSED);

  const alone = world.ask(query('c.test'), servers);
  const five = await first.next();
  five.reply(answerTo(five, { rcode: DNS_SERVFAIL, addresses: [] }));
  await second.next();
  world.timers.advance(800);
  await second.next();
  world.timers.advance(800);
  assert.equal(rcodeOf(await alone), DNS_SERVFAIL);
  assert.equal(first.untaken, 0);
});

test('a bare SERVFAIL or REFUSED, which repeats no question, is that server’s answer at once', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  for (const rcode of [DNS_SERVFAIL, DNS_REFUSED]) {
    const name = `rcode${rcode}.test`;
    const asked = world.ask(query(name), [first.nameserver, second.nameserver]);
    const one = await first.next();
    const bare = answerTo(one, { rcode, addresses: [] }).slice(0, 12);
    bare[5] = 0;
    one.reply(bare);
    // No timer has run: the next server is asked because this one refused.
    const two = await second.next();
    two.reply(answerTo(two, { addresses: [5] }));
    assert.deepEqual(addressesIn(bytesOf(await asked)), [5]);
  }
  assert.equal(world.counters.get('dns-upstream-garbage'), 0);
});

test('a server without EDNS is asked without it, and that is remembered for ten minutes', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const arcount = (bytes: Uint8Array): number => readU16(bytes, 10);
  const first = world.ask(query('a.test', { options: [] }), [server.nameserver]);
  const withOpt = await server.next();
  assert.equal(arcount(withOpt.bytes), 1);
  // As servers from before EDNS do: the header alone.
  withOpt.reply(
    answerTo(withOpt, { rcode: DNS_FORMERR, addresses: [] })
      .map((b, i) => (i === 5 ? 0 : b))
      .slice(0, 12),
  );
  const without = await server.next();
  assert.equal(arcount(without.bytes), 0);
  without.reply(answerTo(without));
  assert.deepEqual(addressesIn(bytesOf(await first)), [1]);

  const second = world.ask(query('b.test'), [server.nameserver]);
  const remembered = await server.next();
  assert.equal(arcount(remembered.bytes), 0);
  remembered.reply(answerTo(remembered));
  await second;

  world.timers.advance(600_000);
  const third = world.ask(query('c.test'), [server.nameserver]);
  const forgotten = await server.next();
  assert.equal(arcount(forgotten.bytes), 1);
  forgotten.reply(answerTo(forgotten));
  await third;
});

test('a server that drops questions with EDNS without a word is asked without, which is remembered from the second time on', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const hasOpt = (bytes: Uint8Array): boolean => readU16(bytes, 10) === 1;
  for (const name of ['a.test', 'b.test']) {
    const asked = world.ask(query(name), [server.nameserver]);
    for (let i = 0; i < 2; i++) {
      assert.equal(hasOpt((await server.next()).bytes), true);
      world.timers.advance(800);
    }
    const plain = await server.next();
    assert.equal(hasOpt(plain.bytes), false);
    plain.reply(answerTo(plain));
    assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);
  }
  assert.equal(world.counters.get('dns-upstream-no-edns'), 1);
  const known = world.ask(query('c.test'), [server.nameserver]);
  const first = await server.next();
  assert.equal(hasOpt(first.bytes), false);
  first.reply(answerTo(first));
  await known;
});

test('a server that was dead is asked with EDNS again as soon as it answers', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const hasOpt = (bytes: Uint8Array): boolean => readU16(bytes, 10) === 1;
  const asked = world.ask(query('a.test'), [server.nameserver]);
  const seen: boolean[] = [];
  for (let i = 0; i < 4; i++) {
    seen.push(hasOpt((await server.next()).bytes));
    world.timers.advance(800);
  }
  const plain = await server.next();
  assert.deepEqual([...seen, hasOpt(plain.bytes)], [true, true, false, true, false]);
  plain.reply(answerTo(plain));
  await asked;
  const again = world.ask(query('b.test'), [server.nameserver]);
  const heard = await server.next();
  assert.equal(hasOpt(heard.bytes), true);
  heard.reply(answerTo(heard));
  await again;
  // From now on silence says nothing about EDNS.
  const last = world.ask(query('c.test'), [server.nameserver]);
  for (let i = 0; i < 3; i++) {
    assert.equal(hasOpt((await server.next()).bytes), true);
    world.timers.advance(800);
  }
  const end = await server.next();
  end.reply(answerTo(end));
  await last;
  assert.equal(world.counters.get('dns-upstream-no-edns'), 0);
});

test('BADVERS leads to a question without EDNS; FORMERR from a server that knows EDNS is its answer', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const first = world.ask(query('a.test'), [server.nameserver]);
  const heard = await server.next();
  heard.reply(answerTo(heard, { opt: 1, addresses: [] }));
  const plain = await server.next();
  plain.reply(answerTo(plain, { rcode: DNS_FORMERR, addresses: [] }));
  assert.equal(rcodeOf(await first), DNS_FORMERR);

  const second = world.ask(query('b.test'), [server.nameserver]);
  const again = await server.next();
  assert.equal(readU16(again.bytes, 10), 1);
  again.reply(answerTo(again, { rcode: DNS_FORMERR, addresses: [], opt: 0 }));
  assert.equal(rcodeOf(await second), DNS_FORMERR);
});

test('a server that was silent three times is asked together with the next one until it speaks', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const servers = [first.nameserver, second.nameserver];
  for (let i = 0; i < 3; i++) {
    const asked = world.ask(query(`n${i}.test`), servers);
    await first.next();
    world.timers.advance(800);
    const heard = await second.next();
    heard.reply(answerTo(heard));
    await asked;
  }
  const together = world.ask(query('together.test'), servers);
  const silent = await first.next();
  const heard = await second.next();
  heard.reply(answerTo(heard, { addresses: [2] }));
  assert.deepEqual(addressesIn(bytesOf(await together)), [2]);

  // Nobody needs this answer, but it shows that the server lives.
  silent.reply(answerTo(silent));
  const probe = world.ask(query('probe.test'), servers);
  const revived = await first.next();
  revived.reply(answerTo(revived, { addresses: [1] }));
  assert.deepEqual(addressesIn(bytesOf(await probe)), [1]);
  const alone = world.ask(query('alone.test'), servers);
  const last = await first.next();
  last.reply(answerTo(last));
  await alone;
  assert.ok(second.untaken <= 1, 'only the probe may have gone to both');
});

test('servers that are all silent are asked together, each once at a time', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const servers = [first.nameserver, second.nameserver];
  const dead = world.ask(query('dead.test'), servers);
  for (let i = 0; i < 6; i++) {
    await (i % 2 === 0 ? first : second).next();
    world.timers.advance(800);
  }
  assert.equal(await dead, 'no-answer');
  const asked = world.ask(query('both.test'), servers);
  await first.next();
  await second.next();
  world.timers.advance(800);
  await first.next();
  const heard = await second.next();
  assert.equal(first.untaken + second.untaken, 0);
  heard.reply(answerTo(heard, { addresses: [7] }));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [7]);
});

test('when resolv.conf changes under way, the new servers are asked and the answer is not lost', async () => {
  await using before = await FakeNameserver.open();
  await using after = await FakeNameserver.open();
  using world = new UpstreamWorld();
  world.system.list = [before.nameserver];
  const lookups = ['a.test', 'b.test'].map((name) => world.ask(query(name)));
  await before.next();
  await before.next();
  world.timers.advance(800);
  await before.next();
  await before.next();
  world.system.list = [after.nameserver];
  world.system.generation++;
  world.timers.advance(800);
  for (let i = 0; i < 2; i++) {
    const heard = await after.next();
    heard.reply(answerTo(heard, { addresses: [8] }));
  }
  for (const lookup of lookups) assert.deepEqual(addressesIn(bytesOf(await lookup)), [8]);
});

test('a resolv.conf that is empty while it is written is looked at again; one that stays empty is said', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const patient = world.ask(query('a.test'));
  world.system.list = [server.nameserver];
  world.timers.advance(100);
  const heard = await server.next();
  heard.reply(answerTo(heard));
  assert.deepEqual(addressesIn(bytesOf(await patient)), [1]);

  world.system.list = [];
  const hopeless = world.ask(query('b.test'));
  world.timers.advance(100);
  assert.equal(await hopeless, 'no-nameservers');
});

test('a thousand answers that come in the wrong order all reach their questions', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const names = Array.from({ length: 1000 }, (_, i) => `n${i}.test`);
  const asked: Promise<Uint8Array | string>[] = [];
  const heard: Heard[] = [];
  // A hundred at a time, there and back: a socket's buffer does not hold a thousand.
  for (const name of names) {
    asked.push(world.ask(query(name), [server.nameserver]));
    if (asked.length % 100 === 0) while (heard.length < asked.length) heard.push(await server.next());
  }
  for (let left = heard.length; left > 0; left -= 100) {
    for (const one of heard.slice(left - 100, left).reverse()) one.reply(answerTo(one));
    await Promise.all(asked.slice(left - 100, left));
  }
  const told = (await Promise.all(asked)).map((result) => {
    const question = new DnsQuestion();
    const message = bytesOf(result);
    assert.equal(parseDnsQuestion(message, 0, message.length, question), undefined);
    return question.name;
  });
  assert.deepEqual(told, names);
});

test('the questions of one guest that get no answer, however often asked, leave their server to the others', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const servers = [server.nameserver];
  const dead = Array.from({ length: DEFAULT_DNS_LOOKUPS / 2 }, (_, i) => world.ask(query(`dead${i}.test`), servers));
  // The server reads what came, as far as its socket's buffer could hold it.
  const read = async (): Promise<void> => {
    for (let before = -1; before < server.untaken; ) {
      before = server.untaken;
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    }
  };
  await read();
  for (let again = 1; again < 6; again++) {
    world.timers.advance(800);
    await read();
  }
  const asked = world.ask(query('living.test'), servers);
  for (;;) {
    const heard = await server.next();
    if (heard.question.name !== 'living.test') continue;
    heard.reply(answerTo(heard, { addresses: [3] }));
    break;
  }
  assert.deepEqual(addressesIn(bytesOf(await asked)), [3]);
  assert.equal(world.counters.get('dns-upstream-full'), 0);
  world.forwarder.close();
  assert.deepEqual(new Set(await Promise.all(dead)), new Set(['no-answer']));
});

test('24,576 questions may wait for one server; the next goes to another', async () => {
  await using silent = await FakeNameserver.open();
  await using other = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const lookups = Array.from({ length: 24_576 }, () => world.ask(query('a.test'), [silent.nameserver]));
  const asked = world.ask(query('b.test'), [silent.nameserver, other.nameserver]);
  const heard = await other.next();
  heard.reply(answerTo(heard, { addresses: [3] }));
  assert.deepEqual(addressesIn(bytesOf(await asked)), [3]);
  assert.equal(world.counters.get('dns-upstream-full'), 1);
  world.forwarder.close();
  assert.deepEqual(new Set(await Promise.all(lookups)), new Set(['no-answer']));
});

test('ports are many and are given back: none is left once nobody has asked for a while', async (t) => {
  if (process.platform !== 'linux') return t.skip('counts sockets in /proc');
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const before = sockets();
  const ports = new Set<number>();
  for (let i = 0; i < 600; i++) {
    const asked = world.ask(query(`n${i}.test`), [server.nameserver]);
    const heard = await server.next();
    ports.add(heard.port);
    heard.reply(answerTo(heard));
    await asked;
  }
  assert.ok(ports.size >= 4, `${ports.size} ports`);
  assert.ok(sockets() > before);
  world.timers.advance(12_500);
  // A socket's descriptor is closed in the loop's next turn.
  for (let i = 0; i < 10 && sockets() > before; i++) await new Promise(setImmediate);
  assert.equal(sockets(), before);
  assert.equal(world.timers.waiting, 0);
});

test('close() ends what waits, and what is asked later', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('a.test'), [server.nameserver]);
  await server.next();
  world.forwarder.close();
  assert.equal(await asked, 'no-answer');
  assert.equal(await world.ask(query('b.test'), [server.nameserver]), 'no-answer');
  assert.equal(world.timers.waiting, 0);
});

test('the trace tells each exchange: with whom, how, what came, how long it took', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const trace = new RecordedTrace();
  const asked = world.forwarder.ask({ ...query('a.test'), trace }, [first.nameserver, second.nameserver]);
  await first.next();
  world.timers.advance(800);
  const cut = await second.next();
  cut.reply(answerTo(cut, { flags: DNS_TC, addresses: [] }));
  const whole = await second.next();
  world.timers.advance(20);
  whole.reply(answerTo(whole));
  await asked;
  const steps = trace.steps.map((step) => {
    if (step.kind !== 'upstream') assert.fail(step.kind);
    return [step.nameserver.port, step.transport, step.outcome, step.bytes, step.ms];
  });
  const [one, two] = [first.nameserver.port, second.nameserver.port];
  assert.deepEqual(steps, [
    [two, 'udp', 'NOERROR, truncated', 24, 0],
    [two, 'tcp', 'NOERROR', 40, 20],
    [one, 'udp', 'no answer within 820 ms', 0, 820],
  ]);
});

/** Sockets that this process has. */
function sockets(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
