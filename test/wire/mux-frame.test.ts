import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  MUX_CLOSE,
  MUX_DATA,
  MUX_OPEN,
  MUX_REASON,
  MUX_SHUTDOWN,
  MUX_WINDOW,
  type MuxDestination,
  muxBare,
  muxData,
  muxHeaderBytes,
  muxOpen,
  muxReason,
  muxWindow,
  parseMuxFrame,
} from '../../src/wire/mux-frame.ts';

/** The inputs of vpnkit's own tests (go/test_inputs). */
const GOLDEN = {
  close: '07 00 02 06 00 00 00',
  shutdown: '07 00 03 07 00 00 00',
  data: '0b 00 04 08 00 00 00 80 00 00 00',
  window: '0f 00 05 09 00 00 00 38 a2 87 00 00 00 00 00',
  dedicated: '11 00 01 04 00 00 00 01 01 04 00 7f 00 00 01 90 1f',
  udp: `1d 00 01 05 00 00 00 02 02 10 00 ${'00 '.repeat(16)}90 1f`,
  unix: '13 00 01 05 00 00 00 02 03 08 00 2f 74 6d 70 2f 66 6f 6f',
};

function octets(hex: string): Uint8Array {
  return Uint8Array.from(hex.trim().split(/\s+/), (octet) => Number.parseInt(octet, 16));
}

function parse(bytes: Uint8Array): ReturnType<typeof parseMuxFrame> {
  assert.equal(muxHeaderBytes(bytes, 0, bytes.length), bytes.length);
  return parseMuxFrame(bytes, 0, bytes.length);
}

test('the frames of vpnkit are read as vpnkit reads them', () => {
  assert.deepEqual(parse(octets(GOLDEN.close)), { command: MUX_CLOSE, channel: 6 });
  assert.deepEqual(parse(octets(GOLDEN.shutdown)), { command: MUX_SHUTDOWN, channel: 7 });
  assert.deepEqual(parse(octets(GOLDEN.data)), { command: MUX_DATA, channel: 8, payloadBytes: 128 });
  assert.deepEqual(parse(octets(GOLDEN.window)), { command: MUX_WINDOW, channel: 9, end: 8_888_888 });
  assert.equal(parse(octets(GOLDEN.dedicated)), 'mux-dedicated-channel');
  const any: MuxDestination = { protocol: 'udp', address: new Uint8Array(16), port: 8080 };
  assert.deepEqual(parse(octets(GOLDEN.udp)), { command: MUX_OPEN, channel: 5, destination: any });
  const path: MuxDestination = { protocol: 'unix', path: '/tmp/foo' };
  assert.deepEqual(parse(octets(GOLDEN.unix)), { command: MUX_OPEN, channel: 5, destination: path });
});

test('frames are written octet for octet as vpnkit writes them', () => {
  assert.deepEqual(muxBare(MUX_CLOSE, 6), octets(GOLDEN.close));
  assert.deepEqual(muxBare(MUX_SHUTDOWN, 7), octets(GOLDEN.shutdown));
  assert.deepEqual(muxData(8, 128), octets(GOLDEN.data));
  assert.deepEqual(muxWindow(9, 8_888_888), octets(GOLDEN.window));
  assert.deepEqual(muxOpen(5, { protocol: 'udp', address: new Uint8Array(16), port: 8080 }), octets(GOLDEN.udp));
  assert.deepEqual(muxOpen(5, { protocol: 'unix', path: '/tmp/foo' }), octets(GOLDEN.unix));
});

test('an IPv4 address that is written as an IPv6 one is an IPv4 address', () => {
  const mapped = octets('1d 00 01 00 00 00 00 02 01 10 00 00 00 00 00 00 00 00 00 00 00 ff ff 7f 00 00 01 50 00');
  const destination: MuxDestination = { protocol: 'tcp', address: Uint8Array.of(127, 0, 0, 1), port: 80 };
  assert.deepEqual(parse(mapped), { command: MUX_OPEN, channel: 0, destination });
});

test('a window above 4 GiB keeps all its digits', () => {
  const end = 5 * 2 ** 40 + 7;
  assert.deepEqual(parse(muxWindow(1, end)), { command: MUX_WINDOW, channel: 1, end });
});

test('a reason carries its word and its text; an unknown one is a failure', () => {
  const frame = muxReason(3, 'refused', 'nothing listens at 172.17.0.2:80');
  const read = { command: MUX_REASON, channel: 3, reason: 'refused', text: 'nothing listens at 172.17.0.2:80' };
  assert.deepEqual(parse(frame), read);
  frame[7] = 200;
  assert.deepEqual(parse(frame), { ...read, reason: 'failed' });
});

test('a header that is impossibly short or long, and an unknown command, are faults', () => {
  assert.equal(muxHeaderBytes(octets('06 00'), 0, 2), 'mux-bad-length');
  assert.equal(muxHeaderBytes(octets('01 04'), 0, 2), 'mux-bad-length');
  assert.equal(muxHeaderBytes(octets('07'), 0, 1), undefined);
  assert.equal(parse(octets('07 00 06 00 00 00 00')), 'mux-unknown-command');
  assert.equal(parse(octets('0d 00 01 00 00 00 00 02 03 ff 00 2f 74')), 'mux-bad-destination');
  assert.equal(parse(octets('11 00 01 00 00 00 00 02 09 04 00 7f 00 00 01 50 00')), 'mux-unknown-protocol');
});

test('no header makes the reader throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 7, maxLength: 64 }), (bytes) => {
      parseMuxFrame(bytes, 0, bytes.length);
    }),
  );
});
