import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reverseIpv4Name, reverseIpv6Name } from '../../src/wire/dns-reverse-name.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { parseIpv6Address } from '../../src/wire/ipv6-address.ts';

test('addresses are asked for backwards, IPv4 by octets and IPv6 by four bits', () => {
  assert.equal(reverseIpv4Name(parseIpv4Address('192.168.65.1')!), '1.65.168.192.in-addr.arpa');
  const name = reverseIpv6Name(parseIpv6Address('2001:db8::567:89ab')!);
  // The example of RFC 3596 §2.5 with this prefix.
  assert.equal(name, 'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa');
});
