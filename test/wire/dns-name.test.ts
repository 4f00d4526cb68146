import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DnsName, dnsNameKey, parseDnsName, writeDnsName } from '../../src/wire/dns-name.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

function parsed(bytes: Uint8Array, at: number): string | [string, number] {
  const name = new DnsName();
  return parseDnsName(bytes, 0, at, bytes.length, name) ?? [name.text, name.nextAt];
}

/** RFC 1035 §4.1.4: F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA and the root, here from 20 on. */
const EXAMPLE = hex(`${'00'.repeat(20)} 0146 03495349 0441525041 00 03464f4f c014 c01a 00`);

test('names and pointers of RFC 1035 §4.1.4', () => {
  assert.deepEqual(parsed(EXAMPLE, 20), ['F.ISI.ARPA', 32]);
  assert.deepEqual(parsed(EXAMPLE, 32), ['FOO.F.ISI.ARPA', 38]);
  assert.deepEqual(parsed(EXAMPLE, 38), ['ARPA', 40]);
  assert.deepEqual(parsed(EXAMPLE, 40), ['', 41]);
});

test('pointers that do not go back are refused, so no name is endless', () => {
  assert.equal(parsed(hex('c000'), 0), 'dns-bad-pointer');
  assert.equal(parsed(hex('c002 c000'), 2), 'dns-bad-pointer');
  assert.equal(parsed(hex('0161 c000'), 0), 'dns-bad-pointer');
  assert.equal(parsed(hex('c004 0000 00'), 0), 'dns-bad-pointer');
});

test('cut off, too long and unknown labels each have their word', () => {
  assert.equal(parsed(hex(''), 0), 'dns-name-truncated');
  assert.equal(parsed(hex('0361 62'), 0), 'dns-name-truncated');
  assert.equal(parsed(hex('0161'), 0), 'dns-name-truncated');
  assert.equal(parsed(hex('c0'), 0), 'dns-name-truncated');
  assert.equal(parsed(hex('40 00'), 0), 'dns-bad-label');
  assert.equal(parsed(hex('80 00'), 0), 'dns-bad-label');
  assert.equal(parsed(hex(`${`3f${'61'.repeat(63)}`.repeat(4)}00`), 0), 'dns-name-too-long');
});

test('odd octets are escaped and come back', () => {
  const bytes = hex('04 61 2e 5c 00 02 ff 20 00');
  assert.deepEqual(parsed(bytes, 0), ['a\\.\\\\\\000.\\255\\032', 9]);
  const copy = new Uint8Array(9);
  assert.equal(writeDnsName(copy, 0, 9, 'a\\.\\\\\\000.\\255\\032'), 9);
  assert.equal(hexOf(copy), hexOf(bytes));
});

test('every name comes back from its octets', () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 12 }), (labels) => {
      const wire = Uint8Array.from([...labels.flatMap((octets) => [octets.length, ...octets]), 0]);
      const result = parsed(wire, 0);
      assert.ok(typeof result !== 'string');
      const copy = new Uint8Array(wire.length);
      assert.equal(writeDnsName(copy, 0, copy.length, result[0]), wire.length);
      assert.equal(hexOf(copy), hexOf(wire));
    }),
  );
});

test('text that is no name is refused, and so is one without room', () => {
  const bytes = new Uint8Array(300);
  for (const text of ['..', 'a..b', '.a', 'a'.repeat(64), `${'abcdefg.'.repeat(32)}a`, 'a\\', 'a\\999', '\u0100']) {
    assert.equal(writeDnsName(bytes, 0, 300, text), -1, text);
  }
  assert.equal(writeDnsName(bytes, 0, 4, 'abc'), -1);
  assert.equal(writeDnsName(bytes, 0, 5, 'abc.'), 5);
  assert.equal(writeDnsName(bytes, 0, 1, ''), 1);
});

test('names are compared without regard to ASCII case and the last dot', () => {
  assert.equal(dnsNameKey('Host.DOCKER.Internal.'), 'host.docker.internal');
  assert.equal(dnsNameKey('a\\.'), 'a\\.');
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([EXAMPLE], (bytes, at, end) =>
    [0, 20, 32, 38].map((offset) => {
      const name = new DnsName();
      return parseDnsName(bytes, at, at + offset, end, name) ?? { ...name };
    }),
  );
});
