import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOwnName } from '../../../../src/facts/own-names.ts';
import { builtinZones } from '../../../../src/services/dns/zones/builtin-zones.ts';
import { parseCidr } from '../../../../src/wire/cidr.ts';

test('all names of the built-in zones are our own, and nothing beside them', () => {
  const dns = { hostNames: ['pc.example'], gatewayNames: ['gw.docker.internal'] };
  const subnet = parseCidr('192.168.65.0/24')!;
  const { zones } = builtinZones({ subnet, gateway: subnet.network + 1, hostAddress: subnet.network + 254, ...dns });
  for (const zone of zones) {
    for (const { name } of zone.records) {
      const full = name === '@' ? zone.name : `${name}.${zone.name}`;
      assert.equal(isOwnName(full, dns), true, full);
    }
  }
  for (const name of ['vm.docker.internal', 'web.vm.docker.internal']) assert.equal(isOwnName(name, dns), true);
  for (const name of ['db.docker.internal', 'docker.internal', 'a.host.docker.internal', 'other.example']) {
    assert.equal(isOwnName(name, dns), false);
  }
});
