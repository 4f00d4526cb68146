import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  DnsName,
  dnsLabels,
  dnsNameKey,
  encodeDnsName,
  parseDnsName,
  skipDnsName,
  writeDnsName,
} from '../../src/wire/dns-name.ts';
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

test('labels of 63 and names of 255 octets are the longest', () => {
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  const bytes = new Uint8Array(300);
  assert.equal(writeDnsName(bytes, 0, 300, longest), 255);
  assert.deepEqual(parsed(bytes, 0), [longest, 255]);
  assert.equal(writeDnsName(bytes, 0, 300, `${longest}.`), 255);
  assert.equal(writeDnsName(bytes, 0, 300, `${longest}d`), -1);
  assert.equal(writeDnsName(bytes, 0, 300, `${longest}.e`), -1);
});

test('a name that is refused leaves the bytes as they were', () => {
  const bytes = new Uint8Array(20).fill(7);
  assert.equal(writeDnsName(bytes, 0, 20, 'abc..d'), -1);
  assert.equal(writeDnsName(bytes, 0, 4, 'abc.d'), -1);
  assert.ok(bytes.every((byte) => byte === 7));
});

test('the octets of each label, without escapes', () => {
  assert.deepEqual(dnsLabels('a\\.b.\\255\\c'), [
    [0x61, 0x2e, 0x62],
    [255, 0x63],
  ]);
  assert.deepEqual(dnsLabels('.'), []);
  assert.deepEqual(dnsLabels(''), []);
  assert.equal(dnsLabels('a\\1b'), undefined);
});

test('any text is refused or stands for a name that is read back', () => {
  const character = fc.constantFrom('a', 'Z', '.', '\\', '0', '9', '2', ' ', 'é', 'ā', '\0');
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 40 }), (text) => {
      const bytes = new Uint8Array(255);
      const length = encodeDnsName(text, bytes);
      if (length < 0) return;
      const result = parsed(bytes, 0);
      assert.ok(typeof result !== 'string');
      assert.equal(result[1], length);
      const copy = new Uint8Array(255);
      assert.equal(encodeDnsName(result[0], copy), length);
      assert.equal(hexOf(copy, 0, length), hexOf(bytes, 0, length));
    }),
  );
});

test('names are compared without regard to ASCII case and the last dot', () => {
  assert.equal(dnsNameKey('Host.DOCKER.Internal.'), 'host.docker.internal');
  assert.equal(dnsNameKey('host.docker.internal'), 'host.docker.internal');
  assert.equal(dnsNameKey('.'), '');
  assert.equal(dnsNameKey(''), '');
  assert.equal(dnsNameKey('ÄB'), 'Äb');
});

test('an escaped dot at the end belongs to the label, one behind an escaped backslash does not', () => {
  assert.equal(dnsNameKey('a\\.'), 'a\\.');
  assert.equal(dnsNameKey('a\\\\.'), 'a\\\\');
  assert.equal(dnsNameKey('a\\\\\\.'), 'a\\\\\\.');
});

test('a name is passed over where it can be parsed, to the same place', () => {
  const part = fc.oneof(
    fc.nat({ max: 8 }).map((length) => [length, ...new Array<number>(length).fill(0x61)]),
    fc.nat({ max: 30 }).map((target) => [0xc0, target]),
    fc.nat({ max: 255 }).map((byte) => [byte]),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.nat({ max: 20 }), (parts, at) => {
      const bytes = Uint8Array.from(parts.flat());
      const result = parsed(bytes, at);
      const nextAt = skipDnsName(bytes, 0, at, bytes.length);
      if (typeof result !== 'string') assert.equal(nextAt, result[1]);
      // A fault behind the pointer is not looked for; every other one is the same.
      if (nextAt < 0) assert.equal(typeof result, 'string');
    }),
    { numRuns: 1000 },
  );
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([EXAMPLE], (bytes, at, end) =>
    [0, 20, 32, 38].map((offset) => {
      const name = new DnsName();
      return [parseDnsName(bytes, at, at + offset, end, name) ?? { ...name }, skipDnsName(bytes, at, at + offset, end)];
    }),
  );
});
