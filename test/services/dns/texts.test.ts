import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseResolvConf } from '../../../src/services/dns/forwarder.ts';
import { ipv6Bytes } from '../../../src/services/dns/ipv6-bytes.ts';

test('IPv6 addresses in the forms that getaddrinfo prints', () => {
  const hex = (text: string): string | undefined => {
    const bytes = ipv6Bytes(text);
    return bytes && Buffer.from(bytes).toString('hex');
  };
  assert.equal(hex('::1'), `${'00'.repeat(15)}01`);
  assert.equal(hex('::'), '00'.repeat(16));
  assert.equal(hex('2001:db8::8:800:200c:417a'), '20010db80000000000080800200c417a');
  assert.equal(hex('2001:db8:0:0:8:800:200c:417a'), '20010db80000000000080800200c417a');
  assert.equal(hex('::ffff:192.0.2.1'), '00000000000000000000ffffc0000201');
  assert.equal(hex('fe80::'), `fe80${'00'.repeat(14)}`);
  for (const bad of ['', '1', '1::2::3', ':::', 'fe80::1%eth0', '1:2:3:4:5:6:7:8:9', '12345::', '::1.2.3.300']) {
    assert.equal(hex(bad), undefined, bad);
  }
});

test('the first three nameservers of resolv.conf, IPv6 with its zone too', () => {
  const text =
    '# made by hand\nsearch corp.example\nnameserver 10.0.0.1\nnameserver\tfe80::1%eth0\nnameserver nonsense\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n';
  assert.deepEqual(
    parseResolvConf(text).map(({ address, port }) => `${address} ${port}`),
    ['10.0.0.1 53', 'fe80::1%eth0 53', '10.0.0.2 53'],
  );
});
