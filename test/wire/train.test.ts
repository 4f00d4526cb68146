import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WasmArena } from '../../src/host/memory/arena.ts';
import { readU16, writeU16, writeU32 } from '../../src/wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { ETHERTYPE_IPV4, writeEthernet } from '../../src/wire/ethernet.ts';
import { PROTOCOL_TCP, writeIpv4 } from '../../src/wire/ipv4.ts';
import { seqAdd } from '../../src/wire/seqnum.ts';
import { ACK, PSH, writeTcp } from '../../src/wire/tcp.ts';
import { trainOf } from '../../src/wire/train.ts';
import { ipv4Header } from '../support/ipv4-header.ts';

const SOURCE = 0xc0a84103;
const DESTINATION = 0x5db8d822;
const HEADERS = 54;

/** Writes a run of frames in QEMU's framing at `at`; returns the offset behind the last. */
function writeRun(bytes: Uint8Array, at: number, count: number, textBytes: number, firstSequence: number): number {
  const route = { source: SOURCE, destination: DESTINATION };
  const ip = ipv4Header({ dontFragment: true, ttl: 64, protocol: PROTOCOL_TCP, ...route });
  const tcp = { sourcePort: 40_000, destinationPort: 443, acknowledgment: 7, headerBytes: 20, window: 501 };
  let sequence = firstSequence;
  for (let i = 0; i < count; i++) {
    const frame = at + 4;
    writeU32(bytes, at, HEADERS + textBytes);
    writeEthernet(bytes, frame, 0x5a94efe40cdd, 0x525400123456, ETHERTYPE_IPV4);
    writeIpv4(bytes, frame + 14, { ...ip, totalLength: 40 + textBytes, identification: i });
    writeTcp(bytes, frame + 34, { ...tcp, sequence, flags: i === count - 1 ? ACK | PSH : ACK });
    for (let k = 0; k < textBytes; k++) bytes[frame + HEADERS + k] = (i * 31 + k) & 0xff;
    const pseudo = pseudoHeaderSum(SOURCE, DESTINATION, PROTOCOL_TCP, 20 + textBytes);
    writeU16(bytes, frame + 50, foldedComplement(sumBytes(bytes, frame + 34, 20 + textBytes, pseudo)));
    sequence = seqAdd(sequence, textBytes);
    at = frame + HEADERS + textBytes;
  }
  return at;
}

for (const sequence of [1, 2 ** 32 - 2_000]) {
  test(`a run of in-sequence segments from ${sequence} on is one train`, () => {
    const arena = new WasmArena(65_536);
    const end = writeRun(arena.bytes, 64, 10, 1_000, sequence);
    assert.equal(trainOf(arena.bytes, 68, HEADERS + 1_000, end), 10);
    assert.equal(arena.train(68, HEADERS + 1_000, end), 10);
    assert.equal(arena.train(68, HEADERS + 1_000, end - 1), 9, 'a frame that is cut off is not in it');
  });
}

test('a train ends before a frame with any other byte that matters, and WASM agrees with TypeScript', () => {
  const arena = new WasmArena(65_536);
  const end = writeRun(arena.bytes, 64, 4, 100, 99);
  const stride = 4 + HEADERS + 100;
  const third = 68 + 2 * stride;
  for (let i = -4; i < HEADERS + 100; i++) {
    const kept = arena.bytes[third + i]!;
    arena.bytes[third + i] = kept ^ 0x04;
    const count = arena.train(68, HEADERS + 100, end);
    assert.equal(count, 2, `byte ${i}`);
    assert.equal(trainOf(arena.bytes, 68, HEADERS + 100, end), count);
    arena.bytes[third + i] = kept;
  }
});

test('both give the same for any bytes and read nothing outside', () => {
  const arena = new WasmArena(65_536);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 60 }),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
      fc.nat(20),
      (count, textBytes, edits, cut) => {
        const end = writeRun(arena.bytes, 64, count, textBytes, 5) - cut;
        for (const [at, value] of edits) arena.bytes[64 + at] = value;
        const length = readU16(arena.bytes, 66);
        if (68 + length > end) return;
        const expected = trainOf(arena.bytes, 68, length, end);
        arena.bytes.fill(0xa5, end, end + 200);
        assert.equal(arena.train(68, length, end), expected);
        assert.equal(trainOf(arena.bytes, 68, length, end), expected);
      },
    ),
    { numRuns: 2_000 },
  );
});
