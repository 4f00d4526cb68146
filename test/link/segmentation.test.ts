import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Frame } from '../../src/link/frame.ts';
import { SoftwareSegmentation } from '../../src/link/segmentation.ts';
import { readU16, readU32, writeU16, writeU32 } from '../../src/wire/bytes.ts';
import { fold, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { ipv4ChecksumValid } from '../../src/wire/ipv4.ts';
import { bytesOf, ethernetFrame, GUEST, ipFrame, l4ChecksumValid, OUTSIDE } from '../support/core-world.ts';
import { PlainArena } from '../support/plain-arena.ts';
import { type RecordedFrame, RecordingOutlet, type RecordingOutletOptions } from '../support/recording-outlet.ts';

const FLAGS_CWR_ACK_PSH_FIN = 0x80 | 0x10 | 0x08 | 0x01;

function tcpSegment(sequence: number, payload: Uint8Array, flags = FLAGS_CWR_ACK_PSH_FIN): Uint8Array {
  const segment = new Uint8Array(32 + payload.length);
  writeU32(segment, 4, sequence);
  segment[12] = 8 << 4;
  segment[13] = flags;
  segment.set([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], 20);
  segment.set(payload, 32);
  writeU16(segment, 16, fold(pseudoHeaderSum(GUEST, OUTSIDE, 6, segment.length)));
  return segment;
}

function run(bytes: Uint8Array, facts: Partial<Frame>, options?: RecordingOutletOptions): [unknown, RecordedFrame[]] {
  const arena = new PlainArena(6 * 1024 * 1024);
  const outlet = new RecordingOutlet(arena, options);
  const at = arena.allocate(70_000);
  arena.bytes.set(bytes, at);
  const frame = Object.assign(new Frame(), { at, length: bytes.length }, facts);
  return [new SoftwareSegmentation(arena).send(frame, outlet), outlet.take()];
}

test('TCP over IPv4 is cut at the gso size: numbers run on, FIN and PSH close the last, CWR opens the first', () => {
  const payload = bytesOf(4000);
  const segment = tcpSegment(0xffff_fc00, payload);
  const whole = ipFrame({ protocol: 6, payload: segment, identification: 0xffff });
  const [sent, frames] = run(whole, { gsoSize: 1448, gsoType: 'tcp4', needsChecksum: true });
  assert.equal(sent, 3);
  const data: number[] = [];
  for (const [i, { bytes }] of frames.entries()) {
    assert.ok(ipv4ChecksumValid(bytes, 14, 20), `IP checksum of segment ${i}`);
    assert.ok(l4ChecksumValid(bytes), `TCP checksum of segment ${i}`);
    assert.equal(readU16(bytes, 16), bytes.length - 14);
    assert.equal(readU16(bytes, 18), (0xffff + i) & 0xffff);
    assert.equal(readU32(bytes, 38), (0xffff_fc00 + 1448 * i) >>> 0);
    data.push(...bytes.subarray(66));
  }
  assert.deepEqual(
    frames.map(({ bytes }) => bytes[47]),
    [0x90, 0x10, 0x19],
  );
  assert.deepEqual(Uint8Array.from(data), payload);
});

test('UDP is cut into datagrams of the gso size, each with its own length and checksum', () => {
  const datagram = new Uint8Array(8 + 2500);
  datagram.set(bytesOf(2500), 8);
  writeU16(datagram, 4, datagram.length);
  const [sent, frames] = run(ipFrame({ protocol: 17, payload: datagram }), { gsoSize: 1000, gsoType: 'udp' });
  assert.equal(sent, 3);
  assert.deepEqual(
    frames.map(({ bytes }) => readU16(bytes, 38)),
    [1008, 1008, 508],
  );
  assert.ok(frames.every(({ bytes }) => l4ChecksumValid(bytes)));
});

test('TCP over IPv6 is cut at the gso size', () => {
  const segment = tcpSegment(7, bytesOf(3000), 0x18);
  const packet = new Uint8Array(40 + segment.length);
  packet.set([0x60, 0, 0, 0, segment.length >>> 8, segment.length & 0xff, 6, 64]);
  packet.set(bytesOf(32, 9), 8);
  packet.set(segment, 40);
  const [sent, frames] = run(ethernetFrame(1, 2, 0x86dd, packet), { gsoSize: 1428, gsoType: 'tcp6' });
  assert.equal(sent, 3);
  for (const { bytes } of frames) {
    const length = readU16(bytes, 18);
    assert.equal(length, bytes.length - 54);
    assert.equal(sumBytes(bytes, 54, length, sumBytes(bytes, 22, 32, 0) + 6 + length), 0xffff);
  }
});

test('a frame that lacks only its checksum gets it', () => {
  const whole = ipFrame({ protocol: 6, payload: tcpSegment(1, bytesOf(33)) });
  const [sent, frames] = run(whole, { needsChecksum: true, checksumStart: 34, checksumOffset: 16 });
  assert.equal(sent, 1);
  assert.ok(l4ChecksumValid(frames[0]!.bytes));
  assert.equal(frames[0]!.needsChecksum, false);
});

test('segments wider than the MTU are refused, and a full outlet ends the run', () => {
  const whole = ipFrame({ protocol: 6, payload: tcpSegment(1, bytesOf(4000)) });
  assert.deepEqual(run(whole, { gsoSize: 1449, gsoType: 'tcp4' }), ['switch-frame-too-big', []]);
  const [sent, frames] = run(whole, { gsoSize: 1000, gsoType: 'tcp4' }, { capacity: 2 });
  assert.equal(sent, 'switch-port-full');
  assert.equal(frames.length, 2);
});

test('offload facts that disagree with the bytes never throw and never read outside', () => {
  const seeds = [ipFrame({ protocol: 6, payload: tcpSegment(1, bytesOf(400)) }), ipFrame({ payload: bytesOf(400) })];
  const facts = fc.record({
    gsoSize: fc.nat({ max: 2000 }),
    gsoType: fc.constantFrom('none' as const, 'tcp4' as const, 'tcp6' as const, 'udp' as const),
    checksumStart: fc.nat({ max: 600 }),
    checksumOffset: fc.nat({ max: 600 }),
  });
  const arena = new PlainArena(6 * 1024 * 1024);
  const outlet = new RecordingOutlet(arena);
  const at = arena.allocate(70_000);
  const segmentation = new SoftwareSegmentation(arena);
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.nat({ max: 500 }),
      fc.nat(),
      fc.nat({ max: 255 }),
      facts,
      (seed, keep, where, value, f) => {
        const bytes = seed.slice(0, Math.max(14, keep));
        bytes[where % bytes.length] = value;
        arena.bytes.set(bytes, at);
        const sent = segmentation.send(
          Object.assign(new Frame(), { at, length: bytes.length, needsChecksum: true }, f),
          outlet,
        );
        const count = outlet.take().length;
        assert.ok(typeof sent === 'string' ? count === 0 : count === sent);
      },
    ),
  );
});
