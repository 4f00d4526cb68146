import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Ipv4Header,
  ipv4ChecksumValid,
  isLoopbackIpv4,
  isMulticastIpv4,
  PROTOCOL_UDP,
  parseIpv4,
  writeIpv4,
} from '../../src/wire/ipv4.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';
import { ipv4Header } from '../support/ipv4-header.ts';

const HEADER = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
const PACKET = new Uint8Array(0x73);
PACKET.set(HEADER);

test('a header is parsed field by field and written byte for byte, checksum included', () => {
  const ip = new Ipv4Header();
  assert.equal(parseIpv4(PACKET, 0, PACKET.length, ip), undefined);
  assert.deepEqual(
    { ...ip },
    {
      headerBytes: 20,
      totalLength: 0x73,
      identification: 0,
      dontFragment: true,
      tos: 0,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol: PROTOCOL_UDP,
      checksum: 0xb861,
      source: 0xc0a80001,
      destination: 0xc0a800c7,
    },
  );
  const bytes = new Uint8Array(20);
  writeIpv4(bytes, 0, ip);
  assert.equal(hexOf(bytes), hexOf(HEADER));
});

test('what is written parses back and its checksum is valid; one changed bit is noticed', () => {
  const u8 = fc.nat({ max: 255 });
  const u16 = fc.nat({ max: 0xffff });
  const u32 = fc.nat({ max: 0xffffffff });
  fc.assert(
    fc.property(u16, u16, u8, u8, u32, u32, fc.nat({ max: 159 }), (id, flags, ttl, protocol, source, target, bit) => {
      const bytes = new Uint8Array(20);
      const said = {
        totalLength: 20,
        identification: id,
        flagsAndOffset: flags,
        ttl,
        protocol,
        source,
        destination: target,
      };
      writeIpv4(bytes, 0, ipv4Header(said));
      assert.ok(ipv4ChecksumValid(bytes, 0, 20));
      const ip = new Ipv4Header();
      assert.equal(parseIpv4(bytes, 0, 20, ip), undefined);
      assert.deepEqual(
        [ip.identification, ip.ttl, ip.protocol, ip.source, ip.destination, ip.fragmentOffset, ip.moreFragments],
        [id, ttl, protocol, source, target, (flags & 0x1fff) * 8, (flags & 0x2000) !== 0],
      );
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      assert.ok(!ipv4ChecksumValid(bytes, 0, 20));
    }),
  );
});

test('each fault has its word', () => {
  const ip = new Ipv4Header();
  const changed = (at: number, value: number): Uint8Array => {
    const copy = PACKET.slice();
    copy[at] = value;
    return copy;
  };
  assert.equal(parseIpv4(PACKET, 0, 19, ip), 'ipv4-truncated');
  assert.equal(parseIpv4(changed(0, 0x65), 0, PACKET.length, ip), 'ipv4-bad-version');
  assert.equal(parseIpv4(changed(0, 0x44), 0, PACKET.length, ip), 'ipv4-bad-header-length');
  assert.equal(parseIpv4(changed(0, 0x46), 0, 20, ip), 'ipv4-bad-header-length');
  assert.equal(parseIpv4(changed(3, 19), 0, PACKET.length, ip), 'ipv4-bad-total-length');
  assert.equal(parseIpv4(PACKET, 0, PACKET.length - 1, ip), 'ipv4-bad-total-length');
});

test('multicast and loopback ranges', () => {
  assert.deepEqual([0xdfffffff, 0xe0000000, 0xefffffff, 0xf0000000].map(isMulticastIpv4), [false, true, true, false]);
  assert.deepEqual([0x7effffff, 0x7f000001, 0x7fffffff, 0x80000000].map(isLoopbackIpv4), [false, true, true, false]);
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes([PACKET], (bytes, at, end) => {
    const ip = new Ipv4Header();
    return [parseIpv4(bytes, at, end, ip), { ...ip }];
  });
});
