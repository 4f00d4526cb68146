import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LOOPBACK6 } from '../../src/env/host.ts';
import { parseMappedAddress, readMappedAddress, writeMappedAddress } from '../../src/host/mapped-address.ts';

describe('an address in 16 bytes', () => {
  it('is read as it was written, between bytes that stay', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(0xffffffff), fc.constant(LOOPBACK6)), (address) => {
        const bytes = new Uint8Array(18).fill(7);
        writeMappedAddress(bytes, 1, address);
        assert.equal(readMappedAddress(bytes, 1), address);
        assert.deepEqual([bytes[0], bytes[17]], [7, 7]);
      }),
    );
  });

  it('of other IPv6 has no number, and its text loses the zone', () => {
    assert.equal(readMappedAddress(parseMappedAddress('fe80::1%eth0'), 0), -1);
    assert.equal(readMappedAddress(parseMappedAddress('2001:db8::7f00:1'), 0), -1);
    assert.equal(readMappedAddress(parseMappedAddress('::2'), 0), -1);
    assert.deepEqual([...parseMappedAddress('fe80::1%eth0')].slice(0, 2), [0xfe, 0x80]);
  });

  it('of IPv4 is the same mapped or plain', () => {
    assert.equal(readMappedAddress(parseMappedAddress('192.0.2.1'), 0), 0xc0000201);
    assert.equal(readMappedAddress(parseMappedAddress('::ffff:192.0.2.1'), 0), 0xc0000201);
    assert.equal(readMappedAddress(parseMappedAddress('::1'), 0), LOOPBACK6);
  });
});
