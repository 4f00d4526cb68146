import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import { EVERY_ADDRESS, OwnListeners } from '../../src/flow/own-listeners.ts';
import { decide, type RoutePolicy, ServiceRoutes } from '../../src/flow/route.ts';

const GATEWAY = 0xc0a84101;
const HOST = 0xc0a841fe;
const OUTSIDE = 0xcb007107;
const policy: RoutePolicy = {
  gatewayAddress: GATEWAY,
  hostAddress: HOST,
  hostLoopback: true,
  own: new OwnListeners(),
  services: new Map([
    ['udp:53', 'dns'],
    ['tcp:53', 'dns'],
  ]),
};

test('a service of the gateway is found by protocol and port', () => {
  assert.deepEqual(decide(policy, 'tcp', GATEWAY, 53), { kind: 'service', service: 'dns' });
  assert.deepEqual(decide(policy, 'udp', GATEWAY, 53), { kind: 'service', service: 'dns' });
});

test('every other port of the gateway is refused, as a machine does that listens there with nothing', () => {
  for (const port of [0, 22, 54, 65_535]) {
    assert.deepEqual(decide(policy, 'tcp', GATEWAY, port), { kind: 'refuse', reason: 'route-no-such-gateway-service' });
  }
});

test("the host address is the host's own loopback, with the port as it is", () => {
  assert.deepEqual(decide(policy, 'tcp', HOST, 8080), { kind: 'host', address: LOOPBACK4, port: 8080 });
});

test('a closed host loopback is prohibited, not silent', () => {
  const closed = { ...policy, hostLoopback: false };
  assert.deepEqual(decide(closed, 'udp', HOST, 53), { kind: 'prohibit', reason: 'route-host-loopback-closed' });
});

test('everything else goes to that very address, port 53 included', () => {
  assert.deepEqual(decide(policy, 'udp', OUTSIDE, 53), { kind: 'host', address: OUTSIDE, port: 53 });
});

/** The policy where this process listens at that address and port, and the routes that a person configured. */
function listeningAt(address: number, port: number, routes = new ServiceRoutes([])): RoutePolicy {
  const own = new OwnListeners();
  own.add({ kind: 'port', protocol: 'tcp', address, port });
  own.add({ kind: 'port', protocol: 'udp', address, port });
  return { ...policy, own, routes };
}

const OWN = { kind: 'prohibit', reason: 'route-own-listener' };

test('where Slipway itself listens on loopback is prohibited at the host address, and nothing beside it is', () => {
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const loopback of [LOOPBACK4, LOOPBACK6]) {
      assert.deepEqual(decide(listeningAt(loopback, 4444), protocol, HOST, 4444), OWN);
      for (const port of [4443, 4445]) {
        const target = { kind: 'host', address: LOOPBACK4, port };
        assert.deepEqual(decide(listeningAt(loopback, 4444), protocol, HOST, port), target);
      }
      // Another program may listen at that port of another address.
      assert.equal(decide(listeningAt(loopback, 4444), protocol, OUTSIDE, 4444).kind, 'host');
    }
  }
});

test('a service of the configuration that points at a listener of Slipway is prohibited, as a port and as a socket', () => {
  const routes = new ServiceRoutes([
    { protocol: 'tcp', address: GATEWAY, port: 80, target: { kind: 'host', address: LOOPBACK4, port: 4444 } },
    { protocol: 'tcp', address: OUTSIDE, port: 0, target: { kind: 'host', address: LOOPBACK4, port: 0 } },
    { protocol: 'tcp', address: GATEWAY, port: 81, target: { kind: 'socket', service: 'socket /run/own.sock' } },
    { protocol: 'tcp', address: GATEWAY, port: 82, target: { kind: 'socket', service: 'socket /run/other.sock' } },
  ]);
  const at = listeningAt(LOOPBACK4, 4444, routes);
  at.own.add({ kind: 'socket', service: 'socket /run/own.sock' });
  assert.deepEqual(decide(at, 'tcp', GATEWAY, 80), OWN);
  assert.deepEqual(decide(at, 'tcp', OUTSIDE, 4444), OWN);
  assert.equal(decide(at, 'tcp', OUTSIDE, 4445).kind, 'host');
  assert.deepEqual(decide(at, 'tcp', GATEWAY, 81), OWN);
  assert.equal(decide(at, 'tcp', GATEWAY, 82).kind, 'socket');
});

test('a listener of Slipway at every address is prohibited at each that this computer has or will have', () => {
  const at = listeningAt(EVERY_ADDRESS, 9229);
  for (const address of [HOST, OUTSIDE, 0x0a000001]) assert.deepEqual(decide(at, 'tcp', address, 9229), OWN);
  assert.equal(decide(at, 'tcp', OUTSIDE, 9230).kind, 'host');
});

test('a listener of Slipway at one address of this computer is prohibited there', () => {
  const at = listeningAt(OUTSIDE, 4444);
  assert.deepEqual(decide(at, 'tcp', OUTSIDE, 4444), OWN);
  assert.equal(decide(at, 'tcp', HOST, 4444).kind, 'host');
});
