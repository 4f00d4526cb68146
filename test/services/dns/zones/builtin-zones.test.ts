import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_GATEWAY_NAMES, DEFAULT_HOST_NAMES } from '../../../../src/facts/own-names.ts';
import { builtinZones } from '../../../../src/services/dns/zones/builtin-zones.ts';
import type { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { parseCidr } from '../../../../src/wire/cidr.ts';
import { a, address, ask, builtInStore, cname, txt } from './asking.ts';

const HOST = '192.168.65.254';
const GATEWAY = '192.168.65.1';

function addressOf(zones: ZoneStore, name: string): string | undefined {
  return ask(zones, name, 'A')?.answer[0]?.split(' ').at(-1);
}

describe('the built-in names', () => {
  const zones = builtInStore('192.168.65.0/24', DEFAULT_HOST_NAMES);

  test('are those of Docker, its older ones, Podman’s and Lima’s', () => {
    const hosts = ['host.docker.internal', 'host.containers.internal', 'host.lima.internal'];
    const gateways = ['gateway.docker.internal', 'http.docker.internal', 'gateway.containers.internal'];
    for (const system of ['mac', 'win']) {
      hosts.push(`docker.for.${system}.localhost`, `docker.for.${system}.host.internal`);
      gateways.push(`docker.for.${system}.gateway.internal`, `docker.for.${system}.http.internal`);
    }
    for (const name of hosts) assert.equal(addressOf(zones, name), HOST, name);
    for (const name of gateways) assert.equal(addressOf(zones, name), GATEWAY, name);
    assert.equal(addressOf(zones, 'kubernetes.docker.internal'), '127.0.0.1');
    assert.equal(addressOf(zones, 'vm.docker.internal'), '192.168.65.3');
  });

  test('are NODATA for AAAA, and NXDOMAIN beside them', () => {
    assert.equal(ask(zones, 'host.docker.internal', 'AAAA')?.rcode, 'NOERROR');
    assert.equal(ask(zones, 'docker.for.mac.localhost', 'AAAA')?.rcode, 'NOERROR');
    assert.equal(ask(zones, 'x.docker.for.mac.localhost', 'A')?.rcode, 'NXDOMAIN');
    assert.equal(ask(zones, 'nobody.docker.internal', 'A')?.rcode, 'NXDOMAIN');
  });

  test('take nothing else from the host’s resolver', () => {
    for (const name of [
      'internal',
      'x.internal',
      'localhost',
      'mac.localhost',
      'host.internal',
      'docker.for.me.localhost',
      'host.lima.internal.example',
    ]) {
      assert.equal(ask(zones, name, 'A'), undefined, name);
    }
  });

  test('of the configuration are zones of just their name', () => {
    const own = builtInStore('192.168.65.0/24', ['my.mac.home', 'extra.docker.internal', 'web.vm.docker.internal']);
    assert.equal(addressOf(own, 'my.mac.home'), HOST);
    assert.equal(ask(own, 'mac.home', 'A'), undefined);
    assert.equal(ask(own, 'other.mac.home', 'A'), undefined);
    assert.equal(addressOf(own, 'extra.docker.internal'), HOST);
    assert.equal(addressOf(own, 'web.vm.docker.internal'), HOST);
    assert.equal(addressOf(own, 'host.docker.internal'), HOST);
    assert.equal(
      own.list().some(({ name }) => name === 'extra.docker.internal'),
      false,
    );
  });

  test('of the configuration must be names', () => {
    assert.throws(() => builtInStore('192.168.65.0/24', ['a..b']), { code: 'ERR_DNS_ZONE' });
  });

  test('give the first guest the third address, or the next that is free', () => {
    const guestOf = (subnet: string, gateway: string, host: string): number =>
      builtinZones({
        subnet: parseCidr(subnet)!,
        gateway: address(gateway),
        hostAddress: address(host),
        hostNames: [],
        gatewayNames: DEFAULT_GATEWAY_NAMES,
      }).guestAddress;
    assert.equal(guestOf('10.0.0.0/24', '10.0.0.1', '10.0.0.254'), address('10.0.0.3'));
    assert.equal(guestOf('10.0.0.0/24', '10.0.0.3', '10.0.0.4'), address('10.0.0.5'));
    assert.equal(guestOf('10.0.0.0/29', '10.0.0.3', '10.0.0.6'), address('10.0.0.4'));
  });
});

describe('what is set over a built-in zone', () => {
  test('joins what is built in, and goes alone', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setZone({
      name: 'docker.internal',
      records: [
        { name: 'host', data: txt('x') },
        { name: 'own', data: a('10.0.0.1') },
      ],
    });
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
    assert.equal(ask(zones, 'host.docker.internal', 'TXT')?.answer.length, 1);
    assert.equal(addressOf(zones, 'own.docker.internal'), '10.0.0.1');
    assert.equal(zones.removeZone('docker.internal'), true);
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
    assert.equal(ask(zones, 'own.docker.internal', 'A')?.rcode, 'NXDOMAIN');
    assert.equal(zones.removeZone('docker.internal'), false);
    assert.equal(zones.removeRecords('docker.internal', [{ name: 'host' }]), 0);
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
  });

  test('hides the built-in address with its own, until it goes', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.addRecords('docker.internal', [{ name: 'host', data: a('10.0.0.1') }]);
    assert.equal(addressOf(zones, 'host.docker.internal'), '10.0.0.1');
    zones.removeRecords('docker.internal', [{ name: 'host' }]);
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
    zones.addRecords('docker.internal', [{ name: 'host', data: cname('elsewhere.example') }]);
    assert.equal(ask(zones, 'host.docker.internal', 'A')?.aliasTarget, 'elsewhere.example');
  });

  test('may be a zone around it or of its very name: the built-in name stays', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setZone({ name: 'internal', defaultAddress: address('10.9.9.9'), records: [] });
    zones.setZone({ name: 'host.docker.internal', records: [{ name: 'below', data: a('10.0.0.1') }] });
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
    assert.equal(addressOf(zones, 'below.host.docker.internal'), '10.0.0.1');
    assert.equal(addressOf(zones, 'x.internal'), '10.9.9.9');
    assert.equal(ask(zones, 'x.docker.internal', 'A')?.rcode, 'NXDOMAIN');
    zones.removeZone('host.docker.internal');
    assert.equal(addressOf(zones, 'host.docker.internal'), HOST);
  });

  test('has a default address for what is not built in', () => {
    const zones = builtInStore('192.168.65.0/24');
    zones.setZone({ name: 'docker.internal', defaultAddress: address(HOST), records: [] });
    assert.equal(addressOf(zones, 'x.docker.internal'), HOST);
    assert.equal(addressOf(zones, 'gateway.docker.internal'), GATEWAY);
    assert.equal(ask(zones, 'x.vm.docker.internal', 'A')?.rcode, 'NXDOMAIN');
  });
});
