import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { expose, forwardsOf, isListening, publishing, socketSpec, unexpose } from '../support/published.ts';
import { GATEWAY, GUEST, HOST } from '../support/slipway.ts';
import { dial, dialled, drained, endingOf, execute, listen, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { download, MIB, upload } from './transfers.ts';

test('the portable engine publishes ports, too', { timeout: 60_000 }, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const socket = join(temporaryFolder('ports'), 'net.sock');
  const listening = { guest: false, listen: [`qemu+unix://${socket}`] };
  const { home, slipway } = await publishing(t, { engine: 'node', mtu: 1_500, ...listening });
  const { namespace: guest } = await plugGuest(t, { socket, address: GUEST });
  // Nobody can know of a static address that has not said a word.
  await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '1', GATEWAY);
  const { accept, server } = await listen(t, guest, { port: 80 });
  const path = join(temporaryFolder('ports'), 'web.sock');
  const forward = await expose(slipway, '8080:80');
  assert.equal(forward.state, 'listening');
  await expose(slipway, socketSpec(path, 80));

  for (const [what, host, options] of [
    ['IPv4', '127.0.0.1', {}],
    ['IPv6', '::1', {}],
    ['a unix socket', '', { path }],
  ] as const) {
    await t.test(`by ${what}: 8 MiB each way by checksum`, async (t) => {
      const client = await dialled(t, home, 8080, host, { ...options, allowHalfOpen: true } as object);
      const peer = await accept();
      assert.equal(peer.remoteAddress, HOST);
      for (const [from, to] of [
        [client, peer],
        [peer, client],
      ] as const) {
        const [sent, received] = await Promise.all([upload(from, 8 * MIB), download(to)]);
        assert.equal(received, sent);
        if (from === client) break;
      }
    });
  }

  await t.test('UDP', async (t) => {
    const echo = await udp(t, guest, '0.0.0.0', 53);
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    await expose(slipway, '5353:53/udp');
    const client = await udp(t, home);
    const answer = once(client, 'message');
    client.send('ping', 5353, '127.0.0.1');
    assert.equal(String((await answer)[0]), 'ping');
  });

  await t.test('ports that are held are refused with their holder', async (t) => {
    await listen(t, home, { port: 8090 });
    await assert.rejects(expose(slipway, '8090:80'), {
      code: 'ERR_PORT_IN_USE',
      message: `listen tcp 0.0.0.0:8090: bind: address already in use: held by node (pid ${process.pid}, user root); next free port 8091`,
    });
    assert.equal((await forwardsOf(slipway)).length, 3);
  });

  await t.test('a range, and a port that it chooses', async (t) => {
    const { accept: acceptAt } = await listen(t, guest, { port: 7042 });
    await expose(slipway, '9000-9099:7000-7099');
    const client = await dialled(t, home, 9042, '::1');
    (await acceptAt()).end('in the midst');
    assert.equal(String((await drained(client)).bytes), 'in the midst');
    const { boundPort } = await expose(slipway, '0:7042');
    for (const host of ['127.0.0.1', '::1']) {
      const other = await dialled(t, home, boundPort, host);
      (await acceptAt()).end();
      assert.equal(await endingOf(other.resume()), 'end');
    }
  });

  await t.test('a guest that refuses: reset at once, and clients are served when it is back', async (t) => {
    server.close();
    assert.equal(await endingOf(dial(t, home, 8080, '127.0.0.1')), 'ECONNRESET');
    const again = await listen(t, guest, { port: 80 });
    const client = await dialled(t, home, 8080, '127.0.0.1');
    (await again.accept()).end('back');
    assert.equal(String((await drained(client)).bytes), 'back');
  });

  await t.test('what is removed is free at once', async (t) => {
    assert.equal(await unexpose(slipway, forward.id), true);
    await listen(t, home, { port: 8080 });
  });

  await t.test(
    'the network thread dies: they are bound again, and serve the guest that has to plug in again',
    async (t) => {
      const second = await expose(slipway, '8082:82');
      slipway.fault('throw');
      await slipway.hear((said) => said.event === 'log' && /network thread died/.test(String(said.message)));
      // Answered by the next one, once it stands.
      await slipway.status();
      const again = await plugGuest(t, { socket, address: GUEST });
      await execute(t, again.namespace, 'ping', '-n', '-c', '1', '-W', '1', GATEWAY);
      const { accept: acceptAgain } = await listen(t, again.namespace, { port: 82 });
      await isListening(slipway, second);
      const client = await dialled(t, home, 8082, '::1');
      (await acceptAgain()).end('again');
      assert.equal(String((await drained(client)).bytes), 'again');
    },
  );
});
