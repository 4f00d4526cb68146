import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { textFromUtf8, utf8From } from '../../src/wire/utf8.ts';
import { hex } from '../support/hostile-bytes.ts';

test('text is encoded as the platform encodes it, lone surrogates included', () => {
  const unit = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\ud800', '\udfff', '\u07ff', '\u0800', '\uffff', '😀'),
  );
  fc.assert(
    fc.property(fc.array(unit), (units) => {
      const text = units.join('');
      assert.deepEqual(utf8From(text), [...new TextEncoder().encode(text)]);
    }),
  );
});

test('what was encoded is decoded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const octets = Uint8Array.from([0xff, ...utf8From(text), 0xff]);
      assert.equal(textFromUtf8(octets, 1, octets.length - 1), text);
    }),
  );
});

test('octets that are no character become U+FFFD one by one', () => {
  for (const [octets, text] of [
    ['80', '\ufffd'],
    ['c080', '\ufffd\ufffd'],
    ['c3', '\ufffd'],
    ['e08080', '\ufffd\ufffd\ufffd'],
    ['eda080', '\ufffd\ufffd\ufffd'],
    ['f0808080', '\ufffd\ufffd\ufffd\ufffd'],
    ['f4908080', '\ufffd\ufffd\ufffd\ufffd'],
    ['f5', '\ufffd'],
    ['61e28261', 'a\ufffd\ufffda'],
  ] as const) {
    assert.equal(textFromUtf8(hex(octets), 0, octets.length / 2), text, octets);
  }
});

test('arbitrary octets never throw', () => {
  fc.assert(fc.property(fc.uint8Array(), (octets) => typeof textFromUtf8(octets, 0, octets.length) === 'string'));
});
