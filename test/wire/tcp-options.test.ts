import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  parseTcpOptions,
  sackOptionBytes,
  TcpOptions,
  writeSackOption,
  writeSynOptions,
} from '../../src/wire/tcp-options.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

/** As Linux sends them. */
const SYN_OPTIONS = hex('0204 05b4 0402 080a 1122 3344 0000 0000 0103 0307');

function parsed(bytes: Uint8Array): { fault: string | undefined; options: TcpOptions } {
  const options = new TcpOptions();
  return { fault: parseTcpOptions(bytes, 0, bytes.length, options), options };
}

test("a Linux SYN's options are all understood", () => {
  const { fault, options } = parsed(SYN_OPTIONS);
  assert.equal(fault, undefined);
  assert.equal(options.mss, 1460);
  assert.equal(options.windowScale, 7);
  assert.equal(options.sackPermitted, true);
  assert.deepEqual([options.timestamps, options.timestampValue, options.timestampEcho], [true, 0x11223344, 0]);
});

test("our SYN's options are padded to words and left out when not wanted", () => {
  const bytes = new Uint8Array(12);
  assert.equal(writeSynOptions(bytes, 0, 1460, 7, true), 12);
  assert.equal(hexOf(bytes), '020405b40101040201030307');
  assert.equal(writeSynOptions(bytes, 0, 1460, -1, false), 4);
  assert.equal(writeSynOptions(bytes, 0, 1460, 0, false), 8);
  assert.equal(parsed(bytes.subarray(0, 8)).options.windowScale, 0);
});

test('SACK blocks are written and read back', () => {
  const u32 = fc.nat({ max: 0xffffffff });
  fc.assert(
    fc.property(fc.array(fc.tuple(u32, u32), { maxLength: 4 }), (blocks) => {
      const left = Uint32Array.from(blocks, ([l]) => l);
      const right = Uint32Array.from(blocks, ([, r]) => r);
      const bytes = new Uint8Array(36);
      const written = writeSackOption(bytes, 0, blocks.length, left, right);
      assert.equal(written, sackOptionBytes(blocks.length));
      assert.equal(written % 4, 0);
      const { fault, options } = parsed(bytes.subarray(0, written));
      assert.equal(fault, undefined);
      assert.equal(options.sackCount, blocks.length);
      assert.deepEqual(options.sackLeft.slice(0, blocks.length), left);
      assert.deepEqual(options.sackRight.slice(0, blocks.length), right);
    }),
  );
});

test('an option with a wrong length is left out, the others count', () => {
  const { fault, options } = parsed(hex('0203 05 0303 0f 0402 00'));
  assert.equal(fault, 'tcp-bad-options');
  assert.deepEqual([options.mss, options.windowScale, options.sackPermitted], [0, 14, true]);
  const { fault: none, options: good } = parsed(hex('fe04 aabb 0303 0f 0402 00 ff'));
  assert.equal(none, undefined);
  assert.deepEqual([good.windowScale, good.sackPermitted], [14, true]);
});

test('a length of 0 or 1, or past the end, ends the list with a fault', () => {
  for (const text of ['0200', '0201', '0204 05', '02', '0101 05', '050b 0000000100000002']) {
    assert.equal(parsed(hex(text)).fault, 'tcp-bad-options', text);
  }
});

test('a record is cleared before it is filled', () => {
  const options = new TcpOptions();
  parseTcpOptions(SYN_OPTIONS, 0, SYN_OPTIONS.length, options);
  parseTcpOptions(SYN_OPTIONS, 0, 0, options);
  assert.deepEqual(options, new TcpOptions());
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([SYN_OPTIONS, hex('0101 050a 00000001 00000002')], (bytes, at, end) => {
    const options = new TcpOptions();
    return [parseTcpOptions(bytes, at, end, options), { ...options }];
  });
});
