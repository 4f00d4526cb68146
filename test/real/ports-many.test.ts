import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { ForwardStatus } from '../../src/config/forward.ts';
import { serve } from '../support/dns-host.ts';
import { expose, forwardIs, forwardsOf, httpServer, isListening, publishing, unexpose } from '../support/published.ts';
import { canRunGuests } from '../support/slipway.ts';
import { dial, dialled, drained, endingOf, listen } from '../support/sockets.ts';

const CONNECTIONS = 10_000;
/** A program of its own, because one process has descriptors for one end of each. Its backlog is above a batch. */
const ECHO = "require('net').createServer((s) => s.pipe(s)).listen(80, '0.0.0.0', 1024, () => console.log('ready'))";

test('10,000 forwarded connections are open at once, and each carries its own bytes', {
  timeout: 120_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  await serve(t, /ready/, 'nsenter', `--net=${slipway.guest.path}`, '--', process.execPath, '-e', ECHO);
  const forward = await expose(slipway, '8080:80');
  const { resident, descriptors } = slipway;

  // One hook for all of them: a runner that knows of ten thousand is slow.
  const hooks: (() => void)[] = [];
  t.after(() => {
    for (const hook of hooks) hook();
  });
  const disposer = { after: (hook: unknown) => void hooks.push(hook as () => void) };
  const clients: Socket[] = [];
  while (clients.length < CONNECTIONS) {
    const batch = Array.from({ length: 250 }, () => dial(disposer, home, 8080, '127.0.0.1'));
    await Promise.all(
      batch.map(async (client, i) => {
        const answer = once(client, 'data');
        client.write(`first ${clients.length + i}`);
        assert.equal(String((await answer)[0]), `first ${clients.length + i}`);
      }),
    );
    clients.push(...batch);
  }
  const { connections } = await forwardIs(slipway, forward, () => true);
  assert.equal(connections, CONNECTIONS);
  assert.equal((await slipway.status()).flows, CONNECTIONS);
  const each = (slipway.resident - resident) / CONNECTIONS;
  t.diagnostic(
    `${(each / 1024).toFixed(1)} KiB and ${((slipway.descriptors - descriptors) / CONNECTIONS).toFixed(2)} descriptors per connection`,
  );

  // The oldest has been idle since the first of them; now all speak at once.
  const echoed = clients.map(async (client, i) => {
    client.end(`last ${i}`);
    return String((await drained(client)).bytes);
  });
  for (const [i, text] of (await Promise.all(echoed)).entries()) assert.equal(text, `last ${i}`);
  await slipway.reaches(({ flows }) => flows === 0, 'all flows have gone');
  await slipway.reaches(() => slipway.descriptors <= descriptors + 8, 'all descriptors have gone');
});

test('a range of ports is one forward, of any length that the descriptors allow', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const reaches = async (port: number, guestPort: number): Promise<void> => {
    for (const host of ['127.0.0.1', '::1']) {
      const client = await dialled(t, home, port, host);
      client.end('GET / HTTP/1.0\r\n\r\n');
      assert.match(String((await drained(client)).bytes), new RegExp(`port ${guestPort} `));
    }
  };

  /** A range listens as soon as somebody does behind one of its ports. */
  const works = async (forward: ForwardStatus, port: number, guestPort: number): Promise<void> => {
    await httpServer(t, slipway.guest, guestPort, `port ${guestPort}`);
    await isListening(slipway, forward);
    await reaches(port, guestPort);
  };

  await t.test('a hundred ports by one request', async () => {
    const forward = await expose(slipway, '9000-9099:7000-7099');
    const { id, state, descriptors } = forward;
    assert.deepEqual([id, state, descriptors], ['tcp:*:9000-9099', 'waiting', 200]);
    await works(forward, 9042, 7042);
    assert.equal((await forwardsOf(slipway)).length, 1);
    // Nobody listens behind the next one.
    assert.equal(await endingOf(dial(t, home, 9043, '127.0.0.1')), 'ECONNRESET');
    const before = slipway.descriptors;
    assert.equal(await unexpose(slipway, id), true);
    await slipway.reaches(() => slipway.descriptors <= before - 200, 'its descriptors are given back');
  });

  await t.test('8,192 ports of both families', async () => {
    const forward = await expose(slipway, '10000-18191:10000-18191');
    const { id, state, descriptors } = forward;
    assert.deepEqual([state, descriptors], ['waiting', 16_384]);
    await works(forward, 10_000, 10_000);
    await works(forward, 18_191, 18_191);
    assert.equal(await unexpose(slipway, id), true);
    assert.equal((await listen(t, home, { port: 10_000 })).port, 10_000);
  });

  await t.test('more than there are descriptors: said before any is bound', async () => {
    const { code, message, hint } = await expose(slipway, '1024-65535:1024-65535').then(
      () => assert.fail('opened'),
      (error: { readonly code: string; readonly message: string; readonly hint: string }) => error,
    );
    assert.equal(code, 'ERR_PORT_LIMIT');
    assert.match(message, /64512 ports take 129024 descriptors, one for IPv4 and one for IPv6 each/);
    assert.match(hint, /ulimit -n \d+.*IPv4 only/);
  });

  await t.test('a port that the host chooses is the same for both families', async () => {
    await httpServer(t, slipway.guest, 8088, 'port 8088');
    const { id, boundPort, descriptors } = await expose(slipway, '0:8088');
    assert.deepEqual([id, descriptors], [`tcp:*:${boundPort}`, 2]);
    await reaches(boundPort, 8088);
    const datagrams = await expose(slipway, '0:53/udp');
    assert.notEqual(datagrams.boundPort, 0);
    assert.equal(datagrams.descriptors, 2);
  });
});
