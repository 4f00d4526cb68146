import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startCommandGuest } from '../../src/embedding/command-guest.ts';
import { firstGuestAddress } from '../../src/embedding/guest-addresses.ts';
import { resolveConfig } from '../../src/config/config.ts';
import type { ControlLog } from '../../src/control/network-control.ts';
import { startNetwork } from '../../src/control/start-network.ts';
import { needs, needsRoot, needsTun } from '../support/needs.ts';

/**
 * Connects to the host, waits for the end of that connection, then connects again by name; its status tells how far it
 * came.
 */
const GUEST = `
const { connect } = require('node:net');
const port = Number(process.argv[1]);
const first = connect(port, '192.168.65.254');
first.on('error', () => {});
// It keeps speaking: a kernel that is silent learns of no reset.
const talk = setInterval(() => first.write('first'), 20);
first.on('close', () => {
  clearInterval(talk);
  const again = connect(port, 'host.docker.internal');
  again.on('error', () => process.exit(9));
  again.on('connect', () => again.end('second'));
  again.on('close', () => process.exit(5));
});
`;

test('slow: when the network thread dies, a guest’s flow is reset and its next one works', async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const errors: string[] = [];
  const log: ControlLog = { info: () => {}, warn: () => {}, error: (message) => errors.push(message) };
  const network = await startNetwork(resolveConfig({ network: { mtu: 65_520 } }), log, (error) =>
    errors.push(error.message),
  );
  t.after(() => network.stop());
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;

  const firstConnection = once(server, 'connection') as Promise<[Socket]>;
  const guest = await startCommandGuest(
    network,
    firstGuestAddress(network.config),
    [process.execPath, '-e', GUEST, String(port)],
    {
      forwardSignals: false,
    },
  );
  const [first] = await firstConnection;
  await once(first, 'data');
  const hostSaw = new Promise<string>((resolve) =>
    first.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')),
  );

  const secondConnection = once(server, 'connection') as Promise<[Socket]>;
  network.control.fault('throw');
  assert.equal(await hostSaw, 'ECONNRESET');
  const [second] = await secondConnection;
  assert.equal(String((await once(second, 'data'))[0]), 'second');
  second.end();
  assert.equal(await guest.status, 5);
  assert.deepEqual(errors, ['network thread died: a fault that a test asked for; 1 flows reset, 1 guests kept']);
});

test('slow: a tap that its guest took away keeps no network thread from being replaced', async (t) => {
  if (!needsRoot(t) || !needsTun(t) || !needs(t, 'ip')) return;
  const errors: string[] = [];
  const log: ControlLog = { info: () => {}, warn: () => {}, error: (message) => errors.push(message) };
  const network = await startNetwork(resolveConfig({}), log, (error) => errors.push(error.message));
  t.after(() => network.stop());
  const command = ['sh', '-c', 'ip link del tap0; exec sleep 60'];
  const guest = await startCommandGuest(network, firstGuestAddress(network.config), command, { forwardSignals: false });
  t.after(() => guest.kill('SIGKILL'));
  while ((await network.status()).guests.length > 0) await setTimeout(5);
  network.control.fault('throw');
  while (errors.length === 0) await setTimeout(5);
  assert.deepEqual((await network.status()).guests, []);
  assert.deepEqual(errors, ['network thread died: a fault that a test asked for; 0 flows reset, 0 guests kept']);
});
