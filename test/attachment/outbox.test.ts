import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Outbox } from '../../src/attachment/outbox.ts';

const SIZE = 1024;
const GUARD = 64;

function make(prefixBytes = 4): { bytes: Uint8Array; outbox: Outbox } {
  const bytes = new Uint8Array(SIZE + 2 * GUARD);
  return { bytes, outbox: new Outbox(bytes, GUARD, SIZE, prefixBytes) };
}

describe('Outbox', () => {
  it('lays a series out with one constant stride', () => {
    const { outbox } = make();
    const series = [outbox.reserve(100), outbox.reserve(100), outbox.reserve(100)];
    assert.deepEqual(series, [GUARD + 4, GUARD + 108, GUARD + 212]);
  });

  it('begins where the last commit ended when a commit was shorter than its reservation', () => {
    const { outbox } = make();
    const at = outbox.reserve(500);
    outbox.reserve(200);
    outbox.commit(at, 60);
    assert.equal(outbox.pendingBytes, 64);
    assert.equal(outbox.reserve(500), GUARD + 64 + 4);
  });

  it('moves a frame up when the one before it was shorter than reserved', () => {
    const { bytes, outbox } = make();
    const first = outbox.reserve(100);
    const second = outbox.reserve(100);
    bytes.fill(7, second, second + 100);
    outbox.commit(first, 40);
    const place = outbox.commit(second, 100);
    assert.equal(place, first + 40 + 4);
    assert.equal(bytes[place], 7);
    assert.equal(bytes[place + 99], 7);
    assert.equal(outbox.pendingBytes, 44 + 104);
  });

  it('gives cancelled reservations back', () => {
    const { outbox } = make();
    const at = outbox.reserve(900);
    outbox.cancel();
    assert.equal(outbox.pendingBytes, 0);
    assert.equal(outbox.reserve(900), at);
  });

  it('refuses a commit that nothing was reserved for', () => {
    const { outbox } = make();
    assert.throws(() => outbox.commit(GUARD + 4, 10), RangeError);
  });

  it('wraps to the front once the front has more room', () => {
    const { outbox } = make();
    const send = (length: number): number => outbox.commit(outbox.reserve(length), length);
    send(396);
    send(396);
    outbox.consume(400);
    assert.equal(send(296), GUARD + 4);
    assert.equal(outbox.chunkAt, GUARD + 400);
    assert.equal(outbox.chunkBytes, 400);
    outbox.consume(400);
    assert.equal(outbox.chunkAt, GUARD);
    assert.equal(outbox.chunkBytes, 300);
  });

  it('sends every committed byte once and in order, whatever the pattern, and never leaves its region', () => {
    const operation = fc.oneof(
      fc.record({
        kind: fc.constant('series' as const),
        length: fc.integer({ min: 1, max: 300 }),
        frames: fc.integer({ min: 1, max: 6 }),
        commits: fc.integer({ min: 0, max: 6 }),
        shorter: fc.integer({ min: 0, max: 300 }),
        cancel: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('send' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const { bytes, outbox } = make(2);
        const expected: number[] = [];
        const sent: number[] = [];
        let next = 1;
        const drain = (limit: number): void => {
          const part = bytes.subarray(outbox.chunkAt, outbox.chunkAt + limit);
          sent.push(...part);
          outbox.consume(limit);
        };
        for (const op of operations) {
          if (op.kind === 'send') {
            drain(Math.floor(outbox.chunkBytes * op.share));
            continue;
          }
          const slots: number[] = [];
          for (let i = 0; i < op.frames; i++) {
            const at = outbox.reserve(op.length);
            if (at < 0) break;
            assert.equal(at, (slots[0] ?? at) + i * (op.length + 2));
            slots.push(at);
          }
          for (const [i, at] of slots.slice(0, op.commits).entries()) {
            const last = i === Math.min(op.commits, slots.length) - 1;
            const length = last ? Math.max(1, op.length - op.shorter) : op.length;
            const value = next++ & 0xff;
            bytes.fill(value, at, at + length);
            const place = outbox.commit(at, length);
            bytes.fill(value, place - 2, place);
            for (let k = 0; k < length + 2; k++) expected.push(value);
          }
          // Who commits nothing owes a cancel; after a commit it changes nothing.
          if (op.cancel || op.commits === 0) outbox.cancel();
          assert.ok(outbox.pendingBytes <= SIZE);
          assert.equal(outbox.pendingBytes, expected.length - sent.length);
        }
        while (outbox.pendingBytes > 0) drain(outbox.chunkBytes);
        assert.deepEqual(sent, expected);
        assert.ok(bytes.subarray(0, GUARD).every((byte) => byte === 0));
        assert.ok(bytes.subarray(GUARD + SIZE).every((byte) => byte === 0));
        assert.ok(outbox.reserve(SIZE - 2) >= 0, 'an empty outbox has room for its whole size');
      }),
    );
  });
});
