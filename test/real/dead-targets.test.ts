import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { dialled, type Listening, listen, start } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createRoutedNetwork, SERVER } from './routed-network.ts';

const MONITOR = fileURLToPath(new URL('../support/dead-targets.py', import.meta.url));
const TARGETS = 5_000;
const FIRST_TARGET = '10.3.0.1';
/** Each dial of a guest is a socket of the host's. */
const DESCRIPTORS = 16_384;
const CONNECTIONS = 50;

/** A word there and back. */
async function speaks(client: Socket, server: Socket): Promise<void> {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    from.write('hello');
    assert.equal(String((await once(to, 'data'))[0]), 'hello');
  }
}

test(`a guest that asks ${TARGETS} dead targets waits for them as it would natively, and neither its other connections nor another guest’s notice`, {
  timeout: 180_000,
}, async (t) => {
  if (!canRunGuests(t) || !canRunStreamGuests(t) || !needs(t, 'prlimit')) return;
  const { home, router, outside } = createRoutedNetwork(t);
  // What is forwarded there vanishes without a word.
  nsExec(router, 'ip', 'route', 'add', 'blackhole', '10.3.0.0/16');
  // Nobody gives up within the test, however long that takes.
  const patience = ['sysctl', '-q', '-w', 'net.ipv4.tcp_syn_retries=10'];
  nsExec(home, ...patience);
  const socket = join(temporaryFolder('test'), 'net.sock');
  const slipway = await Slipway.start(t, {
    enter: ['prlimit', `--nofile=${DESCRIPTORS}`, 'nsenter', `--net=${home.path}`, '--'],
    listen: [`qemu+unix://${socket}`],
  });
  const monitor = slipway.guest;
  nsExec(monitor, ...patience);
  const neighbor = (await plugGuest(t, { socket, address: '192.168.65.10' })).namespace;
  const server: Listening = await listen(t, outside);
  const kept = await dialled(t, neighbor, server.port, SERVER);
  const keptEnd = await server.accept();

  const asking = start(t, monitor, 'python3', MONITOR, FIRST_TARGET, `${TARGETS}`, '80');
  await once(asking.stdout!, 'data');
  await slipway.reaches(
    ({ counters }) => counters['tcp-dials-in-flight']! >= TARGETS,
    'each dead target is dialled',
    60_000,
  );

  for (let i = 0; i < CONNECTIONS; i++) {
    for (const guest of [neighbor, monitor]) {
      const client = await dialled(t, guest, server.port, SERVER);
      await speaks(client, await server.accept());
      client.destroy();
    }
  }
  await speaks(kept, keptEnd);

  asking.stdin!.end();
  assert.equal(String((await once(asking.stdout!, 'data'))[0]).trim(), '0', 'connections to dead targets that ended');
  const { counters } = await slipway.status();
  assert.equal(counters['tcp-dial-evicted'] ?? 0, 0);
});
