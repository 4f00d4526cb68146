import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOPBACK4 } from '../../src/env/host.ts';
import { decide, type RoutePolicy } from '../../src/flow/route.ts';

const GATEWAY = 0xc0a84101;
const HOST = 0xc0a841fe;
const OUTSIDE = 0xcb007107;
const policy: RoutePolicy = {
  gatewayAddress: GATEWAY,
  hostAddress: HOST,
  hostLoopback: true,
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
