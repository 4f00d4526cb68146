import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BROADCAST_MAC,
  destinationMac,
  ETHERTYPE_ARP,
  etherType,
  isMulticastMac,
  sourceMac,
  writeEthernet,
} from '../../src/wire/ethernet.ts';
import { hexOf } from '../support/hostile-bytes.ts';

test('a header is written byte for byte and read back', () => {
  const bytes = new Uint8Array(16);
  writeEthernet(bytes, 1, BROADCAST_MAC, 0x5a94efe40cee, ETHERTYPE_ARP);
  assert.equal(hexOf(bytes), '00ffffffffffff5a94efe40cee080600');
  assert.equal(destinationMac(bytes, 1), BROADCAST_MAC);
  assert.equal(sourceMac(bytes, 1), 0x5a94efe40cee);
  assert.equal(etherType(bytes, 1), ETHERTYPE_ARP);
});

test('the group bit tells multicast and broadcast from a station', () => {
  assert.deepEqual([0x01005e000001, 0x333300000001, BROADCAST_MAC].map(isMulticastMac), [true, true, true]);
  assert.deepEqual([0x5a94efe40cee, 0x020000000001, 0x00ffffffffff].map(isMulticastMac), [false, false, false]);
});
