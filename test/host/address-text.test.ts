import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import { hostAddressText, parseHostAddress } from '../../src/host/address-text.ts';

test('host addresses become text and come back', () => {
  assert.equal(hostAddressText(LOOPBACK4), '127.0.0.1');
  assert.equal(hostAddressText(LOOPBACK6), '::1');
  assert.equal(parseHostAddress('::1'), LOOPBACK6);
  assert.equal(parseHostAddress('::ffff:192.0.2.1'), 0xc0000201);
  fc.assert(
    fc.property(fc.nat(0xffffffff), (address) => assert.equal(parseHostAddress(hostAddressText(address)), address)),
  );
});

test('what is no address of the seam is undefined', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2..4', 'fe80::1', '1.2.3.x', '1.2.3.-4']) {
    assert.equal(parseHostAddress(text), undefined, text);
  }
});
