import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connectNamespaces, nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { dialled, endingOf, execute, listen, udp } from '../support/sockets.ts';
import { createRoutedNetwork, SERVER } from './routed-network.ts';
import { download, MIB, upload } from './transfers.ts';

test('the host changes from one uplink to another during a transfer', { timeout: 120_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'sysctl', 'ping')) return;
  const { home, router, outside } = createRoutedNetwork(t);
  connectNamespaces(
    { namespace: home, device: 'up1', address: '10.3.0.2/24' },
    { namespace: router, device: 'down1', address: '10.3.0.1/24' },
  );
  const slipway = await Slipway.start(t, { namespace: home });
  const { guest } = slipway;
  const { port, accept } = await listen(t, outside);
  const server = await udp(t, outside, SERVER);
  server.on('message', (_bytes, from) => server.send(from.address, from.port, from.address));

  const old = await dialled(t, guest, port, SERVER);
  const oldEnding = endingOf(old);
  const oldServer = await accept();
  assert.equal(oldServer.remoteAddress, '10.1.0.2');
  const client = await udp(t, guest);
  const seenAs = async (): Promise<string> => {
    const answer = once(client, 'message') as Promise<[Buffer]>;
    client.send('who am I?', server.address().port, SERVER);
    return String((await answer)[0]);
  };
  assert.equal(await seenAs(), '10.1.0.2');
  void upload(old, 1024 * MIB).catch(() => {});
  oldServer.resume();
  await once(oldServer, 'data');

  nsExec(home, 'ip', 'address', 'del', '10.1.0.2/24', 'dev', 'up0');
  nsExec(home, 'ip', 'route', 'add', 'default', 'via', '10.3.0.1');

  await t.test('a new connection leaves by the new one at once', async (t) => {
    const next = await dialled(t, guest, port, SERVER);
    const nextServer = await accept();
    assert.equal(nextServer.remoteAddress, '10.3.0.2');
    const [sent, received] = await Promise.all([upload(next, 64 * MIB), download(nextServer)]);
    assert.equal(received, sent);
  });

  await t.test('the same UDP socket of the guest goes on, from the new address', async () => {
    assert.equal(await seenAs(), '10.3.0.2');
  });

  await t.test('ping goes on', async (t) => {
    const { stdout } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '5', SERVER);
    assert.match(stdout, /1 received/);
  });

  await t.test('the connection of the address that has gone ends with an error', async () => {
    assert.equal(await oldEnding, 'ECONNRESET');
  });
});
