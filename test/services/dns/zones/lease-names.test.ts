import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hostLabel, LeaseNames } from '../../../../src/services/dns/zones/lease-names.ts';
import type { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { a, address, ask, builtInStore } from './asking.ts';

function addressOf(zones: ZoneStore, name: string): string | undefined {
  return ask(zones, `${name}.vm.docker.internal`, 'A')?.answer[0]?.split(' ').at(-1);
}

function pointer(zones: ZoneStore, last: number): string | undefined {
  return ask(zones, `${last}.65.168.192.in-addr.arpa`, 'PTR')?.answer[0]?.split(' ').at(-1);
}

const lease = (name: string, last: number): { name: string; address: number } => ({
  name,
  address: address(`192.168.65.${last}`),
});

describe('the label of a guest’s name', () => {
  const cases: [string, string][] = [
    ['web', 'web'],
    ['Web Server_1', 'web-server-1'],
    ['web.corp.example', 'web'],
    ['.web', 'web'],
    ['caf\u00e9\u0000', 'caf'],
    ['-x-', 'x'],
    ['***', ''],
    ['', ''],
    ['localhost', 'localhost'],
    ['host', 'host'],
    ['x'.repeat(200), 'x'.repeat(63)],
    [`${'x'.repeat(62)}-y`, 'x'.repeat(62)],
    ['\u212a', ''],
  ];
  for (const [name, label] of cases) {
    test(`${JSON.stringify(name.slice(0, 20))} becomes ${JSON.stringify(label.slice(0, 20))}`, () => {
      assert.equal(hostLabel(name), label);
    });
  }

  test('is always one of RFC 1123, or empty', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
        assert.match(hostLabel(name), /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$/);
      }),
    );
  });
});

describe('names of leases', () => {
  test('are A and PTR while the lease lives', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setLeaseName(lease('Web', 9));
    assert.equal(addressOf(zones, 'web'), '192.168.65.9');
    assert.equal(pointer(zones, 9), 'web.vm.docker.internal.');
    zones.setLeaseName(lease('db', 9));
    assert.equal(addressOf(zones, 'web'), undefined);
    assert.equal(pointer(zones, 9), 'db.vm.docker.internal.');
    zones.endLease(lease('', 9).address);
    assert.equal(ask(zones, 'db.vm.docker.internal', 'A')?.rcode, 'NXDOMAIN');
    assert.equal(pointer(zones, 9), undefined);
  });

  test('belong to the first of two guests, and to the later one when the first ends', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setLeaseName(lease('web', 9));
    zones.setLeaseName(lease('WEB', 10));
    zones.setLeaseName(lease('web', 9));
    assert.equal(addressOf(zones, 'web'), '192.168.65.9');
    assert.equal(pointer(zones, 10), undefined);
    zones.endLease(lease('', 9).address);
    assert.equal(addressOf(zones, 'web'), '192.168.65.10');
    assert.equal(pointer(zones, 10), 'web.vm.docker.internal.');
  });

  test('vm.docker.internal is the oldest lease’s guest', () => {
    const zones = builtInStore('192.168.65.0/24');
    const vm = (): string | undefined => ask(zones, 'vm.docker.internal', 'A')?.answer[0]?.split(' ').at(-1);
    for (const one of [lease('', 20), lease('web', 21)]) zones.setLeaseName(one);
    assert.equal(vm(), '192.168.65.20');
    assert.equal(pointer(zones, 20), 'vm.docker.internal.');
    assert.equal(pointer(zones, 3), undefined);
    zones.endLease(lease('', 20).address);
    assert.equal(vm(), '192.168.65.21');
    assert.equal(pointer(zones, 21), 'web.vm.docker.internal.');
    zones.endLease(lease('web', 21).address);
    assert.equal(vm(), '192.168.65.3');
  });

  test('raise the serial when something changed, and only then', () => {
    const zones = builtInStore('192.168.65.0/24');
    const serial = (): number => zones.list().find(({ name }) => name === 'vm.docker.internal')?.serial ?? 0;
    const first = serial();
    zones.setLeaseName(lease('web', 9));
    const second = serial();
    zones.setLeaseName(lease('web', 9));
    zones.setLeaseName(lease('web', 10));
    assert.ok(second > first);
    assert.equal(serial(), second);
  });

  test('are weaker than what was set, and never leave the guest zone', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.addRecords('vm.docker.internal', [{ name: 'web', data: a('10.0.0.1') }]);
    const leases = [lease('web', 9), lease('host', 10), lease('*', 11), lease('host.docker.internal', 12)];
    for (const one of leases) zones.setLeaseName(one);
    assert.equal(addressOf(zones, 'web'), '10.0.0.1');
    assert.notEqual(pointer(zones, 9), 'web.vm.docker.internal.');
    assert.equal(addressOf(zones, 'host'), '192.168.65.10');
    assert.equal(ask(zones, 'host.docker.internal', 'A')?.answer[0], 'host.docker.internal 10 A 192.168.65.254');
    assert.equal(addressOf(zones, 'anything'), undefined);
  });
});

test('any order of leases that begin, rename and end is as a list of them says', () => {
  const step = fc.record({ address: fc.integer({ min: 1, max: 5 }), label: fc.constantFrom('', 'a', 'b', 'end') });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const names = new LeaseNames();
      let claims: { address: number; label: string }[] = [];
      const ages: number[] = [];
      for (const one of steps) {
        const { address: at, label } = one;
        if (label === 'end') {
          names.remove(at);
          claims = claims.filter((claim) => claim.address !== at);
          if (ages.includes(at)) ages.splice(ages.indexOf(at), 1);
        } else {
          names.set(at, label);
          if (!ages.includes(at)) ages.push(at);
          if (!claims.some((claim) => claim.address === at && claim.label === label)) {
            claims = [...claims.filter((claim) => claim.address !== at), one];
          }
        }
        for (const wanted of ['a', 'b']) {
          assert.equal(names.holder(wanted), claims.find((claim) => claim.label === wanted)?.address);
        }
        assert.equal(names.oldest, ages[0]);
      }
    }),
  );
});
