import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DnsData, dataTypeNumber, describeData } from '../../src/wire/dns-data.ts';
import {
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_CAA,
  DNS_TYPE_CNAME,
  DNS_TYPE_HTTPS,
  DNS_TYPE_MX,
  DNS_TYPE_NSEC,
  DNS_TYPE_TXT,
  DnsQuestion,
  dnsTypeName,
  dnsTypeNumber,
  parseDnsQuestion,
} from '../../src/wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../src/wire/dns-record.ts';
import { DNS_CAPTURES } from '../support/dns-captures.ts';
import { hex, parsesHostileBytes } from '../support/hostile-bytes.ts';

/** Type and data of each record, and the walk's fault. */
function shown(bytes: Uint8Array, at: number, end: number): (string | undefined)[] {
  const question = new DnsQuestion();
  const fault = parseDnsQuestion(bytes, at, end, question);
  if (fault !== undefined) return [fault];
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const texts: (string | undefined)[] = [];
  records.start(bytes, at, end, question);
  while (records.next(cursor)) {
    const { type, dataAt, dataLength } = cursor;
    texts.push(`${dnsTypeName(type)} ${describeData(bytes, at, end, type, dataAt, dataLength)}`);
  }
  return records.fault === undefined ? texts : [...texts, records.fault];
}

function described(type: number, digits: string): string {
  const bytes = hex(digits);
  return describeData(bytes, 0, bytes.length, type, 0, bytes.length);
}

for (const capture of DNS_CAPTURES) {
  const [first = ''] = capture.shown;
  test(`data reads as dig shows it: ${first.slice(0, 60)}`, () => {
    const bytes = hex(capture.hex);
    assert.deepEqual(shown(bytes, 0, bytes.length), capture.shown);
  });
}

test('data that is not what its type wants is shown in hex', () => {
  assert.equal(described(DNS_TYPE_A, 'c00002'), '\\# 3 C00002');
  assert.equal(described(DNS_TYPE_A, 'c000020100'), '\\# 5 C000020100');
  assert.equal(described(DNS_TYPE_A, ''), '\\# 0');
  assert.equal(described(DNS_TYPE_AAAA, '20010db8'), '\\# 4 20010DB8');
  assert.equal(described(DNS_TYPE_CNAME, 'c000'), '\\# 2 C000');
  assert.equal(described(DNS_TYPE_CNAME, '016100ff'), '\\# 4 016100FF');
  assert.equal(described(DNS_TYPE_TXT, ''), '\\# 0');
  assert.equal(described(DNS_TYPE_TXT, '0261'), '\\# 2 0261');
  assert.equal(described(DNS_TYPE_MX, '00'), '\\# 1 00');
  assert.equal(described(DNS_TYPE_CAA, '00 00 61'), '\\# 3 000061');
  assert.equal(described(DNS_TYPE_CAA, '00 02 0041 61'), '\\# 5 0002004161');
});

test('a name in data does not run into what follows the data', () => {
  const bytes = hex('0161 00');
  assert.equal(describeData(bytes, 0, 3, DNS_TYPE_CNAME, 0, 2), '\\# 2 0161');
  assert.equal(describeData(bytes, 0, 2, DNS_TYPE_CNAME, 0, 3), '\\# 2 0161');
});

test('service parameters that RFC 9460 forbids show the whole data in hex', () => {
  const bad = (parameters: string): boolean => described(DNS_TYPE_HTTPS, `0001 00 ${parameters}`).startsWith('\\#');
  assert.ok(bad('0003 0002 0050 0001 0003 026832'), 'not in order');
  assert.ok(bad('0003 0002 0050 0003 0002 0050'), 'twice');
  assert.ok(bad('0003 0001 50'), 'half a port');
  assert.ok(bad('0003 0003 005000'), 'more than a port');
  assert.ok(bad('0001 0000'), 'no protocol');
  assert.ok(bad('0001 0001 00'), 'an empty protocol');
  assert.ok(bad('0002 0001 00'), 'a value where there is none');
  assert.ok(bad('0004 0005 c000020100'), 'an address and a bit');
  assert.ok(bad('0006 0000'), 'no address');
  assert.ok(bad('029b 0004 00'), 'cut off');
  assert.equal(described(DNS_TYPE_HTTPS, '0001 00 029b 0000'), '1 . key667');
  assert.equal(
    described(DNS_TYPE_HTTPS, '0001 00 0007 0010 2f646e732d71756572797b3f646e737d 0008 0000'),
    '1 . dohpath="/dns-query{?dns}" ohttp',
  );
});

test('odd octets are escaped in quotes, and no longer are than there', () => {
  assert.equal(described(DNS_TYPE_TXT, '05 61 22 5c 00 ff 00'), '"a\\"\\\\\\000\\255" ""');
});

test('a bit map of types with an empty or repeated window is shown in hex', () => {
  assert.equal(described(DNS_TYPE_NSEC, '00 0001 40 0101 40'), '. A CAA');
  assert.equal(described(DNS_TYPE_NSEC, '00 0000'), '\\# 3 000000');
  assert.equal(described(DNS_TYPE_NSEC, '00 0001 40 0001 40'), '\\# 7 00000140000140');
});

test('each type of ours has its number', () => {
  const soa = {
    mname: '',
    rname: '',
    serial: 0,
    refreshSeconds: 0,
    retrySeconds: 0,
    expireSeconds: 0,
    minimumSeconds: 0,
  };
  const all: DnsData[] = [
    { type: 'A', address: 0 },
    { type: 'AAAA', address: new Uint8Array(16) },
    { type: 'CNAME', target: '' },
    { type: 'PTR', target: '' },
    { type: 'NS', target: '' },
    { type: 'TXT', texts: [] },
    { type: 'SRV', priority: 0, weight: 0, port: 0, target: '' },
    { type: 'MX', preference: 0, exchange: '' },
    { type: 'SOA', soa },
  ];
  for (const data of all) assert.equal(dataTypeNumber(data), dnsTypeNumber(data.type));
});

test('never throws and never reads past the end', () => {
  const seeds = DNS_CAPTURES.map((capture) => hex(capture.hex));
  parsesHostileBytes(seeds, shown);
});

test('every truncation at every byte ends the walk with a fault and keeps the whole records before it', () => {
  for (const { hex: digits } of DNS_CAPTURES) {
    const bytes = hex(digits);
    const whole = shown(bytes, 0, bytes.length);
    for (let end = 0; end < bytes.length; end++) {
      const cut = shown(bytes.slice(0, end), 0, end);
      const fault = cut.pop();
      assert.match(String(fault), /^dns-(truncated|name-truncated|record-truncated)$/, `${end} of ${digits}`);
      assert.deepEqual(cut, whole.slice(0, cut.length));
    }
  }
});
