import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sumBytes } from '../../src/wire/checksum.ts';
import {
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_MAX_QUOTE_BYTES,
  ICMP_PORT_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  IcmpHeader,
  isIcmpError,
  parseIcmp,
  writeIcmpEcho,
  writeIcmpError,
} from '../../src/wire/icmpv4.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const ECHO = hex('08 00 4d56 0001 0005 6162');

test('an echo request is parsed; its header is written with checksum 0', () => {
  const icmp = new IcmpHeader();
  assert.equal(parseIcmp(ECHO, 0, ECHO.length, icmp), undefined);
  assert.deepEqual({ ...icmp }, { type: ICMP_ECHO_REQUEST, code: 0, checksum: 0x4d56, identifier: 1, sequence: 5 });
  const bytes = new Uint8Array(8).fill(0xff);
  writeIcmpEcho(bytes, 0, ICMP_ECHO_REPLY, 0x1234, 0xfffe);
  assert.equal(hexOf(bytes), '000000001234fffe');
});

test('an error quotes the packet and has a valid checksum', () => {
  const bytes = new Uint8Array(100);
  bytes.fill(0x41, 0, 28);
  const length = writeIcmpError(
    bytes,
    40,
    { type: ICMP_DESTINATION_UNREACHABLE, code: ICMP_FRAGMENTATION_NEEDED, mtu: 1400 },
    0,
    28,
  );
  assert.equal(length, 36);
  assert.equal(hexOf(bytes, 44, 4), '00000578');
  assert.equal(hexOf(bytes, 48, 28), '41'.repeat(28));
  assert.equal(sumBytes(bytes, 40, length, 0), 0xffff);
});

test('an error quotes at most what fits into 576 bytes, even over the packet itself', () => {
  const bytes = new Uint8Array(2000).map((_, i) => i * 7);
  const quoted = hexOf(bytes, 28, ICMP_MAX_QUOTE_BYTES);
  const length = writeIcmpError(
    bytes,
    20,
    { type: ICMP_DESTINATION_UNREACHABLE, code: ICMP_PORT_UNREACHABLE, mtu: 0 },
    28,
    1500,
  );
  assert.equal(length, 8 + ICMP_MAX_QUOTE_BYTES);
  assert.equal(hexOf(bytes, 28, ICMP_MAX_QUOTE_BYTES), quoted);
});

test('errors are told from questions and answers', () => {
  assert.deepEqual([ICMP_DESTINATION_UNREACHABLE, ICMP_TIME_EXCEEDED, 4, 5, 12].map(isIcmpError), Array(5).fill(true));
  assert.deepEqual([ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, 13].map(isIcmpError), Array(3).fill(false));
});

test('never throws and never reads past the end', () => {
  assert.equal(parseIcmp(ECHO, 0, 7, new IcmpHeader()), 'icmp-truncated');
  parsesHostileBytes([ECHO], (bytes, at, end) => {
    const icmp = new IcmpHeader();
    return [parseIcmp(bytes, at, end, icmp), { ...icmp }];
  });
});
