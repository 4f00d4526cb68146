import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_TYPE_A,
  DnsQuestion,
  dnsRcodeName,
  dnsTypeName,
  dnsTypeNumber,
  parseDnsQuestion,
  repeatsQuestion,
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

test('a bad question still tells whom to answer', () => {
  const bad = QUERY.slice();
  bad[12] = 0x40;
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(bad, 0, bad.length, question), 'dns-bad-label');
  assert.deepEqual([question.id, question.questionEnd - question.questionAt], [0xabcd, 0]);
});

test('a question with a pointer is refused: nothing stands before it', () => {
  const question = new DnsQuestion();
  const header = 'abcd 0100 0001 0000 0000 0000';
  for (const name of ['c00c', 'c000', '0161 c000', '0161 c00c']) {
    const bytes = hex(`${header} ${name} 0001 0001`);
    assert.equal(parseDnsQuestion(bytes, 0, bytes.length, question), 'dns-bad-pointer', name);
  }
});

test('an answer repeats the question in any case of its letters, and in nothing else', () => {
  const changed = (at: number, byte: number): Uint8Array => {
    const bytes = QUERY.slice();
    bytes[at] = byte;
    return bytes;
  };
  const end = asked().questionEnd;
  const same = (told: Uint8Array): boolean => repeatsQuestion(told, QUERY, end);
  assert.equal(QUERY[13], 'F'.charCodeAt(0));
  assert.equal(same(QUERY), true);
  assert.equal(same(changed(13, 'f'.charCodeAt(0))), true);
  assert.equal(same(changed(0, 0)), true, 'the header is none of its business');
  assert.equal(same(changed(13, 'g'.charCodeAt(0))), false);
  assert.equal(same(changed(12, 0x23)), false, 'a length is no letter');
  assert.equal(same(changed(end - 1, 0x21)), false, 'a class is no letter');
  assert.equal(same(QUERY.subarray(0, end - 1)), false);
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
