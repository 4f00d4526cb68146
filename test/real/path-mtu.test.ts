import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createNamespace, nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { dialled, drained, listen } from '../support/sockets.ts';
import { firewall } from './routed-network.ts';

const INNER_MTU = 1_400;
const BYTES = 2 * 1024 * 1024;

/**
 * A guest that routes for a machine behind it, by a link that is narrower on the guest's side only: the machine itself
 * offers the MSS of the wide one, so nobody but the guest's router knows.
 */
function nestedGuest(t: TestContext, guest: TestNamespace, mtu: number): TestNamespace {
  const inner = createNamespace(t, 'inner');
  // The guest's namespace has no name: the cable is made where one end has, and moved.
  const pid = guest.path.split('/')[2]!;
  nsExec(inner, 'ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'down0', 'netns', pid);
  nsExec(inner, 'ip', 'address', 'add', '10.7.0.2/24', 'dev', 'up0');
  nsExec(inner, 'ip', 'link', 'set', 'up0', 'mtu', `${mtu}`, 'up');
  nsExec(inner, 'ip', 'route', 'add', 'default', 'via', '10.7.0.1');
  nsExec(guest, 'ip', 'address', 'add', '10.7.0.1/24', 'dev', 'down0');
  nsExec(guest, 'ip', 'link', 'set', 'down0', 'mtu', `${INNER_MTU}`, 'up');
  nsExec(guest, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.icmp_ratelimit=0');
  nsExec(
    guest,
    'nft',
    'table ip nat { chain post { type nat hook postrouting priority 100; oifname "tap0" masquerade; }; }',
  );
  return inner;
}

for (const mtu of [1_500, 65_520]) {
  for (const icmp of ['arrives', 'is lost'] as const) {
    test(`a download crosses a narrower link behind the guest at MTU ${mtu}, where ICMP about it ${icmp}`, {
      timeout: 120_000,
    }, async (t) => {
      if (!canRunGuests(t) || !needs(t, 'nft', 'sysctl')) return;
      const slipway = await Slipway.start(t, { mtu });
      const inner = nestedGuest(t, slipway.guest, mtu);
      if (icmp === 'is lost')
        firewall(slipway.guest, 'output', 'icmp type destination-unreachable counter name seen drop');
      const bytes = randomBytes(BYTES);
      const { port, accept } = await listen(t);
      const client = await dialled(t, inner, port, HOST);
      const began = performance.now();
      (await accept()).end(bytes);
      const got = await drained(client);
      assert.ok(got.bytes.equals(bytes) && got.ending === 'end', `${got.bytes.length} bytes, then ${got.ending}`);
      t.diagnostic(`${Math.round(performance.now() - began)} ms`);
      const { counters } = await slipway.status();
      const by = icmp === 'arrives' ? 'tcp-path-mtu-reduced' : 'tcp-path-mtu-black-hole';
      assert.ok((counters[by] ?? 0) >= 1, JSON.stringify(counters));
    });
  }
}
