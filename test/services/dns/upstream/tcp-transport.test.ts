import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withLength } from '../../../../src/services/dns/upstream/stream-messages.ts';
import { readU16, writeU16 } from '../../../../src/wire/bytes.ts';
import { DNS_TC } from '../../../../src/wire/dns-message.ts';
import { addressesIn, answerTo, FakeNameserver, type Heard } from './fake-nameserver.ts';
import { query, UpstreamWorld } from './upstream-world.ts';

function bytesOf(result: Uint8Array | string): Uint8Array {
  if (typeof result === 'string') assert.fail(result);
  return result;
}

function isTruncated(result: Uint8Array | string): boolean {
  return (readU16(bytesOf(result), 2) & DNS_TC) !== 0;
}

/** Answers the UDP question with TC; the same question over TCP. */
async function overTcp(server: FakeNameserver): Promise<Heard> {
  const heard = await server.next();
  assert.equal(heard.transport, 'udp');
  heard.reply(answerTo(heard, { flags: DNS_TC, addresses: [] }));
  const again = await server.next();
  assert.equal(again.transport, 'tcp');
  return again;
}

test('an answer of 65,535 bytes that did not fit is fetched over TCP, in whatever pieces it comes', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('big.test'), [server.nameserver]);
  const heard = await overTcp(server);
  const answer = new Uint8Array(65_535);
  answer.set(answerTo(heard));
  const framed = withLength(answer);
  for (const [from, to] of [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 5000],
    [5000, framed.length],
  ]) {
    heard.write(framed.subarray(from, to));
  }
  assert.deepEqual(bytesOf(await asked).length, 65_535);
});

test('one connection serves many questions at once, whose answers come in any order', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const first = world.ask(query('n0.test'), [server.nameserver]);
  const opener = await overTcp(server);
  opener.reply(answerTo(opener));
  await first;
  const lookups = Array.from({ length: 100 }, (_, i) => world.ask(query(`n${i}.test`), [server.nameserver]));
  const heard: Heard[] = [];
  while (heard.length < lookups.length) {
    const next = await server.next();
    if (next.transport === 'udp') next.reply(answerTo(next, { flags: DNS_TC, addresses: [] }));
    else heard.push(next);
  }
  for (const one of heard.reverse()) {
    one.reply(answerTo(one, { addresses: [Number.parseInt(one.question.name.slice(1), 10)] }));
  }
  const addresses = (await Promise.all(lookups)).map((result) => addressesIn(bytesOf(result)));
  assert.deepEqual(
    addresses,
    lookups.map((_, i) => [i]),
  );
  assert.equal(server.connections, 1);
});

test('an idle connection is closed after ten seconds', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  for (const connections of [1, 2]) {
    const asked = world.ask(query('a.test'), [server.nameserver]);
    const heard = await overTcp(server);
    heard.reply(answerTo(heard));
    await asked;
    assert.equal(server.connections, connections);
    world.timers.advance(20_000);
    assert.equal(world.timers.waiting, 0);
  }
});

test('more than 128 questions wait for their turn', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const lookups = Array.from({ length: 150 }, (_, i) => world.ask(query(`n${i}.test`), [server.nameserver]));
  const heard: Heard[] = [];
  let asked = 0;
  while (asked < 150 || heard.length < 128) {
    const next = await server.next();
    if (next.transport === 'tcp') heard.push(next);
    else {
      asked++;
      next.reply(answerTo(next, { flags: DNS_TC, addresses: [] }));
    }
  }
  // All have been told to come back, and no more than 128 have come.
  await new Promise(setImmediate);
  assert.deepEqual([heard.length, server.untaken], [128, 0]);
  for (const one of heard) one.reply(answerTo(one));
  for (let i = 128; i < 150; i++) {
    const next = await server.next();
    next.reply(answerTo(next));
  }
  for (const result of await Promise.all(lookups)) assert.equal(isTruncated(result), false);
});

test('a connection that ends in the middle of an answer is made once more, then the short answer is given', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const lucky = world.ask(query('a.test'), [server.nameserver]);
  const first = await overTcp(server);
  first.write(withLength(answerTo(first)).subarray(0, 20));
  first.hangUp();
  const second = await server.next();
  second.reply(answerTo(second, { addresses: [4] }));
  assert.deepEqual(addressesIn(bytesOf(await lucky)), [4]);
  assert.equal(server.connections, 2);

  const unlucky = world.ask(query('b.test'), [server.nameserver]);
  (await overTcp(server)).hangUp();
  (await server.next()).hangUp();
  assert.equal(isTruncated(await unlucky), true);
});

test('a server without TCP: the next one is asked, and the short answer is given when nobody has the whole', async () => {
  await using first = await FakeNameserver.open();
  await using second = await FakeNameserver.open();
  await first.closeTcp();
  using world = new UpstreamWorld();
  const whole = world.ask(query('a.test'), [first.nameserver, second.nameserver]);
  const cut = await first.next();
  cut.reply(answerTo(cut, { flags: DNS_TC, addresses: [] }));
  const other = await second.next();
  other.reply(answerTo(other, { addresses: [6] }));
  assert.deepEqual(addressesIn(bytesOf(await whole)), [6]);

  const short = world.ask(query('b.test'), [first.nameserver]);
  const again = await first.next();
  again.reply(answerTo(again, { flags: DNS_TC, addresses: [2] }));
  const result = await short;
  assert.equal(isTruncated(result), true);
  assert.deepEqual(addressesIn(bytesOf(result)), [2]);
});

test('a TCP server that says nothing for two seconds is given up', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('a.test'), [server.nameserver]);
  await overTcp(server);
  world.timers.advance(2000);
  assert.equal(isTruncated(await asked), true);
  assert.equal(world.counters.get('dns-upstream-tcp-timeout'), 1);

  const next = world.ask(query('b.test'), [server.nameserver]);
  const heard = await overTcp(server);
  assert.equal(server.connections, 2);
  heard.reply(answerTo(heard));
  assert.equal(isTruncated(await next), false);
});

test('messages on the connection that answer nothing are passed over', async () => {
  await using server = await FakeNameserver.open();
  using world = new UpstreamWorld();
  const asked = world.ask(query('a.test'), [server.nameserver]);
  const heard = await overTcp(server);
  const answer = answerTo(heard);
  const otherId = answer.slice();
  writeU16(otherId, 0, heard.question.id ^ 1);
  heard.reply(new Uint8Array(0));
  heard.reply(Uint8Array.of(1, 2, 3));
  heard.reply(otherId);
  heard.reply(answer.map((byte, i) => (i === 13 ? 0x78 : byte)));
  heard.reply(answer);
  assert.deepEqual(addressesIn(bytesOf(await asked)), [1]);
  assert.deepEqual(world.counters.snapshot(), {
    'dns-upstream-garbage': 2,
    'dns-upstream-other-question': 1,
    'dns-upstream-unasked': 1,
  });
});
