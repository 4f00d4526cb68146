import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { appendOpt, DNS_OPT_BYTES, type DnsEdns, findEdns, findExtendedError } from '../../src/wire/dns-edns.ts';
import { DnsQuestion, parseDnsQuestion } from '../../src/wire/dns-message.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

/** Header with these counts and the question "a. IN A", then `records`: they begin at 19. */
function message(counts: string, records: string): Uint8Array {
  return hex(`0001 0100 0001 ${counts} 0161 00 0001 0001 ${records}`);
}

function edns(bytes: Uint8Array, at = 0, end: number = bytes.length): DnsEdns | string | undefined {
  const question = new DnsQuestion();
  return parseDnsQuestion(bytes, at, end, question) ?? findEdns(bytes, question, end);
}

function good(bytes: Uint8Array): DnsEdns {
  const found = edns(bytes);
  assert.ok(typeof found === 'object');
  return found;
}

const QUERY = message('0000 0000 0000', '');
/** As dig sends it: 1,232 bytes, DO, a cookie. */
const DIG = message('0000 0000 0001', '00 0029 04d0 00 00 8000 000c 000a 0008 0011223344556677');
const A = 'c00c 0001 0001 0000003c 0004 c0000201';
const OPT = '00 0029 1000 00 00 0000 0000';

test('an OPT record is found with what it says and where it lies', () => {
  assert.deepEqual(edns(DIG), {
    udpBytes: 1232,
    version: 0,
    extendedRcode: 0,
    dnssecOk: true,
    optAt: 19,
    optEnd: DIG.length,
    optCount: 1,
  });
  assert.equal(edns(QUERY), undefined);
  assert.equal(edns(message('0001 0000 0000', A)), undefined);
});

test('records around it do not hide it', () => {
  const found = good(message('0001 0001 0003', `${A} ${A} ${A} ${OPT} ${A}`));
  assert.deepEqual([found.udpBytes, found.dnssecOk, found.optAt, found.optEnd], [4096, false, 19 + 48, 19 + 48 + 11]);
});

test('less than 512 bytes count as 512 (RFC 6891 §6.2.3)', () => {
  assert.equal(good(message('0000 0000 0001', '00 0029 0000 00 00 0000 0000')).udpBytes, 512);
});

test('version and the upper bits of the response code', () => {
  const { version, extendedRcode } = good(message('0000 0000 0001', '00 0029 0200 ff 7f 0000 0000'));
  assert.deepEqual([version, extendedRcode], [0x7f, 0xff]);
});

test('what RFC 6891 forbids is a bad message', () => {
  assert.equal(edns(message('0000 0000 0002', `${OPT} ${OPT}`)), 'dns-bad-edns', 'two of them');
  assert.equal(edns(message('0000 0000 0001', `c00c${OPT.slice(2)}`)), 'dns-bad-edns', 'an owner');
  assert.equal(edns(message('0001 0000 0000', OPT)), 'dns-bad-edns', 'an answer');
  assert.equal(edns(message('0000 0001 0000', OPT)), 'dns-bad-edns', 'an authority');
  assert.equal(
    edns(message('0000 0000 0001', '00 0029 1000 00 00 0000 0003 000a 00')),
    'dns-bad-edns',
    'half an option',
  );
  assert.equal(
    edns(message('0000 0000 0001', '00 0029 1000 00 00 0000 0005 000a 0002 00')),
    'dns-bad-edns',
    'a long option',
  );
});

test('records that are cut off are a bad message', () => {
  for (let end = QUERY.length; end < DIG.length; end++) assert.equal(edns(DIG, 0, end), 'dns-bad-edns');
  assert.equal(edns(message('0000 0000 0002', OPT)), 'dns-bad-edns');
});

test('an OPT record is appended and counted', () => {
  const bytes = new Uint8Array(QUERY.length + DNS_OPT_BYTES);
  bytes.set(QUERY);
  const length = appendOpt(bytes, QUERY.length, { udpBytes: 1232, extendedRcode: 1, dnssecOk: true });
  assert.equal(length, bytes.length);
  assert.equal(hexOf(bytes, QUERY.length), '00002904d0010080000000');
  assert.deepEqual(edns(bytes), {
    udpBytes: 1232,
    version: 0,
    extendedRcode: 1,
    dnssecOk: true,
    optAt: QUERY.length,
    optEnd: length,
    optCount: 0,
  });
});

test('an extended error is appended (RFC 8914 §2)', () => {
  const bytes = new Uint8Array(64);
  bytes.set(QUERY);
  const extendedError = { code: 22, text: 'né' };
  const length = appendOpt(bytes, QUERY.length, { udpBytes: 512, extendedRcode: 0, dnssecOk: false, extendedError });
  assert.equal(hexOf(bytes, QUERY.length, length - QUERY.length), '0000290200000000000009000f000500166ec3a9');
  assert.deepEqual(findExtendedError(bytes, good(bytes.slice(0, length))), extendedError);
});

test('where room ends, the text goes first, then the error, then the record', () => {
  const opt = { udpBytes: 512, extendedRcode: 0, dnssecOk: false, extendedError: { code: 3, text: 'stale' } };
  for (const [room, used] of [
    [22, 22],
    [21, 17],
    [17, 17],
    [16, 11],
    [11, 11],
    [10, 0],
    [0, 0],
  ] as const) {
    const bytes = new Uint8Array(QUERY.length + room);
    bytes.set(QUERY);
    const length = appendOpt(bytes, QUERY.length, opt);
    assert.equal(length - QUERY.length, used, `${room} bytes of room`);
    const found = edns(bytes, 0, length);
    assert.equal(typeof found, used === 0 ? 'undefined' : 'object');
  }
});

test('an extended error is found among other options, without the zero that may end it', () => {
  const first = 'fffe 0000 000f 0001 00';
  const bytes = message('0000 0000 0001', `00 0029 1000 00 00 0000 0012 ${first} 000f 0005 0012 6869 00`);
  assert.deepEqual(findExtendedError(bytes, good(bytes)), { code: 18, text: 'hi' });
  assert.equal(findExtendedError(DIG, good(DIG)), undefined);
});

test('whatever is appended is found again', () => {
  const opt = fc.record({
    udpBytes: fc.integer({ min: 512, max: 65_535 }),
    extendedRcode: fc.nat({ max: 255 }),
    dnssecOk: fc.boolean(),
    extendedError: fc.record({ code: fc.nat({ max: 65_535 }), text: fc.string({ unit: 'grapheme', maxLength: 40 }) }),
  });
  fc.assert(
    fc.property(opt, (written) => {
      const bytes = new Uint8Array(4096);
      bytes.set(QUERY);
      const found = good(bytes.slice(0, appendOpt(bytes, QUERY.length, written)));
      const { udpBytes, extendedRcode, dnssecOk } = found;
      const extendedError = findExtendedError(bytes, found);
      assert.deepEqual(
        { udpBytes, extendedRcode, dnssecOk, extendedError },
        {
          ...written,
          extendedError: { ...written.extendedError, text: written.extendedError.text.replace(/\0$/, '') },
        },
      );
    }),
  );
});

test('never throws and never reads past the end', () => {
  const error = message('0000 0000 0001', '00 0029 1000 00 00 0000 0008 000f 0004 0012 c3a9');
  parsesHostileBytes([DIG, error, message('0001 0001 0003', `${A} ${A} ${A} ${OPT} ${A}`)], (bytes, at, end) => {
    const found = edns(bytes, at, end);
    if (typeof found !== 'object') return found;
    return [found, findExtendedError(bytes, found)];
  });
});
