import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIpv6Address, parseIpv6Address } from '../../src/wire/ipv6-address.ts';
import { hex, hexOf } from '../support/hostile-bytes.ts';

test('addresses are written as RFC 5952 §4 wants them', () => {
  for (const [digits, text] of [
    ['20010db8000000000000000000000001', '2001:db8::1'],
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['20010000000000010000000000000001', '2001:0:0:1::1'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['fe800000000000000000000000000000', 'fe80::'],
    ['00000000000000000000ffffc0000201', '::ffff:192.0.2.1'],
  ] as const) {
    assert.equal(formatIpv6Address(hex(digits), 0), text);
    assert.equal(hexOf(parseIpv6Address(text) ?? new Uint8Array(0)), digits);
  }
});

test('every address is written as the platform reads it, and comes back', () => {
  const group = fc.oneof(fc.constant(0), fc.nat({ max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const bytes = Uint8Array.from([0xff, ...groups.flatMap((value) => [value >>> 8, value & 0xff])]);
      const text = formatIpv6Address(bytes, 1);
      assert.ok(isIPv6(text));
      assert.equal(hexOf(parseIpv6Address(text) ?? new Uint8Array(0)), hexOf(bytes, 1));
    }),
  );
});

test('text is an address when the platform says so, zones apart', () => {
  const character = fc.constantFrom('0', '1', 'a', 'F', ':', '::', '.', '1.2.3.4', 'g');
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 12 }), (text) => {
      assert.equal(parseIpv6Address(text) !== undefined, isIPv6(text), text);
    }),
    { numRuns: 2000 },
  );
});
