import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACK, PSH, parseTcp, SYN, TcpHeader, writeTcp } from '../../src/wire/tcp.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const SEGMENT = hex('9c40 01bb fffffffe 80000001 60 18 ffff 1234 0007 0204 05b4 6869');

test('a header is parsed field by field', () => {
  const tcp = new TcpHeader();
  assert.equal(parseTcp(SEGMENT, 0, SEGMENT.length, tcp), undefined);
  assert.deepEqual(
    { ...tcp },
    {
      sourcePort: 40000,
      destinationPort: 443,
      sequence: 0xfffffffe,
      acknowledgment: 0x80000001,
      headerBytes: 24,
      flags: ACK | PSH,
      window: 0xffff,
      checksum: 0x1234,
      urgent: 7,
    },
  );
});

test('a header is written byte for byte, checksum and urgent pointer 0', () => {
  const bytes = new Uint8Array(20).fill(0xff);
  writeTcp(bytes, 0, {
    sourcePort: 40000,
    destinationPort: 443,
    sequence: 0xfffffffe,
    acknowledgment: 0x80000001,
    headerBytes: 60,
    flags: SYN | ACK,
    window: 0x1234,
  });
  assert.equal(hexOf(bytes), '9c4001bbfffffffe80000001f01212340000'.concat('0000'));
});

test('a data offset below five words or beyond the segment is bad', () => {
  const tcp = new TcpHeader();
  assert.equal(parseTcp(SEGMENT, 0, 19, tcp), 'tcp-truncated');
  assert.equal(parseTcp(SEGMENT, 0, 23, tcp), 'tcp-bad-header-length');
  const short = SEGMENT.slice();
  short[12] = 0x40;
  assert.equal(parseTcp(short, 0, short.length, tcp), 'tcp-bad-header-length');
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([SEGMENT], (bytes, at, end) => {
    const tcp = new TcpHeader();
    return [parseTcp(bytes, at, end, tcp), { ...tcp }];
  });
});
