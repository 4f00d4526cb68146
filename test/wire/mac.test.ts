import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatMac, parseMac } from '../../src/wire/mac.ts';

test('every address comes back from its text', () => {
  assert.equal(formatMac(0x0094efe40cee), '00:94:ef:e4:0c:ee');
  fc.assert(
    fc.property(fc.maxSafeNat(), (number) => {
      assert.equal(parseMac(formatMac(number % 2 ** 48)), number % 2 ** 48);
    }),
  );
});

test('capitals and dashes are taken, mixtures and wrong lengths are not', () => {
  assert.equal(parseMac('5A-94-EF-E4-0C-EE'), 0x5a94efe40cee);
  for (const text of [
    '',
    '5a:94:ef:e4:0c',
    '5a:94:ef:e4:0c:ee:00',
    '5a:94-ef:e4:0c:ee',
    '5a94.efe4.0cee',
    '5g:94:ef:e4:0c:ee',
  ]) {
    assert.equal(parseMac(text), undefined, text);
  }
});
