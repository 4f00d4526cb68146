import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DnsData, type DnsSoa, dataTypeNumber, describeData } from '../../src/wire/dns-data.ts';
import {
  DNS_AA,
  DNS_FORMERR,
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_RA,
  DNS_TYPE_A,
  DnsQuestion,
  parseDnsQuestion,
} from '../../src/wire/dns-message.ts';
import { DnsName, dnsNameKey, parseDnsName } from '../../src/wire/dns-name.ts';
import { DnsRecordCursor, DnsRecords } from '../../src/wire/dns-record.ts';
import { DnsWriter } from '../../src/wire/dns-writer.ts';
import { DNS_CAPTURES } from '../support/dns-captures.ts';
import { hex, hexOf } from '../support/hostile-bytes.ts';

const QUERY = hex('abcd 0100 0001 0000 0000 0000 03466f4f 076578616d706c65 00 0001 0001');
const QUESTION = hexOf(QUERY, 12);
const A: DnsData = { type: 'A', address: 0xc0a84101 };
const SOA: DnsSoa = {
  mname: 'ns.example',
  rname: 'admin.ns.example',
  serial: 1,
  refreshSeconds: 2,
  retrySeconds: 3,
  expireSeconds: 4,
  minimumSeconds: 5,
};

function asked(): DnsQuestion {
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(QUERY, 0, QUERY.length, question), undefined);
  return question;
}

/** The digits of the answer that `fill` writes. */
function written(fill: (writer: DnsWriter) => void, rcode = DNS_NOERROR, flags = DNS_RA): string {
  const bytes = new Uint8Array(600);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), rcode, flags);
  fill(writer);
  return hexOf(bytes, 0, writer.finish());
}

function digits(...texts: readonly string[]): string {
  return texts.join('').replaceAll(' ', '');
}

interface Read {
  readonly truncated: boolean;
  readonly counts: readonly number[];
  readonly records: readonly { owner: string; ttlSeconds: number; data: string }[];
}

/** Every record of the message [at, end), which must be whole. */
function read(bytes: Uint8Array, at: number, end: number): Read {
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(bytes, at, end, question), undefined);
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const owner = new DnsName();
  const list: { owner: string; ttlSeconds: number; data: string }[] = [];
  records.start(bytes, at, end, question);
  while (records.next(cursor)) {
    assert.equal(parseDnsName(bytes, at, cursor.ownerAt, end, owner), undefined);
    const data = describeData(bytes, at, end, cursor.type, cursor.dataAt, cursor.dataLength);
    list.push({ owner: dnsNameKey(owner.text), ttlSeconds: cursor.ttlSeconds, data });
  }
  assert.equal(records.fault, undefined);
  if (list.length > 0) assert.equal(cursor.nextAt, end);
  const counts = [question.answerCount, question.authorityCount, question.additionalCount];
  return { truncated: question.truncated, counts, records: list };
}

test('an answer repeats the question as sent and points to its name', () => {
  assert.equal(
    written((writer) => {
      assert.ok(writer.answer('foo.example', 60, A));
      assert.ok(writer.answer('FOO.EXAMPLE.', 60, { type: 'AAAA', address: hex('20010db8000000000000000000000001') }));
    }),
    digits(
      `abcd 8180 0001 0002 0000 0000 ${QUESTION}`,
      'c00c 0001 0001 0000003c 0004 c0a84101',
      'c00c 001c 0001 0000003c 0010 20010db8000000000000000000000001',
    ),
  );
});

test('names of CNAME, NS, MX and SOA data are compressed, and what they introduce is pointed to', () => {
  assert.equal(
    written((writer) => {
      assert.ok(writer.answer('foo.example', 60, { type: 'CNAME', target: 'Bar.Example' }));
      assert.ok(writer.answer('bar.example', 60, { type: 'MX', preference: 10, exchange: 'mx.bar.example' }));
      assert.ok(writer.authority('example', 60, { type: 'NS', target: 'mx.bar.example' }));
      assert.ok(writer.authority('example', 5, { type: 'SOA', soa: SOA }));
    }),
    digits(
      `abcd 8180 0001 0002 0002 0000 ${QUESTION}`,
      'c00c 0005 0001 0000003c 0006 03426172 c010',
      'c029 000f 0001 0000003c 0007 000a 026d78 c029',
      'c010 0002 0001 0000003c 0002 c03d',
      'c010 0006 0001 00000005 0021 026e73 c010 0561646d696e c05c 00000001 00000002 00000003 00000004 00000005',
    ),
  );
});

test('the target of SRV is not compressed, but its owner is (RFC 2782)', () => {
  assert.equal(
    written((writer) => {
      assert.ok(
        writer.answer('_sip.foo.example', 60, {
          type: 'SRV',
          priority: 1,
          weight: 2,
          port: 5060,
          target: 'foo.example',
        }),
      );
    }),
    digits(
      `abcd 8180 0001 0001 0000 0000 ${QUESTION}`,
      '045f736970 c00c 0021 0001 0000003c 0013 0001 0002 13c4 03666f6f 076578616d706c65 00',
    ),
  );
});

