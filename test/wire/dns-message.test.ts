import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DNS_AA,
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_RA,
  DNS_TYPE_A,
  DnsQuestion,
  DnsWriter,
  dnsRcodeName,
  dnsTypeName,
  dnsTypeNumber,
  parseDnsQuestion,
  writeDnsQuery,
} from '../../src/wire/dns-message.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const QUERY = hex('abcd 0100 0001 0000 0000 0000 03466f4f 076578616d706c65 00 0001 0001');

function asked(): DnsQuestion {
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(QUERY, 0, QUERY.length, question), undefined);
  return question;
}

test('a question is parsed field by field', () => {
  const question = asked();
  assert.deepEqual(
    [question.id, question.response, question.opcode, question.recursionDesired, question.rcode],
    [0xabcd, false, 0, true, 0],
  );
  assert.deepEqual([question.name, question.type, question.class], ['FoO.example', DNS_TYPE_A, 1]);
  assert.deepEqual([question.questionAt, question.questionEnd], [12, QUERY.length]);
});

test('a query is written byte for byte', () => {
  const bytes = new Uint8Array(QUERY.length);
  assert.equal(writeDnsQuery(bytes, 0, bytes.length, 0xabcd, 'FoO.example', DNS_TYPE_A), QUERY.length);
  assert.equal(hexOf(bytes), hexOf(QUERY));
  assert.equal(writeDnsQuery(bytes, 0, bytes.length - 1, 0xabcd, 'FoO.example', DNS_TYPE_A), -1);
});

test('an answer repeats the question as sent and points to its name', () => {
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NOERROR, DNS_RA);
  assert.ok(writer.a('foo.example', 60, 0xc0a84101));
  assert.ok(writer.aaaa('foo.example', 60, hex('20010db8000000000000000000000001')));
  assert.ok(writer.ptr('other', 60, 'x'));
  const question = hexOf(QUERY, 12);
  const a = 'c00c 0001 0001 0000003c 0004 c0a84101';
  const aaaa = 'c00c 001c 0001 0000003c 0010 20010db8000000000000000000000001';
  const ptr = '056f74686572 00 000c 0001 0000003c 0003 0178 00';
  const expected = `abcd 8180 0001 0003 0000 0000 ${question} ${a} ${aaaa} ${ptr}`.replaceAll(' ', '');
  assert.equal(hexOf(bytes, 0, writer.finish()), expected);
});

test('a negative answer has the SOA of the zone, which the question ends with, in the authority section', () => {
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NXDOMAIN, DNS_AA | DNS_RA);
  const soa = {
    mname: 'a',
    rname: 'b',
    serial: 1,
    refreshSeconds: 2,
    retrySeconds: 3,
    expireSeconds: 4,
    minimumSeconds: 5,
  };
  assert.ok(writer.soa('EXAMPLE.', 5, soa));
  const record = 'c010 0006 0001 00000005 001a 0161 00 0162 00 00000001 00000002 00000003 00000004 00000005';
  const expected = `abcd 8583 0001 0000 0001 0000 ${hexOf(QUERY, 12)} ${record}`.replaceAll(' ', '');
  assert.equal(hexOf(bytes, 0, writer.finish()), expected);
});

test('the record that does not fit sets TC and is left out whole', () => {
  const bytes = new Uint8Array(600);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NOERROR, DNS_RA);
  let fitted = 0;
  while (writer.a('foo.example', 60, fitted)) fitted++;
  const length = writer.finish();
  const answer = new DnsQuestion();
  assert.equal(parseDnsQuestion(bytes, 0, length, answer), undefined);
  assert.deepEqual([answer.response, answer.truncated, answer.answerCount], [true, true, fitted]);
  assert.equal(length, QUERY.length + 16 * fitted);
  assert.ok(length <= 512 && length > 512 - 16);
});

test('a record with a name that is none is left out without TC', () => {
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, QUERY, asked(), DNS_NOERROR, DNS_RA);
  assert.equal(writer.ptr('foo.example', 60, 'a..b'), false);
  assert.ok(writer.ptr('foo.example', 60, 'a.b'));
  const answer = new DnsQuestion();
  assert.equal(parseDnsQuestion(bytes, 0, writer.finish(), answer), undefined);
  assert.deepEqual([answer.truncated, answer.answerCount], [false, 1]);
});

test('a bad question still tells whom to answer', () => {
  const bad = QUERY.slice();
  bad[12] = 0x40;
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(bad, 0, bad.length, question), 'dns-bad-label');
  assert.deepEqual([question.id, question.questionEnd - question.questionAt], [0xabcd, 0]);
  const bytes = new Uint8Array(512);
  const writer = new DnsWriter(bytes);
  writer.start(0, 512, bad, question, 1, 0);
  assert.equal(hexOf(bytes, 0, writer.finish()), 'abcd81010000000000000000');
});

test('a question with a pointer is refused: nothing stands before it', () => {
  const question = new DnsQuestion();
  const header = 'abcd 0100 0001 0000 0000 0000';
  for (const name of ['c00c', 'c000', '0161 c000', '0161 c00c']) {
    const bytes = hex(`${header} ${name} 0001 0001`);
    assert.equal(parseDnsQuestion(bytes, 0, bytes.length, question), 'dns-bad-pointer', name);
  }
});

test('types and response codes have names', () => {
  assert.deepEqual([1, 28, 65, 257, 255, 1234].map(dnsTypeName), ['A', 'AAAA', 'HTTPS', 'CAA', 'ANY', 'TYPE1234']);
  assert.deepEqual(['a', 'Https', 'TYPE28', 'type65535'].map(dnsTypeNumber), [1, 65, 28, 65_535]);
  for (const text of ['', 'TYPE', 'TYPE65536', 'TYPE-1', 'NOPE', '1', 'constructor']) {
    assert.equal(dnsTypeNumber(text), undefined, text);
  }
  for (let type = 0; type <= 65_535; type++) assert.equal(dnsTypeNumber(dnsTypeName(type)), type);
  const rcodes = [DNS_NOERROR, 2, DNS_NXDOMAIN, 5, 16, 23, 12].map(dnsRcodeName);
  assert.deepEqual(rcodes, ['NOERROR', 'SERVFAIL', 'NXDOMAIN', 'REFUSED', 'BADVERS', 'BADCOOKIE', 'RCODE12']);
});

test('each fault has its word', () => {
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(QUERY, 0, 11, question), 'dns-truncated');
  assert.equal(parseDnsQuestion(QUERY, 0, QUERY.length - 1, question), 'dns-name-truncated');
  const two = QUERY.slice();
  two[5] = 2;
  assert.equal(parseDnsQuestion(two, 0, two.length, question), 'dns-not-one-question');
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([QUERY], (bytes, at, end) => {
    const question = new DnsQuestion();
    return [parseDnsQuestion(bytes, at, end, question), { ...question }];
  });
});
