import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIpv4Address, parseIpv4Address } from '../../src/wire/ipv4-address.ts';

test('every address has one text, and comes back from it', () => {
  assert.equal(formatIpv4Address(0xc0a841fe), '192.168.65.254');
  fc.assert(
    fc.property(fc.nat({ max: 0xffffffff }), (address) => {
      assert.equal(parseIpv4Address(formatIpv4Address(address)), address);
    }),
  );
});

test('what is not a dotted quad without leading zeros is refused', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1..2.3',
    '1.2.3.-4',
    '::1',
  ]) {
    assert.equal(parseIpv4Address(text), undefined, text);
  }
});
