import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeU16 } from '../../src/wire/bytes.ts';
import { foldedComplement, sumBytes } from '../../src/wire/checksum.ts';
import { bytesOf, CoreWorld, ipFrame } from '../support/core-world.ts';

const PAYLOAD = bytesOf(12);

/** A frame whose IPv4 header has these options (a multiple of four bytes), and a right checksum. */
function frameWith(...options: readonly number[]): Uint8Array {
  const plain = ipFrame({ payload: PAYLOAD });
  const frame = Uint8Array.from([...plain.subarray(0, 34), ...options, ...plain.subarray(34)]);
  const headerBytes = 20 + options.length;
  frame[14] = 0x40 | (headerBytes >> 2);
  writeU16(frame, 16, headerBytes + PAYLOAD.length);
  writeU16(frame, 24, 0);
  writeU16(frame, 24, foldedComplement(sumBytes(frame, 14, headerBytes, 0)));
  return frame;
}

test('a packet with options is handed up without them', () => {
  const world = new CoreWorld();
  const packets = world.record(17);
  const guest = world.guest();
  const harmless = [
    [1, 1, 1, 1],
    [0, 131, 131, 131],
    [148, 4, 0, 0],
    [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ];
  for (const options of harmless) world.receive(guest, frameWith(...options));
  assert.deepEqual(
    packets.map(({ payload }) => payload),
    harmless.map(() => PAYLOAD),
  );
});

test('source routes are refused, wherever among the options they stand (RFC 7126 §4.3, §4.4)', () => {
  const world = new CoreWorld();
  const packets = world.record(17);
  const guest = world.guest();
  for (const kind of [131, 137]) {
    world.receive(guest, frameWith(kind, 7, 4, 10, 0, 0, 1, 0));
    world.receive(guest, frameWith(1, 148, 4, 0, 0, kind, 3, 4));
  }
  assert.deepEqual(world.counters.snapshot(), { 'ipv4-source-route': 4 });
  assert.equal(packets.length + guest.outlet.count, 0);
});

test('options that lead beyond the header, or nowhere, are refused', () => {
  const world = new CoreWorld();
  const packets = world.record(17);
  const guest = world.guest();
  for (const options of [
    [7, 5, 0, 0],
    [7, 1, 0, 0],
    [7, 0, 0, 0],
    [1, 1, 1, 7],
  ]) {
    world.receive(guest, frameWith(...options));
  }
  assert.deepEqual(world.counters.snapshot(), { 'ipv4-bad-options': 4 });
  assert.equal(packets.length, 0);
});
