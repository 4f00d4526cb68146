import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DnsQuestion, parseDnsQuestion } from '../../src/wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../src/wire/dns-record.ts';
import { DNS_CAPTURES } from '../support/dns-captures.ts';
import { hex, parsesHostileBytes } from '../support/hostile-bytes.ts';

/** Header with these counts and the question "a. IN A", then `records`: they begin at 19. */
function message(counts: string, records: string): Uint8Array {
  return hex(`0001 8180 0001 ${counts} 0161 00 0001 0001 ${records}`);
}

function walk(bytes: Uint8Array, at = 0, end: number = bytes.length): unknown[] {
  const question = new DnsQuestion();
  const fault = parseDnsQuestion(bytes, at, end, question);
  if (fault !== undefined) return [fault];
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const seen: unknown[] = [];
  records.start(bytes, at, end, question);
  while (records.next(cursor)) seen.push({ ...cursor });
  assert.equal(records.next(cursor), false);
  return records.fault === undefined ? seen : [...seen, records.fault];
}

const A = 'c00c 0001 0001 0000003c 0004 c0000201';

test('records are walked over section by section', () => {
  const bytes = message('0001 0001 0001', `${A} 00 0002 0001 00000e10 0003 0162 00 c00c 0010 0003 00000001 0000`);
  assert.deepEqual(walk(bytes), [
    {
      section: 'answer',
      ownerAt: 19,
      type: 1,
      class: 1,
      ttlSeconds: 60,
      ttlAt: 25,
      dataAt: 31,
      dataLength: 4,
      nextAt: 35,
    },
    {
      section: 'authority',
      ownerAt: 35,
      type: 2,
      class: 1,
      ttlSeconds: 3600,
      ttlAt: 40,
      dataAt: 46,
      dataLength: 3,
      nextAt: 49,
    },
    {
      section: 'additional',
      ownerAt: 49,
      type: 16,
      class: 3,
      ttlSeconds: 1,
      ttlAt: 55,
      dataAt: 61,
      dataLength: 0,
      nextAt: 61,
    },
  ]);
});

test('a message without records, and bytes behind the last record', () => {
  assert.deepEqual(walk(message('0000 0000 0000', 'ffff')), []);
  assert.equal(walk(message('0001 0000 0000', `${A} ffff`)).length, 1);
});

test('a TTL with the top bit set counts as 0 (RFC 2181 §8)', () => {
  const [record] = walk(message('0001 0000 0000', 'c00c 0001 0001 80000000 0000'));
  assert.equal((record as DnsRecordCursor).ttlSeconds, 0);
  const [longest] = walk(message('0001 0000 0000', 'c00c 0001 0001 7fffffff 0000'));
  assert.equal((longest as DnsRecordCursor).ttlSeconds, 0x7fff_ffff);
});

test('a record that is not there, cut off, or badly named ends the walk', () => {
  const [first] = walk(message('0001 0000 0000', A));
  assert.deepEqual(walk(message('0002 0000 0000', A)), [first, 'dns-name-truncated']);
  assert.deepEqual(walk(message('0001 0000 0000', 'c00c 0001 0001 0000003c 00')), ['dns-record-truncated']);
  assert.deepEqual(walk(message('0001 0000 0000', 'c00c 0001 0001 0000003c 0005 c0000201')), ['dns-record-truncated']);
  assert.deepEqual(walk(message('0001 0000 0000', 'c013 0001 0001 0000003c 0000')), ['dns-bad-pointer']);
  assert.deepEqual(walk(message('0001 0000 0000', '0161 c015 0001 0001 0000003c 0000')), ['dns-bad-pointer']);
  assert.deepEqual(walk(message('0001 0000 0000', '80 0001 0001 0000003c 0000')), ['dns-bad-label']);
  const long = `${`3f${'61'.repeat(63)}`.repeat(4)} 00 0001 0001 0000003c 0000`;
  assert.deepEqual(walk(message('0001 0000 0000', long)), ['dns-name-too-long']);
});

test('one walker serves message after message', () => {
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const question = new DnsQuestion();
  for (const [bytes, fault] of [
    [message('0002 0000 0000', A), 'dns-name-truncated'],
    [message('0001 0000 0000', A), undefined],
  ] as const) {
    parseDnsQuestion(bytes, 0, bytes.length, question);
    records.start(bytes, 0, bytes.length, question);
    while (records.next(cursor)) assert.equal(cursor.type, 1);
    assert.equal(records.fault, fault);
  }
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes(
    DNS_CAPTURES.map((capture) => hex(capture.hex)),
    walk,
  );
});
