import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ReverseNames } from '../../../../src/services/dns/zones/reverse-names.ts';
import type { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { cidrContains, cidrOf, parseCidr } from '../../../../src/wire/cidr.ts';
import { formatIpv4Address } from '../../../../src/wire/ipv4-address.ts';
import { a, ask, builtInStore } from './asking.ts';

function reverse(address: string): string {
  return `${address.split('.').toReversed().join('.')}.in-addr.arpa`;
}

/** The name, 'NXDOMAIN' or 'NOERROR', or undefined for what is not ours. */
function pointer(zones: ZoneStore, address: string): string | undefined {
  const said = ask(zones, reverse(address), 'PTR');
  if (said !== undefined && said.answer.length === 0) assert.match(said.authority[0] ?? '', /in-addr\.arpa \d+ SOA /);
  return said?.answer[0]?.split(' ').at(-1) ?? said?.rcode;
}

describe('PTR of the subnet', () => {
  test('tells the first name of an address, the built-in ones before all', () => {
    const zones = builtInStore('192.168.65.0/24', ['my.mac']);
    zones.setZone({
      name: 'dev.example',
      defaultAddress: parseCidr('192.168.65.77/32')!.network,
      records: [
        { name: 'api', data: a('192.168.65.1') },
        { name: 'first', data: a('192.168.65.50') },
        { name: 'second', data: a('192.168.65.50') },
        { name: '*.wild', data: a('192.168.65.60') },
        { name: 'far', data: a('10.0.0.1') },
      ],
    });
    assert.equal(pointer(zones, '192.168.65.254'), 'host.docker.internal.');
    assert.equal(pointer(zones, '192.168.65.1'), 'gateway.docker.internal.');
    assert.equal(pointer(zones, '192.168.65.3'), 'vm.docker.internal.');
    assert.equal(pointer(zones, '192.168.65.50'), 'first.dev.example.');
    for (const nameless of ['192.168.65.60', '192.168.65.77', '192.168.65.0']) {
      assert.equal(pointer(zones, nameless), 'NXDOMAIN');
    }
    assert.equal(pointer(zones, '10.0.0.1'), undefined);
    zones.removeRecords('dev.example', [{ name: 'first' }]);
    assert.equal(pointer(zones, '192.168.65.50'), 'second.dev.example.');
    zones.removeZone('dev.example');
    assert.equal(pointer(zones, '192.168.65.50'), 'NXDOMAIN');
  });

  test('is NODATA for other types of an address with a name, and for the zone itself', () => {
    const zones = builtInStore('192.168.65.0/24');
    assert.equal(ask(zones, reverse('192.168.65.1'), 'A')?.rcode, 'NOERROR');
    assert.equal(ask(zones, '65.168.192.in-addr.arpa', 'PTR')?.rcode, 'NOERROR');
    assert.match(ask(zones, '65.168.192.IN-ADDR.arpa', 'SOA')?.answer[0] ?? '', /^65\.168\.192\.IN-ADDR\.arpa 10 SOA /);
    assert.equal(ask(zones, 'x.65.168.192.in-addr.arpa', 'PTR')?.rcode, 'NXDOMAIN');
    assert.equal(ask(zones, '01.65.168.192.in-addr.arpa', 'PTR')?.rcode, 'NXDOMAIN');
    assert.equal(ask(zones, 'x.1.65.168.192.in-addr.arpa', 'PTR')?.rcode, 'NXDOMAIN');
    assert.equal(ask(zones, '168.192.in-addr.arpa', 'PTR'), undefined);
  });

  test('of a prefix beyond /24 answers for its own addresses only', () => {
    const zones = builtInStore('10.1.2.64/27');
    assert.equal(pointer(zones, '10.1.2.65'), 'gateway.docker.internal.');
    assert.equal(pointer(zones, '10.1.2.94'), 'host.docker.internal.');
    assert.equal(pointer(zones, '10.1.2.70'), 'NXDOMAIN');
    for (const other of ['10.1.2.63', '10.1.2.96', '10.1.3.65']) assert.equal(pointer(zones, other), undefined);
    for (const name of ['2.1.10.in-addr.arpa', 'x.2.1.10.in-addr.arpa'])
      assert.equal(ask(zones, name, 'SOA'), undefined);
  });

  test('of a prefix inside an octet answers for each of its blocks', () => {
    const zones = builtInStore('172.16.0.0/12');
    assert.equal(pointer(zones, '172.31.255.254'), 'host.docker.internal.');
    assert.equal(pointer(zones, '172.20.1.1'), 'NXDOMAIN');
    assert.equal(pointer(zones, '172.32.0.1'), undefined);
    assert.equal(ask(zones, '20.172.in-addr.arpa', 'SOA')?.answer.length, 1);
    assert.equal(ask(zones, '3.20.172.in-addr.arpa', 'PTR')?.rcode, 'NOERROR');
    assert.equal(ask(zones, '172.in-addr.arpa', 'PTR'), undefined);
    assert.equal(ask(zones, '32.172.in-addr.arpa', 'SOA'), undefined);
  });

  test('a zone of the reverse tree that was set is stronger, name by name', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setZone({
      name: '168.192.in-addr.arpa',
      records: [
        { name: '50.65', data: { type: 'PTR', target: 'mine.example' } },
        { name: '1.2', data: { type: 'PTR', target: 'far.example' } },
      ],
    });
    assert.equal(pointer(zones, '192.168.65.50'), 'mine.example.');
    assert.equal(pointer(zones, '192.168.65.1'), 'gateway.docker.internal.');
    assert.equal(pointer(zones, '192.168.2.1'), 'far.example.');
    assert.equal(pointer(zones, '192.168.2.2'), 'NXDOMAIN');
  });
});

test('of any subnet, exactly its addresses are ours', () => {
  const bits = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(
      bits,
      fc.integer({ min: 0, max: 32 }),
      bits,
      fc.integer({ min: 0, max: 8 }),
      (base, prefix, other, near) => {
        const subnet = cidrOf(base, prefix);
        const names = new ReverseNames(subnet);
        // Half of the addresses close to the subnet's edge.
        const address = near < 4 ? other : (subnet.broadcast + near - 6) >>> 0;
        const place = names.place(reverse(formatIpv4Address(address)));
        assert.equal(
          place?.kind === 'address' ? place.address : undefined,
          cidrContains(subnet, address) ? address : undefined,
        );
        if (!cidrContains(subnet, address)) assert.equal(place, undefined);
      },
    ),
    { numRuns: 2000 },
  );
});
