import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '../../../../src/env/counters.ts';
import { type HostAnswer, HostResolver } from '../../../../src/services/dns/system/host-resolver.ts';
import { settled } from './world.ts';

interface Call {
  readonly key: string;
  answer(answer: HostAnswer): Promise<void>;
}

/** A resolver whose lookups the test ends by hand. */
function resolver(): { resolver: HostResolver; calls: Call[]; counters: Counters } {
  const calls: Call[] = [];
  const counters = new Counters();
  const made = new HostResolver(counters, (name, family) => {
    return new Promise((resolve) => {
      calls.push({
        key: `${family} ${name}`,
        answer: (answer) => {
          resolve(answer);
          return settled();
        },
      });
    });
  });
  return { resolver: made, calls, counters };
}

test('equal lookups at once are one', async () => {
  const { resolver: r, calls } = resolver();
  const both = [r.lookup('host.example', 4), r.lookup('host.example', 4)];
  assert.equal(calls.length, 1);
  await calls[0]!.answer(['10.0.0.1']);
  for (const { answer } of both) assert.deepEqual(await answer, ['10.0.0.1']);
  r.lookup('host.example', 4);
  assert.equal(calls.length, 2);
});

test('"no such name" is believed only when the other family says the same', async () => {
  const { resolver: r, calls } = resolver();
  const one = r.lookup('only6.example', 4);
  await calls[0]!.answer('no-such-name');
  await calls[1]!.answer(['2001:db8::1']);
  assert.deepEqual(await one.answer, []);
  const none = r.lookup('none.example', 6);
  await calls[2]!.answer('no-such-name');
  await calls[3]!.answer('no-such-name');
  assert.equal(await none.answer, 'no-such-name');
  assert.deepEqual(
    calls.map(({ key }) => key),
    ['4 only6.example', '6 only6.example', '6 none.example', '4 none.example'],
  );
});

test('a lookup that fails tells whether the name has the other family', async () => {
  const { resolver: r, calls } = resolver();
  const one = r.lookup('only6.example', 4);
  await calls[0]!.answer('failed');
  await calls[1]!.answer(['2001:db8::1']);
  assert.equal(await one.answer, 'other-family');
  const none = r.lookup('none.example', 4);
  await calls[2]!.answer('failed');
  await calls[3]!.answer('failed');
  assert.equal(await none.answer, 'failed');
  r.lookup('left.example', 4).abandon();
  await calls[4]!.answer('failed');
  assert.equal(calls.length, 5);
});

test('both families asked at once serve each other', async () => {
  const { resolver: r, calls } = resolver();
  const [v4, v6] = [r.lookup('none.example', 4), r.lookup('none.example', 6)];
  await calls[0]!.answer('no-such-name');
  await calls[1]!.answer('no-such-name');
  assert.deepEqual(await Promise.all([v4.answer, v6.answer]), ['no-such-name', 'no-such-name']);
  assert.equal(calls.length, 2);
});

test('48 doubtful names at once, 64 in all; living ones go first', async () => {
  const { resolver: r, calls } = resolver();
  const doubtful = Array.from({ length: 60 }, (_, i) => r.lookup(`doubtful${i}.example`, 4));
  assert.equal(calls.length, 48);
  const living = Array.from({ length: 20 }, (_, i) => r.lookup(`living${i}.example`, 4));
  for (const lookup of living) lookup.nameIsAlive();
  assert.equal(calls.length, 64);
  assert.equal(calls.at(-1)!.key, '4 living15.example');
  await calls[0]!.answer(['10.0.0.1']);
  assert.equal(calls.at(-1)!.key, '4 living16.example');
  // A running one that proves to be alive makes room among the doubtful, when there is a thread.
  doubtful[1]!.nameIsAlive();
  doubtful[1]!.nameIsAlive();
  assert.equal(calls.length, 65);
  for (const call of calls.slice(48, 53)) await call.answer([]);
  assert.deepEqual(
    calls.slice(65).map(({ key }) => key),
    ['4 living17.example', '4 living18.example', '4 living19.example', '4 doubtful48.example', '4 doubtful49.example'],
  );
});

test('a lookup that nobody waits for is not begun', async () => {
  const { resolver: r, calls } = resolver();
  for (let i = 0; i < 48; i++) r.lookup(`doubtful${i}.example`, 4);
  const [left, kept, other] = [r.lookup('left.example', 4), r.lookup('kept.example', 4), r.lookup('kept.example', 4)];
  left.abandon();
  kept.abandon();
  kept.abandon();
  left.nameIsAlive();
  assert.equal(calls.length, 48);
  await calls[0]!.answer([]);
  assert.equal(calls.at(-1)!.key, '4 kept.example');
  await calls[48]!.answer(['10.0.0.1']);
  assert.deepEqual(await other.answer, ['10.0.0.1']);
  // Asked for again, it is a lookup of its own.
  const again = r.lookup('left.example', 4);
  await calls[49]!.answer([]);
  assert.deepEqual(await again.answer, []);
});

test('beyond 8,192 waiting names the answer is busy', async () => {
  const { resolver: r, counters } = resolver();
  for (let i = 0; i < 48 + 8192; i++) r.lookup(`doubtful${i}.example`, 4);
  assert.equal(counters.get('dns-lookup-queue-full'), 0);
  const refused = r.lookup('one.example', 4);
  refused.nameIsAlive();
  refused.abandon();
  assert.equal(await refused.answer, 'busy');
  assert.equal(counters.get('dns-lookup-queue-full'), 1);
});

test('the real getaddrinfo knows localhost, each address once', async () => {
  const r = new HostResolver(new Counters());
  const answer = await r.lookup('localhost', 4).answer;
  assert.ok(typeof answer !== 'string' && answer.includes('127.0.0.1'), String(answer));
  assert.equal(new Set(answer).size, answer.length);
});
