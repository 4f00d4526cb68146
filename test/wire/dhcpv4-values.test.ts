import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../src/wire/cidr.ts';
import { encodeClasslessRoutes, encodeSearchList, parseClientFqdn } from '../../src/wire/dhcpv4-values.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

test('the example of RFC 3397 §2 comes out as it stands there', () => {
  const value = encodeSearchList(['eng.apple.com.', 'marketing.apple.com.']);
  assert.equal(hexOf(value), '03656e67056170706c6503636f6d00' + '096d61726b6574696e67c004');
});

test('a search list is compressed without regard to case, whole names too', () => {
  assert.equal(hexOf(encodeSearchList(['a.TEST', 'b.test', 'A.test'])), '0161045445535400' + '0162c002' + 'c000');
  assert.equal(encodeSearchList([]).length, 0);
});

test('what is no name is refused', () => {
  for (const name of ['', '.', 'a..b', `${'x'.repeat(64)}.test`, `${'abcdefg.'.repeat(32)}test`, 'naïve\u4e2d.test']) {
    assert.throws(() => encodeSearchList([name]), RangeError, name);
  }
});

test('classless routes have only the significant bytes of each network (RFC 3442)', () => {
  const route = (to: string, via: number): { destination: NonNullable<ReturnType<typeof parseCidr>>; via: number } => ({
    destination: parseCidr(to)!,
    via,
  });
  const routes = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.17.0.0/16', '10.229.0.128/25', '10.198.122.47/32'];
  assert.equal(
    hexOf(encodeClasslessRoutes(routes.map((to) => route(to, 0x0a1b0001)))),
    ['00', '080a', '180a0000', '100a11', '190ae50080', '200ac67a2f'].map((to) => `${to}0a1b0001`).join(''),
  );
});

test("a client's full name is read in both forms (RFC 4702 §2.3)", () => {
  assert.equal(parseClientFqdn(hex('04 00 00 03776562 04746573 7400')), 'web.test');
  assert.equal(parseClientFqdn(hex('05 00 00 03776562')), 'web');
  assert.equal(parseClientFqdn(hex('00 00 00 7765622e74')), 'web.t');
  for (const bad of ['', '040000', '04000000', '040000ff61', '0400000561'])
    assert.equal(parseClientFqdn(hex(bad)), undefined);
});

test('a full name never throws and never reads past the end', () => {
  parsesHostileBytes([hex('04 00 00 03776562 047465737400')], (bytes, at, end) =>
    parseClientFqdn(bytes.subarray(at, end)),
  );
});