test('strings, pointers to names and the root', () => {
  assert.equal(
    written((writer) => {
      assert.ok(writer.answer('', 0, { type: 'TXT', texts: [hex('6162'), hex('')] }));
      assert.ok(writer.additional('example', 1, { type: 'PTR', target: '.' }));
    }),
    digits(
      `abcd 8180 0001 0001 0000 0001 ${QUESTION}`,
      '00 0010 0001 00000000 0004 02 6162 00',
      'c010 000c 0001 00000001 0001 00',
    ),
  );
});

test('a negative answer has the SOA of the zone in the authority section', () => {
  const root = { ...SOA, mname: '', rname: '' };
  assert.equal(
    written((writer) => writer.authority('EXAMPLE.', 5, { type: 'SOA', soa: root }), DNS_NXDOMAIN, DNS_AA | DNS_RA),
    digits(
      `abcd 8583 0001 0000 0001 0000 ${QUESTION}`,
      'c010 0006 0001 00000005 0016 00 00 00000001 00000002 00000003 00000004 00000005',
    ),
  );
});

test('an answer that does not fit sets TC and is left out whole, and nothing follows it', () => {
  const bytes = new Uint8Array(600);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NOERROR, DNS_RA);
  let fitted = 0;
  while (writer.answer('foo.example', 60, { type: 'A', address: fitted })) fitted++;
  assert.equal(writer.authority('', 60, { type: 'NS', target: '' }), false);
  assert.equal(writer.additional('', 60, A), false);
  const length = writer.finish();
  const answer = read(bytes, 0, length);
  assert.deepEqual([answer.truncated, answer.counts], [true, [fitted, 0, 0]]);
  assert.equal(length, QUERY.length + 16 * fitted);
  assert.ok(length <= 512 && length > 512 - 16);
});

test('an additional that does not fit is left out in silence, and a smaller one may follow (RFC 2181 §9)', () => {
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NOERROR, DNS_RA);
  assert.ok(writer.answer('foo.example', 60, A));
  const long = { type: 'TXT', texts: [new Uint8Array(255), new Uint8Array(255)] } as const;
  assert.equal(writer.additional('other.name.example', 60, long), false);
  assert.ok(writer.additional('name.example', 60, A));
  const answer = read(bytes, 0, writer.finish());
  assert.deepEqual([answer.truncated, answer.counts], [false, [1, 0, 1]]);
  assert.equal(answer.records[1]?.owner, 'name.example', 'the name of the record left out is pointed to by none');
});

test('what cannot be written is left out without TC', () => {
  const bytes = new Uint8Array(1024);
  const writer = new DnsWriter(bytes);
  writer.start(0, 1024, QUERY, asked(), DNS_NOERROR, DNS_RA);
  assert.equal(writer.answer('a..b', 60, A), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'PTR', target: 'a..b' }), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'MX', preference: 1, exchange: 'a'.repeat(64) }), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'TXT', texts: [new Uint8Array(256)] }), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'TXT', texts: [] }), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'AAAA', address: new Uint8Array(4) }), false);
  assert.equal(writer.answer('foo.example', 60, { type: 'SOA', soa: { ...SOA, rname: '\\9' } }), false);
  assert.ok(writer.answer('foo.example', 60, { type: 'PTR', target: 'a.b' }));
  const answer = read(bytes, 0, writer.finish());
  assert.deepEqual([answer.truncated, answer.counts], [false, [1, 0, 0]]);
});

test('sections are written in their order', () => {
  written((writer) => {
    writer.authority('example', 1, A);
    assert.throws(() => writer.answer('example', 1, A));
  });
});

test('a question that could not be read is answered with the header alone', () => {
  const bad = QUERY.slice();
  bad[12] = 0x40;
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(bad, 0, bad.length, question), 'dns-bad-label');
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, bad, question, DNS_FORMERR, 0);
  assert.equal(hexOf(bytes, 0, writer.finish()), 'abcd81010000000000000000');
});

test('one writer writes many answers, anywhere in its bytes, and each points only into itself', () => {
  const bytes = new Uint8Array(2048);
  const writer = new DnsWriter(bytes);
  const shifted = new Uint8Array(100 + QUERY.length);
  shifted.set(QUERY, 100);
  const question = new DnsQuestion();
  parseDnsQuestion(shifted, 100, shifted.length, question);
  const expected = written((first) => first.answer('a.example', 60, { type: 'CNAME', target: 'b.a.example' }));
  for (const at of [0, 700, 3]) {
    writer.start(at, 512, shifted, question, DNS_NOERROR, DNS_RA);
    assert.ok(writer.answer('a.example', 60, { type: 'CNAME', target: 'b.a.example' }));
    assert.equal(hexOf(bytes, at, writer.finish()), expected);
  }
});

