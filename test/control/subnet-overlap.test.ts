import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SubnetOverlap } from '../../src/control/subnet-overlap.ts';
import type { Ipv4Route } from '../../src/host/proc/ipv4-routes.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { createNamespace, nsExec } from '../support/namespace.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';

function route(range: string, device = 'tun0'): Ipv4Route {
  const { network, mask } = parseCidr(range)!;
  return { device, destination: network, mask, gateway: 0, metric: 0 };
}

function warnings(subnet: string, ...looks: readonly (readonly Ipv4Route[])[]): string[] {
  const lines: string[] = [];
  let routes: readonly Ipv4Route[] = [];
  const overlap = new SubnetOverlap(parseCidr(subnet)!, { warn: (line) => void lines.push(line) }, () => routes);
  for (const look of looks) {
    routes = look;
    overlap.look();
  }
  return lines;
}

test('a route into the guests’ subnet, around it or the same is a warning that names it and a free one', () => {
  for (const range of ['192.168.65.0/24', '192.168.65.128/25', '192.168.0.0/16', '192.168.65.7/32']) {
    assert.deepEqual(warnings('192.168.65.0/24', [route('0.0.0.0/0', 'eth0'), route(range)]), [
      `the guests' subnet 192.168.65.0/24 overlaps ${range}, which this computer reaches through tun0: guests cannot reach it; 10.87.0.0/24 is free (--subnet, network.subnet)`,
    ]);
  }
});

test('a free subnet is one that no route has', () => {
  const [line] = warnings('192.168.65.0/24', [route('192.168.0.0/16'), route('10.0.0.0/8')]);
  assert.match(line ?? '', /; 172\.29\.0\.0\/24 is free/);
});

test('ways to everywhere, loopback and other ranges are no overlap', () => {
  const routes = [
    route('0.0.0.0/0'),
    route('0.0.0.0/1'),
    route('128.0.0.0/1'),
    route('10.0.0.0/8'),
    route('192.168.64.0/24'),
  ];
  assert.deepEqual(warnings('192.168.65.0/24', [...routes, route('192.168.65.0/24', 'lo')]), []);
});

test('a route that comes and goes is told once', () => {
  const vpn = [route('192.168.65.0/24')];
  assert.equal(warnings('192.168.65.0/24', [], vpn, [], vpn).length, 1);
});

test('a route that comes while the network runs is told then', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const home = createNamespace(t, 'home');
  nsExec(home, 'ip', 'link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'far');
  nsExec(home, 'ip', 'link', 'set', 'vpn0', 'up');
  const slipway = await Slipway.start(t, { namespace: home, guest: false });
  assert.deepEqual(slipway.log, []);
  nsExec(home, 'ip', 'route', 'add', '192.168.0.0/16', 'dev', 'vpn0');
  const { message } = await slipway.hear((said) => said.event === 'log');
  assert.match(String(message), /192\.168\.65\.0\/24 overlaps 192\.168\.0\.0\/16, .* through vpn0/);
});
