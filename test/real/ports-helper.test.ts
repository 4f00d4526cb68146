import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { canConfine, FRIEND, RunningHelper, STRANGER } from '../helper/harness.ts';
import { needs } from '../support/needs.ts';
import { expose, forwardsOf, httpServer, isListening, publishing, unexpose } from '../support/published.ts';
import { canRunGuests, type Slipway } from '../support/slipway.ts';
import { dialled, drained, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';

/** Of a user without any right, beside the helper. */
async function slipwayOf(t: TestContext, helper: RunningHelper, uid: number, socket: string): Promise<Slipway> {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
  const enter = ['nsenter', `--net=${helper.namespace.path}`, '--', 'setpriv', ...user, '--no-new-privs'];
  const config = JSON.stringify({ helper: helper.socket });
  const setup = { namespace: helper.namespace, enter, config, mtu: 1_500, guest: false };
  return (await publishing(t, { ...setup, listen: [`qemu+unix://${socket}`] })).slipway;
}

test('an ordinary user publishes port 80 by the helper', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !canRunStreamGuests(t) || !canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const { namespace: home } = helper;
  // In the folder of the helper's socket, where every user may write.
  const socket = `${helper.socket}.net`;
  const slipway = await slipwayOf(t, helper, FRIEND, socket);
  const guest = await plugGuest(t, { socket, address: '192.168.65.3' });
  await httpServer(t, guest.namespace, 80, 'hello');
  const config = { kind: 'port', address: 0xc0a8_4103, port: 80 } as const;

  await t.test('clients of both families reach it', async (t) => {
    const forward = await expose(slipway, '80:80', { guest: config });
    await isListening(slipway, forward);
    assert.equal(forward.descriptors, 2);
    assert.match(helper.log, /80/);
    for (const host of ['127.0.0.1', '::1']) {
      const client = await dialled(t, home, 80, host);
      client.end('GET / HTTP/1.0\r\n\r\n');
      assert.match(String((await drained(client)).bytes), /hello 192\.168\.65\.254$/);
    }
  });

  await t.test('and it is his until he gives it back', async () => {
    await assert.rejects(httpServer(t, home, 80, 'another'), { code: 'EADDRINUSE' });
    assert.equal(await unexpose(slipway, 'tcp:*:80'), true);
    await httpServer(t, home, 80, 'another');
  });

  await t.test('a port of UDP', async (t) => {
    const echo = await udp(t, guest.namespace, '0.0.0.0', 53);
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    await isListening(slipway, await expose(slipway, '53:53/udp', { guest: { ...config, port: 53 } }));
    const client = await udp(t, home);
    const answer = new Promise((resolve) => client.once('message', (bytes) => resolve(String(bytes))));
    client.send('ping', 53, '127.0.0.1');
    assert.equal(await answer, 'ping');
  });

  await t.test('a port that a server of root holds: named as far as this user sees', async () => {
    await assert.rejects(expose(slipway, '80:80'), {
      code: 'ERR_PORT_IN_USE',
      message:
        "listen tcp 0.0.0.0:80: bind: address already in use: held by another user's process (user root; only root sees which); next free port 81",
    });
  });
});

test('a user who is not on the helper’s list is told so, and it is logged', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !canConfine(t) || !needs(t, 'setpriv')) return;
  const helper = await RunningHelper.start(t);
  const slipway = await slipwayOf(t, helper, STRANGER, `${helper.socket}.net`);
  await assert.rejects(expose(slipway, '80:80'), (error: { readonly code: string; readonly message: string }) => {
    assert.equal(error.code, 'ERR_HELPER_DENIED');
    assert.match(error.message, /^listen tcp 0\.0\.0\.0:80: bind: permission denied: .* does not serve user 65533$/);
    return true;
  });
  await helper.says(new RegExp(`${STRANGER}`));
  assert.deepEqual(await forwardsOf(slipway), []);
  assert.equal((await expose(slipway, '8080:80')).boundPort, 8080, 'its other ports are no matter of the helper');
});
