import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUdp, UDP_HEADER_BYTES, UdpHeader, writeUdp } from '../../src/wire/udp.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const DATAGRAM = hex('c001 0035 000a beef 6869');

test('a header is parsed field by field, and written with checksum 0', () => {
  const udp = new UdpHeader();
  assert.equal(parseUdp(DATAGRAM, 0, DATAGRAM.length, udp), undefined);
  assert.deepEqual({ ...udp }, { sourcePort: 0xc001, destinationPort: 53, length: 10, checksum: 0xbeef });
  const bytes = new Uint8Array(UDP_HEADER_BYTES).fill(0xff);
  writeUdp(bytes, 0, 0xc001, 53, 10);
  assert.equal(hexOf(bytes), 'c0010035000a0000');
});

test('a length below the header or beyond the packet is bad; padding behind is not', () => {
  const udp = new UdpHeader();
  assert.equal(parseUdp(DATAGRAM, 0, 7, udp), 'udp-truncated');
  assert.equal(parseUdp(DATAGRAM, 0, 9, udp), 'udp-bad-length');
  assert.equal(parseUdp(hex('0001 0002 0007 0000'), 0, 8, udp), 'udp-bad-length');
  assert.equal(parseUdp(hex('0001 0002 0008 0000 ffff'), 0, 10, udp), undefined);
  assert.equal(udp.length, 8);
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([DATAGRAM], (bytes, at, end) => {
    const udp = new UdpHeader();
    return [parseUdp(bytes, at, end, udp), { ...udp }];
  });
});
