import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '../../../../src/env/counters.ts';
import { type HostAnswer, HostResolver } from '../../../../src/services/dns/sources/host-resolver.ts';
import { settled } from './world.ts';

interface Call {
  readonly name: string;
  answer(answer: HostAnswer): Promise<void>;
}

/** A resolver whose lookups the test ends by hand. */
function resolver(generation = () => 1): { resolver: HostResolver; calls: Call[]; counters: Counters } {
  const calls: Call[] = [];
  const counters = new Counters();
  const made = new HostResolver(counters, generation, (name) => {
    return new Promise((resolve) => {
      calls.push({
        name,
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
  const both = [r.lookup('host.example'), r.lookup('host.example')];
  assert.equal(calls.length, 1);
  await calls[0]!.answer(['10.0.0.1']);
  for (const { answer } of both) assert.deepEqual(await answer, ['10.0.0.1']);
  r.lookup('host.example');
  assert.equal(calls.length, 2);
});

test('who asks after the network changed is not told what the former one says', async () => {
  let generation = 1;
  const { resolver: r, calls } = resolver(() => generation);
  const before = r.lookup('intern.example');
  generation++;
  const [after, joined] = [r.lookup('intern.example'), r.lookup('intern.example')];
  assert.equal(calls.length, 2);
  await calls[0]!.answer('no-such-name');
  await calls[1]!.answer(['10.0.0.1']);
  assert.equal(await before.answer, 'no-such-name');
  for (const { answer } of [after, joined]) assert.deepEqual(await answer, ['10.0.0.1']);
});

test('48 doubtful names at once, 64 in all; living ones go first', async () => {
  const { resolver: r, calls } = resolver();
  const doubtful = Array.from({ length: 60 }, (_, i) => r.lookup(`doubtful${i}.example`));
  assert.equal(calls.length, 48);
  const living = Array.from({ length: 20 }, (_, i) => r.lookup(`living${i}.example`));
  for (const lookup of living) lookup.nameIsAlive();
  assert.equal(calls.length, 64);
  assert.equal(calls.at(-1)!.name, 'living15.example');
  await calls[0]!.answer(['10.0.0.1']);
  assert.equal(calls.at(-1)!.name, 'living16.example');
  // A running one that proves to be alive makes room among the doubtful, when there is a thread.
  doubtful[1]!.nameIsAlive();
  doubtful[1]!.nameIsAlive();
  assert.equal(calls.length, 65);
  for (const call of calls.slice(48, 53)) await call.answer([]);
  assert.deepEqual(
    calls.slice(65).map(({ name }) => name),
    ['living17.example', 'living18.example', 'living19.example', 'doubtful48.example', 'doubtful49.example'],
  );
});

test('a lookup that nobody waits for is not begun', async () => {
  const { resolver: r, calls } = resolver();
  for (let i = 0; i < 48; i++) r.lookup(`doubtful${i}.example`);
  const [left, kept, other] = [r.lookup('left.example'), r.lookup('kept.example'), r.lookup('kept.example')];
  left.abort();
  kept.abort();
  kept.abort();
  left.nameIsAlive();
  assert.equal(calls.length, 48);
  await calls[0]!.answer([]);
  assert.equal(calls.at(-1)!.name, 'kept.example');
  await calls[48]!.answer(['10.0.0.1']);
  assert.deepEqual(await other.answer, ['10.0.0.1']);
  // Asked for again, it is a lookup of its own.
  const again = r.lookup('left.example');
  await calls[49]!.answer([]);
  assert.deepEqual(await again.answer, []);
});

test('beyond 4,096 waiting names the answer is busy', async () => {
  const { resolver: r, counters } = resolver();
  for (let i = 0; i < 48 + 4096; i++) r.lookup(`doubtful${i}.example`);
  assert.equal(counters.get('dns-lookup-queue-full'), 0);
  const refused = r.lookup('one.example');
  refused.nameIsAlive();
  refused.abort();
  assert.equal(await refused.answer, 'busy');
  assert.equal(counters.get('dns-lookup-queue-full'), 1);
});

test('the real getaddrinfo knows localhost, each address once', async () => {
  const r = new HostResolver(new Counters(), () => 1);
  const answer = await r.lookup('localhost').answer;
  assert.ok(typeof answer !== 'string' && answer.includes('127.0.0.1'), String(answer));
  assert.equal(new Set(answer).size, answer.length);
});
