import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { dial, endingOf, listen, refusedPort } from '../support/sockets.ts';
import {
  createRoutedNetwork,
  endFirewall,
  firewall,
  packetsSeen,
  type RoutedNetwork,
  SERVER,
} from './routed-network.ts';

/** Far below any time limit of a connect, far above what a refusal takes. */
const AT_ONCE_MS = 900;

interface World extends RoutedNetwork {
  readonly slipway: Slipway;
}

async function world(t: TestContext): Promise<World | undefined> {
  if (!canRunGuests(t) || !needs(t, 'nft', 'sysctl')) return undefined;
  const network = createRoutedNetwork(t);
  return { ...network, slipway: await Slipway.start(t, { namespace: network.home }) };
}

async function failure(socket: Socket): Promise<string> {
  const begun = performance.now();
  const ending = await endingOf(socket);
  assert.ok(performance.now() - begun < AT_ONCE_MS, `${ending} came at once, not after a time limit`);
  return ending;
}

test('what refuses a connection on the host’s side refuses it for the guest, by the same errno', async (t) => {
  const made = await world(t);
  if (made === undefined) return;
  const { home, router, slipway } = made;
  const { guest } = slipway;

  await t.test('a port nobody listens on, at a server: ECONNREFUSED', async (t) => {
    assert.equal(await failure(dial(t, guest, 1, SERVER)), 'ECONNREFUSED');
  });

  await t.test('a port nobody listens on, at the host address: ECONNREFUSED', async (t) => {
    assert.equal(await failure(dial(t, guest, await refusedPort(t), HOST)), 'ECONNREFUSED');
  });

  await t.test('no route at the host: ENETUNREACH', async (t) => {
    nsExec(home, 'ip', 'route', 'del', 'default');
    t.after(() => void nsExec(home, 'ip', 'route', 'add', 'default', 'via', '10.1.0.1'));
    assert.equal(await failure(dial(t, guest, 80, SERVER)), 'ENETUNREACH');
  });

  await t.test('an unreachable route at the host: EHOSTUNREACH', async (t) => {
    nsExec(home, 'ip', 'route', 'add', 'unreachable', '10.9.0.0/24');
    assert.equal(await failure(dial(t, guest, 80, '10.9.0.1')), 'EHOSTUNREACH');
  });

  await t.test('a route that the host prohibits (EACCES): EHOSTUNREACH, as code 13 reads to Linux', async (t) => {
    nsExec(home, 'ip', 'route', 'add', 'prohibit', '10.8.0.0/24');
    assert.equal(await failure(dial(t, guest, 80, '10.8.0.1')), 'EHOSTUNREACH');
  });

  for (const [word, errno] of [
    ['host-unreachable', 'EHOSTUNREACH'],
    ['net-unreachable', 'ENETUNREACH'],
    ['admin-prohibited', 'EHOSTUNREACH'],
  ] as const) {
    await t.test(`a router that answers ${word}: ${errno}`, async (t) => {
      firewall(router, 'forward', `tcp dport 81 reject with icmp ${word}`);
      t.after(() => endFirewall(router));
      assert.equal(await failure(dial(t, guest, 81, SERVER)), errno);
    });
  }
});

test('slow: a black hole is no refusal', { timeout: 60_000 }, async (t) => {
  const made = await world(t);
  if (made === undefined) return;
  const { home, router, outside, slipway } = made;
  const hole = (): void => firewall(router, 'forward', 'tcp flags syn counter name seen drop');

  await t.test('a guest that waits is connected when the hole is gone', async (t) => {
    hole();
    const { port } = await listen(t, outside);
    const socket = dial(t, slipway.guest, port, SERVER);
    await slipway.reaches(() => packetsSeen(router) >= 2, 'the host has asked twice');
    assert.ok(socket.connecting, 'and the guest waits');
    endFirewall(router);
    await once(socket, 'connect');
  });

  await t.test(
    'the host’s connect times out: the flow is forgotten, the guest hears nothing and asks again',
    async (t) => {
      nsExec(home, 'sysctl', '-q', '-w', 'net.ipv4.tcp_syn_retries=1');
      hole();
      const { port } = await listen(t, outside);
      const socket = dial(t, slipway.guest, port, SERVER);
      await slipway.reaches(() => packetsSeen(router) >= 3, 'a second connect of the host');
      assert.ok(socket.connecting, 'and the guest waits');
      endFirewall(router);
      await once(socket, 'connect');
    },
  );
});

test('--no-host-loopback closes the host address', async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t, { hostLoopback: false });
  const { port } = await listen(t, undefined, { host: '127.0.0.1' });
  assert.match(await failure(dial(t, slipway.guest, port, HOST)), /^E(HOSTUNREACH|NETUNREACH|CONNREFUSED)$/);
});

test('a service of the host that listens only at [::1] is reached by the host address', async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t);
  const { port } = await listen(t, undefined, { host: '::1' });
  await once(dial(t, slipway.guest, port, HOST), 'connect');
});
