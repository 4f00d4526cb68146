import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { arenaWasm, compileArenaWasm } from '../../../scripts/wasm.ts';
import { WasmArena } from '../../../src/host/memory/arena.ts';
import { sumBytes } from '../../../src/wire/checksum.ts';
import { PlainArena } from '../../support/plain-arena.ts';

test('sums agree with the plain ones at every length, place and beginning, whatever lies around', () => {
  const arena = new WasmArena(65_536);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.nat({ max: 130 }),
      fc.nat({ max: 0xffffffff }),
      fc.nat({ max: 255 }),
      (data, at, initial, filler) => {
        arena.bytes.fill(filler, 0, 600);
        arena.bytes.set(data, at);
        assert.equal(arena.sum(at, data.length, initial), sumBytes(data, 0, data.length, initial));
      },
    ),
    { numRuns: 2000 },
  );
});

test('sums of zeros, of ones and of a whole arena are right', () => {
  const arena = new WasmArena(4 * 2 ** 20);
  const all = arena.bytes.length;
  assert.equal(arena.sum(0, all, 0), 0);
  assert.equal(arena.sum(0, 0, 0), 0);
  assert.equal(arena.sum(7, 0, 0xffffffff), 0xffff);
  arena.bytes.fill(0xff);
  assert.equal(arena.sum(0, all, 0xffffffff), 0xffff);
  assert.equal(arena.sum(1, all - 1, 1), sumBytes(arena.bytes, 1, all - 1, 1));
  for (let i = 0; i < all; i++) arena.bytes[i] = (i * 31) ^ (i >> 9);
  for (const [at, length] of [
    [0, all],
    [3, 65_535],
    [all - 1, 1],
    [all - 63, 63],
    [1, 300_001],
  ] as const) {
    assert.equal(arena.sum(at, length, 5), sumBytes(arena.bytes, at, length, 5));
  }
});

test('sums are right where every word is the same extreme, or extremes alternate, at lengths around the block', () => {
  const arena = new WasmArena(512 * 1024);
  const words = [0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff, 0xff00, 0x00ff, 0x0100, 0];
  const lengths = [127, 128, 129, 255, 256, 1024, 65_480, 65_536, 131_071, 131_072, 131_073, 131_200, 262_145, 400_003];
  for (const first of words) {
    for (const [place, other] of [
      [1, first],
      [4, 0xffff],
      [4, 0],
      [8, 0x8000],
    ] as const) {
      for (let i = 0; i < arena.bytes.length; i += 2) {
        arena.view.setUint16(i, Math.trunc(i / 2) % place === place - 1 ? other : first);
      }
      for (const length of lengths) {
        const said = `${length} bytes of ${first}, ${other} at each ${place}.`;
        for (const at of [0, 2, 65]) {
          assert.equal(arena.sum(at, length, 0), sumBytes(arena.bytes, at, length, 0), said);
        }
      }
    }
  }
});

for (const [name, make] of [
  ['WasmArena', () => new WasmArena(65_536)],
  ['PlainArena', () => new PlainArena(65_536)],
] as const) {
  test(`${name} sets aside cache lines that never overlap, never offset 0, until it is full`, () => {
    const arena = make();
    const first = arena.allocate(1);
    const second = arena.allocate(65);
    const third = arena.allocate(64);
    assert.ok(first > 0);
    assert.deepEqual([first % 64, second - first, third - second], [0, 64, 128]);
    assert.equal(arena.allocate(65_536), -1);
    assert.equal(arena.allocate(65_536 - third - 64), third + 64);
    assert.equal(arena.allocate(1), -1);
    assert.equal(arena.bytes.buffer, arena.view.buffer);
  });
}

test('the size is rounded up to pages, and an impossible one is refused', () => {
  assert.equal(new WasmArena(65_537).baseBuffer.byteLength, 131_072);
  for (const size of [0, -1, 2 ** 31, Number.NaN]) assert.throws(() => new WasmArena(size), RangeError);
});

test('the routine in dist is what its source compiles to', () => {
  const folder = mkdtempSync(path.join(path.dirname(arenaWasm), '.rebuilt-'));
  try {
    const rebuilt = path.join(folder, 'arena.wasm');
    compileArenaWasm(rebuilt);
    assert.deepEqual(readFileSync(rebuilt), readFileSync(arenaWasm));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
