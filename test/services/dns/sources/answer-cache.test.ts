import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitAnswer } from '../../../../src/services/dns/fit-answer.ts';
import { AnswerCache, type AnswerCacheOptions, answerKey } from '../../../../src/services/dns/sources/answer-cache.ts';
import { answerLife } from '../../../../src/services/dns/sources/answer-life.ts';
import { writeU32 } from '../../../../src/wire/bytes.ts';
import { DNS_AA, DNS_NXDOMAIN, DNS_QR, DNS_REFUSED, DNS_SERVFAIL, DNS_TC } from '../../../../src/wire/dns-message.ts';
import { parsesHostileBytes } from '../../../support/hostile-bytes.ts';
import { ManualTimers } from '../upstream/manual-timers.ts';
import { a, aaaa, query, said, type Written, written } from './world.ts';

const ASKED = query('host.example', 'A');
const KEY = answerKey(ASKED);

function cache(options: Partial<AnswerCacheOptions> = {}): { kept: AnswerCache; clock: ManualTimers } {
  const clock = new ManualTimers();
  return { kept: new AnswerCache({ entries: 100, bytes: 100_000, staleSeconds: 3600, clock, ...options }), clock };
}

function lifeOf(type: string, what: Written): number {
  const asked = query('host.example', type);
  return answerLife(written(asked, what)).seconds;
}

test('the smallest TTL is the life; a day at most; 0 is none', () => {
  assert.equal(lifeOf('A', { answers: a(1, 2), ttlSeconds: 77 }), 77);
  assert.equal(lifeOf('A', { answers: a(1), additionals: a(1), opt: true, ttlSeconds: 300 }), 300);
  assert.equal(lifeOf('A', { answers: a(1), ttlSeconds: 1_000_000 }), 86_400);
  assert.equal(lifeOf('A', { answers: a(1), ttlSeconds: 0 }), 0);
  assert.equal(lifeOf('A', { answers: a(1), ttlSeconds: 0x8000_0001 }), 0);
  assert.equal(lifeOf('ANY', { answers: a(1), ttlSeconds: 9 }), 9);
});

test('a negative answer lives as its SOA says, three hours at most, and not at all without one (RFC 2308 §5)', () => {
  const cname = [{ type: 'CNAME', target: 'elsewhere.example' }] as const;
  for (const rcode of [0, DNS_NXDOMAIN]) {
    assert.equal(lifeOf('A', { rcode, soa: { ttlSeconds: 600, minimumSeconds: 60 } }), 60);
    assert.equal(lifeOf('A', { rcode, soa: { ttlSeconds: 30, minimumSeconds: 60 } }), 30);
    assert.equal(lifeOf('A', { rcode, soa: { ttlSeconds: 86_400, minimumSeconds: 86_400 } }), 10_800);
    assert.equal(lifeOf('A', { rcode, soa: { ttlSeconds: 600, minimumSeconds: 0 } }), 0);
    assert.equal(lifeOf('A', { rcode }), 0);
    assert.equal(lifeOf('A', { rcode, answers: cname, soa: { ttlSeconds: 600, minimumSeconds: 60 } }), 60);
    assert.equal(lifeOf('A', { rcode, answers: cname }), 0);
  }
  assert.equal(lifeOf('CNAME', { answers: cname }), 300);
});

test('failures, cut and broken messages and questions have no life', () => {
  assert.equal(lifeOf('A', { rcode: DNS_SERVFAIL, answers: a(1) }), 0);
  assert.equal(lifeOf('A', { rcode: DNS_REFUSED, soa: { ttlSeconds: 60, minimumSeconds: 60 } }), 0);
  assert.equal(lifeOf('A', { answers: a(1), opt: true, upperRcode: 1 }), 0);
  assert.equal(lifeOf('A', { answers: a(1), flags: DNS_TC }), 0);
  const whole = written(ASKED, { answers: a(1) });
  assert.equal(answerLife(whole.subarray(0, whole.length - 1)).seconds, 0);
  const asked = whole.slice();
  asked[2]! &= ~(DNS_QR >>> 8);
  assert.equal(answerLife(asked).seconds, 0);
});

