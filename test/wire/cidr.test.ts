import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cidrContains, cidrOf, firstHost, formatCidr, lastHost, maskOf, parseCidr } from '../../src/wire/cidr.ts';

test('a /24 has its parts', () => {
  const cidr = parseCidr('192.168.65.7/24')!;
  assert.deepEqual(cidr, { network: 0xc0a84100, prefix: 24, mask: 0xffffff00, broadcast: 0xc0a841ff });
  assert.equal(formatCidr(cidr), '192.168.65.0/24');
  assert.deepEqual([firstHost(cidr), lastHost(cidr)], [0xc0a84101, 0xc0a841fe]);
});

test('the widest and the narrowest ranges work', () => {
  assert.deepEqual(parseCidr('0.0.0.0/0'), { network: 0, prefix: 0, mask: 0, broadcast: 0xffffffff });
  const one = parseCidr('10.0.0.9/32')!;
  assert.deepEqual([one.mask, firstHost(one), lastHost(one)], [0xffffffff, 0x0a000009, 0x0a000009]);
  const pair = parseCidr('10.0.0.8/31')!;
  assert.deepEqual([firstHost(pair), lastHost(pair)], [0x0a000008, 0x0a000009]);
  assert.equal(maskOf(1), 0x80000000);
});

test('an address is in the range exactly when it lies between its ends', () => {
  const u32 = fc.nat({ max: 0xffffffff });
  fc.assert(
    fc.property(u32, u32, fc.nat({ max: 32 }), (base, address, prefix) => {
      const cidr = cidrOf(base, prefix);
      assert.equal(cidrContains(cidr, address), address >= cidr.network && address <= cidr.broadcast);
      assert.ok(cidrContains(cidr, base));
      assert.equal(cidr.broadcast - cidr.network + 1, 2 ** (32 - prefix));
    }),
  );
});

test('what is no range is refused', () => {
  for (const text of [
    '',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0/8',
    '/8',
    '10.0.0.0/8/8',
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});
