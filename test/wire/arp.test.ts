import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARP_BYTES, ARP_REQUEST, ArpPacket, parseArp, writeArp } from '../../src/wire/arp.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const REQUEST = hex('0001 0800 06 04 0001 5a94efe40cee c0a84103 000000000000 c0a84101');

test('a request is parsed field by field and written byte for byte', () => {
  const arp = new ArpPacket();
  assert.equal(parseArp(REQUEST, 0, REQUEST.length, arp), undefined);
  assert.deepEqual(
    { ...arp },
    {
      operation: ARP_REQUEST,
      senderMac: 0x5a94efe40cee,
      senderAddress: 0xc0a84103,
      targetMac: 0,
      targetAddress: 0xc0a84101,
    },
  );
  const bytes = new Uint8Array(ARP_BYTES);
  writeArp(bytes, 0, arp);
  assert.equal(hexOf(bytes), hexOf(REQUEST));
});

test('what is short or not IPv4 over Ethernet is refused by name', () => {
  const arp = new ArpPacket();
  assert.equal(parseArp(REQUEST, 0, ARP_BYTES - 1, arp), 'arp-truncated');
  for (const at of [1, 2, 4, 5]) {
    const other = REQUEST.slice();
    other[at] = 9;
    assert.equal(parseArp(other, 0, ARP_BYTES, arp), 'arp-bad-type');
  }
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([REQUEST], (bytes, at, end) => {
    const arp = new ArpPacket();
    return [parseArp(bytes, at, end, arp), { ...arp }];
  });
});