test('a hit counts every TTL down and leaves the OPT record alone; AA is gone', () => {
  const { kept, clock } = cache();
  const message = written(ASKED, { answers: a(1, 2), additionals: aaaa(1), ttlSeconds: 300, opt: true, flags: DNS_AA });
  // The OPT record's place of the TTL: flags.
  writeU32(message, message.length - 6, 0x8000);
  kept.store(KEY, 1, message);
  assert.deepEqual(said(kept.lookup(KEY, 1)!).ttls, [300, 300, 300]);
  clock.advance(1999);
  const hit = kept.lookup(KEY, 1)!;
  assert.deepEqual(said(hit).ttls, [299, 299, 299]);
  assert.deepEqual(hit.subarray(-11), message.subarray(-11));
  assert.equal(hit[2]! & (DNS_AA >>> 8), 0);
  assert.equal(kept.secondsLeft(KEY), 299);
  clock.advance(298_000);
  assert.deepEqual(said(kept.lookup(KEY, 1)!).ttls, [1, 1, 1]);
  clock.advance(1);
  assert.equal(kept.lookup(KEY, 1), undefined);
  assert.equal(kept.secondsLeft(KEY), 0);
});

test('a life that is told never outlives the records', () => {
  const { kept, clock } = cache();
  kept.store(KEY, 1, written(ASKED, { answers: a(1), ttlSeconds: 5 }), 10);
  clock.advance(5000);
  assert.equal(kept.lookup(KEY, 1), undefined);
  kept.store('empty', 1, written(ASKED, {}), 10);
  clock.advance(9999);
  assert.notEqual(kept.lookup('empty', 1), undefined);
  kept.store('none', 1, written(ASKED, {}), 0);
  assert.equal(kept.entries, 1 + 1);
});

test('the least recently used go first when entries are too many', () => {
  const { kept } = cache({ entries: 3 });
  const message = written(ASKED, { answers: a(1) });
  for (const key of ['one', 'two', 'three']) kept.store(key, 1, message);
  kept.lookup('one', 1);
  kept.store('two', 1, message);
  kept.store('four', 1, message);
  const has = ['one', 'two', 'three', 'four'].filter((key) => kept.lookup(key, 1) !== undefined);
  assert.deepEqual(has, ['one', 'two', 'four']);
  assert.equal(kept.entries, 3);
});

test('bytes are bounded too, and what is larger than the whole cache is not kept', () => {
  const message = written(ASKED, { answers: a(...Array.from({ length: 50 }, (_, i) => i)) });
  const { kept } = cache({ bytes: 4 * (message.length + 600) });
  for (let i = 0; i < 100; i++) {
    kept.store(`key ${i}`, 1, message);
    assert.ok(kept.bytes <= 4 * (message.length + 600));
  }
  assert.ok(kept.entries >= 4 && kept.entries < 10);
  const before = kept.entries;
  kept.store('large', 1, written(ASKED, { answers: a(...Array.from({ length: 1000 }, (_, i) => i)) }));
  assert.equal(kept.entries, before);
  kept.clear();
  assert.deepEqual([kept.entries, kept.bytes], [0, 0]);
  kept.store('key', 1, message);
  assert.equal(kept.entries, 1);
});

test('a cache of no entries keeps nothing', () => {
  const { kept } = cache({ entries: 0 });
  kept.store(KEY, 1, written(ASKED, { answers: a(1) }));
  assert.equal(kept.entries, 0);
});

test('a new generation makes everything stale-only for a minute from its own end, however many follow', () => {
  const { kept, clock } = cache();
  kept.store(KEY, 1, written(ASKED, { answers: a(1), ttlSeconds: 86_400 }));
  assert.equal(kept.lookup(KEY, 2), undefined);
  clock.advance(30_000);
  assert.equal(kept.lookup(KEY, 3), undefined);
  assert.notEqual(kept.stale(KEY, 3), undefined);
  clock.advance(29_999);
  assert.notEqual(kept.stale(KEY, 3), undefined);
  clock.advance(1);
  assert.equal(kept.stale(KEY, 3), undefined);
  assert.equal(kept.entries, 0);
});

test('an answer that comes late from a former generation neither counts as current nor replaces what is', () => {
  const { kept } = cache();
  kept.lookup(KEY, 1);
  kept.lookup(KEY, 2);
  kept.store(KEY, 1, written(ASKED, { answers: a(1) }));
  assert.equal(kept.lookup(KEY, 2), undefined);
  assert.deepEqual(said(kept.stale(KEY, 2)!).answers, ['host.example A 0.0.0.1']);
  kept.store(KEY, 2, written(ASKED, { answers: a(2) }));
  kept.store(KEY, 1, written(ASKED, { answers: a(3) }));
  assert.deepEqual(said(kept.lookup(KEY, 2)!).answers, ['host.example A 0.0.0.2']);
});

test('generations beyond the remembered ones are gone', () => {
  const { kept } = cache();
  kept.store(KEY, 1, written(ASKED, { answers: a(1) }));
  for (let generation = 2; generation < 67; generation++) kept.lookup(KEY, generation);
  assert.equal(kept.stale(KEY, 67), undefined);
});

