import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  asciiFrom,
  latin1From,
  readMac,
  readU16,
  readU32,
  writeLatin1,
  writeMac,
  writeU16,
  writeU32,
} from '../../src/wire/bytes.ts';
import { hex, hexOf } from '../support/hostile-bytes.ts';

test('fields are in network order and unsigned', () => {
  const bytes = hex('00 ffee ddccbbaa');
  assert.equal(readU16(bytes, 1), 0xffee);
  assert.equal(readU32(bytes, 3), 0xddccbbaa);
  assert.equal(readMac(bytes, 1), 0xffeeddccbbaa);
});

test('what is written is read back, and only its own bytes change', () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xffff }), fc.nat({ max: 0xffffffff }), fc.maxSafeNat(), (u16, u32, big) => {
      const mac = big % 2 ** 48;
      const bytes = new Uint8Array(14);
      writeU16(bytes, 1, u16);
      writeU32(bytes, 3, u32);
      writeMac(bytes, 7, mac);
      assert.deepEqual([readU16(bytes, 1), readU32(bytes, 3), readMac(bytes, 7)], [u16, u32, mac]);
      assert.deepEqual([bytes[0], bytes[13]], [0, 0]);
    }),
  );
});

test('Latin-1 text keeps every byte; text for people shows dots', () => {
  const bytes = new Uint8Array(6);
  assert.equal(writeLatin1(bytes, 1, 'a\u00ff\n'), 3);
  assert.equal(hexOf(bytes), '0061ff0a0000');
  assert.equal(latin1From(bytes, 1, 3), 'a\u00ff\n');
  assert.equal(asciiFrom(bytes, 1, 3), 'a..');
});
