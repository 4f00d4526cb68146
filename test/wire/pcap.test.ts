import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writePcapFileHeader, writePcapRecordHeader } from '../../src/wire/pcap.ts';
import { hexOf } from '../support/hostile-bytes.ts';

test('the file header says version 2.4, microseconds and Ethernet', () => {
  const bytes = new Uint8Array(24).fill(0xff);
  writePcapFileHeader(bytes, 0, 65_550);
  assert.equal(hexOf(bytes), 'a1b2c3d4 0002 0004 00000000 00000000 0001000e 00000001'.replaceAll(' ', ''));
});

test('a record has its time in seconds and microseconds, and both lengths', () => {
  const bytes = new Uint8Array(16);
  writePcapRecordHeader(bytes, 0, 1_700_000_000_123.5, 96, 1514);
  assert.equal(hexOf(bytes), '6553f100 0001e26c 00000060 000005ea'.replaceAll(' ', ''));
});