test('a stale answer has TTLs of 30 s, says that it is stale, and keeps no second OPT record', () => {
  const { kept, clock } = cache();
  for (const opt of [true, false]) {
    kept.store('positive', 1, written(ASKED, { answers: a(1, 2), ttlSeconds: 5, opt }));
    kept.store('negative', 1, written(ASKED, { rcode: DNS_NXDOMAIN, soa: { ttlSeconds: 5, minimumSeconds: 5 }, opt }));
    clock.advance(5000);
    const positive = said(kept.stale('positive', 1)!);
    assert.deepEqual([positive.rcode, positive.ttls, positive.error], ['NOERROR', [30, 30], 3]);
    const negative = said(kept.stale('negative', 1)!);
    assert.deepEqual([negative.rcode, negative.ttls, negative.error], ['NXDOMAIN', [30], 19]);
  }
  clock.advance(3_599_999);
  assert.notEqual(kept.stale('positive', 1), undefined);
  clock.advance(1);
  assert.equal(kept.stale('positive', 1), undefined);
  assert.equal(kept.stale('never', 1), undefined);
});

test('a stale answer is well-formed where the OPT record is not the last, and where bytes follow the last record', () => {
  const { kept, clock } = cache();
  const withOpt = written(ASKED, { answers: a(1), ttlSeconds: 5, opt: true });
  // An address behind the OPT record: root, A, IN, TTL 5.
  const behind = Uint8Array.from([...withOpt, 0, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1]);
  behind[11] = 2;
  kept.store('behind', 1, behind);
  kept.store('trailing', 1, Uint8Array.from([...withOpt, 1, 2, 3]));
  clock.advance(5000);
  for (const key of ['behind', 'trailing']) {
    const stale = kept.stale(key, 1)!;
    const fitted = fitAnswer(stale.slice(), ASKED, 'udp');
    assert.deepEqual(said(fitted!).answers, ['host.example A 0.0.0.1'], key);
    assert.equal(answerLife(stale).endAt, stale.length);
  }
});

test('property: whatever is kept comes back whole, each TTL less by its age, and stale with 30', () => {
  const data = fc.oneof(
    fc.nat(0xffff).map((address) => a(address)[0]!),
    fc.nat(255).map((last) => aaaa(last)[0]!),
    fc.constantFrom('x.example', 'host.example', 'a.b.c').map((target) => ({ type: 'CNAME' as const, target })),
    fc.uint8Array({ maxLength: 255 }).map((text) => ({ type: 'TXT' as const, texts: [text] })),
  );
  fc.assert(
    fc.property(
      fc.array(data, { maxLength: 20 }),
      fc.array(data, { maxLength: 5 }),
      fc.record({ ttlSeconds: fc.integer({ min: 1, max: 90_000 }), opt: fc.boolean() }),
      fc.nat(90_000_000),
      (answers, additionals, facts, ageMs) => {
        const { kept, clock } = cache();
        const message = written(ASKED, { answers: [...a(7), ...answers], additionals, ...facts });
        const before = said(message);
        kept.store(KEY, 1, message);
        clock.advance(ageMs);
        const life = Math.min(facts.ttlSeconds, 86_400);
        const hit = kept.lookup(KEY, 1);
        assert.equal(hit !== undefined, ageMs < life * 1000);
        const now = hit === undefined ? undefined : said(hit);
        const ageSeconds = Math.floor(ageMs / 1000);
        if (now !== undefined) assert.deepEqual(now, { ...before, ttls: before.ttls.map((ttl) => ttl - ageSeconds) });
        const old = kept.stale(KEY, 1);
        if (old === undefined) assert.ok(ageMs >= (life + 3600) * 1000);
        else assert.deepEqual(said(old), { ...before, ttls: before.ttls.map(() => 30), error: 3 });
      },
    ),
  );
});

test('no bytes make it throw or read what is not the message', () => {
  const seed = written(ASKED, {
    answers: [...a(1, 2), ...aaaa(3)],
    soa: { ttlSeconds: 5, minimumSeconds: 5 },
    opt: true,
  });
  parsesHostileBytes([seed], (bytes, at, end) => {
    const { kept, clock } = cache();
    kept.store(KEY, 1, bytes.subarray(at, end));
    kept.store('told', 1, bytes.subarray(at, end), 10);
    clock.advance(1000);
    return [KEY, 'told'].map((key) => [kept.lookup(key, 1), kept.stale(key, 1)]);
  });
});