test('a name that stands where no pointer reaches is written again', () => {
  const bytes = new Uint8Array(65_535);
  const writer = new DnsWriter(bytes);
  writer.start(0, bytes.length, QUERY, asked(), DNS_NOERROR, DNS_RA);
  const text = { type: 'TXT', texts: [new Uint8Array(250)] } as const;
  for (let i = 0; i < 70; i++) assert.ok(writer.answer('foo.example', 60, text));
  assert.ok(writer.answer('far.away', 60, A));
  assert.ok(writer.answer('far.away', 60, A));
  assert.ok(writer.answer('foo.example', 60, A));
  const length = writer.finish();
  assert.equal(hexOf(bytes, length - 16, 2), 'c00c');
  assert.deepEqual(
    read(bytes, 0, length)
      .records.slice(-3)
      .map((record) => record.owner),
    ['far.away', 'far.away', 'foo.example'],
  );
});

test('more names than are remembered are all written', () => {
  const bytes = new Uint8Array(65_535);
  const writer = new DnsWriter(bytes);
  writer.start(0, bytes.length, QUERY, asked(), DNS_NOERROR, DNS_RA);
  for (let i = 0; i < 1000; i++) assert.ok(writer.answer(`n${i}.example`, 60, A));
  const answer = read(bytes, 0, writer.finish());
  assert.deepEqual(
    answer.records.map((record) => record.owner),
    Array.from({ length: 1000 }, (_, i) => `n${i}.example`),
  );
});

test('the SOA of unbound comes out the same, byte for byte', () => {
  const capture = hex(DNS_CAPTURES.find(({ shown }) => shown[0]?.startsWith('SOA'))?.hex ?? '');
  const question = new DnsQuestion();
  parseDnsQuestion(capture, 0, capture.length, question);
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, capture, question, DNS_NOERROR, DNS_AA | DNS_RA);
  const soa: DnsSoa = {
    mname: 'ns1.example.com',
    rname: 'admin.example.com',
    serial: 2_026_010_101,
    refreshSeconds: 7200,
    retrySeconds: 3600,
    expireSeconds: 1_209_600,
    minimumSeconds: 60,
  };
  assert.ok(writer.answer('example.com', 300, { type: 'SOA', soa }));
  assert.equal(hexOf(bytes, 0, writer.finish()), hexOf(capture));
});

const label = fc.constantFrom('a', 'B', 'foo', 'EXAMPLE', 'x\\.y', '\\000', 'l'.repeat(61));
const name = fc.array(label, { maxLength: 4 }).map((labels) => labels.join('.'));
const u16 = fc.nat({ max: 65_535 });
const u32 = fc.nat({ max: 0xffff_ffff });
const data: fc.Arbitrary<DnsData> = fc.oneof(
  fc.record({ type: fc.constant('A' as const), address: u32 }),
  fc.record({ type: fc.constantFrom('CNAME' as const, 'PTR' as const, 'NS' as const), target: name }),
  fc.record({
    type: fc.constant('TXT' as const),
    texts: fc.array(fc.uint8Array({ maxLength: 255 }), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ type: fc.constant('SRV' as const), priority: u16, weight: u16, port: u16, target: name }),
  fc.record({ type: fc.constant('MX' as const), preference: u16, exchange: name }),
  fc.record({
    type: fc.constant('SOA' as const),
    soa: fc.record({ mname: name, rname: name }).map((names) => ({ ...SOA, ...names })),
  }),
);

/** What a record's data reads like when it is written alone, without a name to point to. */
function alone(value: DnsData): string {
  const bytes = new Uint8Array(2048);
  const question = new DnsQuestion();
  question.type = DNS_TYPE_A;
  const writer = new DnsWriter(bytes);
  writer.start(0, 2048, new Uint8Array(0), question, 0, 0);
  assert.ok(writer.answer('', 1, value));
  const length = writer.finish();
  return describeData(bytes, 0, length, dataTypeNumber(value), 12 + 11, length - 12 - 11).toLowerCase();
}

test('whatever is written is read back the same, and never a byte behind the limit', () => {
  const records = fc.array(fc.record({ owner: name, value: data, section: fc.nat({ max: 2 }) }), { maxLength: 12 });
  fc.assert(
    fc.property(records, fc.integer({ min: 512, max: 1500 }), (list, maxBytes) => {
      const at = 7;
      const bytes = new Uint8Array(at + maxBytes + 64).fill(0xa5);
      const writer = new DnsWriter(bytes);
      writer.start(at, maxBytes, QUERY, asked(), DNS_NOERROR, DNS_RA);
      const add = [writer.answer, writer.authority, writer.additional].map((method) => method.bind(writer));
      const sorted = list.toSorted((a, b) => a.section - b.section);
      const kept = sorted.filter(({ owner, value, section }) => add[section]?.(owner, 60, value));
      const length = writer.finish();
      assert.ok(length <= maxBytes);
      assert.ok(bytes.subarray(at + maxBytes).every((byte) => byte === 0xa5) && bytes[at - 1] === 0xa5);
      const answer = read(bytes, at, at + length);
      assert.deepEqual(
        answer.records.map((record) => ({ ...record, data: record.data.toLowerCase() })),
        kept.map(({ owner, value }) => ({ owner: dnsNameKey(owner), ttlSeconds: 60, data: alone(value) })),
      );
      assert.equal(
        answer.truncated,
        sorted.some((record) => !kept.includes(record) && record.section < 2),
      );
    }),
    { numRuns: 300 },
  );
});
