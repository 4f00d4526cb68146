import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import type { TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, isListening, publishing } from '../support/published.ts';
import { GATEWAY, HOST } from '../support/slipway.ts';
import { dialled, execute, listen } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const ADDRESS = '192.168.65.20';
const SERVICE = 80;
const PUBLISHED = 8080;

/** A server in the guest that says whose it is. */
async function serve(t: TestContext, guest: TestNamespace, name: string): Promise<void> {
  const { server } = await listen(t, guest, { port: SERVICE });
  server.on('connection', (socket) => socket.end(name));
}

async function pings(t: TestContext, guest: TestNamespace, seconds: number): Promise<boolean> {
  return (await execute(t, guest, 'ping', '-n', '-c', '1', '-W', `${seconds}`, GATEWAY)).status === 0;
}

test('of two guests with one address the first keeps it, with its connections and its published port; the second has it when the first is gone', {
  timeout: 120_000,
}, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'ping')) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const { home, slipway } = await publishing(t, { mtu: 1_500, guest: false, listen: [`qemu+unix://${socket}`] });
  const published = async (): Promise<string> => {
    const client = await dialled(t, home, PUBLISHED, '127.0.0.1');
    return String((await once(client, 'data'))[0]);
  };

  const first = await plugGuest(t, { socket, address: ADDRESS });
  await serve(t, first.namespace, 'first');
  const target = { kind: 'port', address: parseIpv4Address(ADDRESS), port: SERVICE } as const;
  await isListening(slipway, await expose(slipway, `127.0.0.1:${PUBLISHED}:${SERVICE}`, { guest: target }));
  assert.equal(await published(), 'first');
  const { port, accept } = await listen(t, home);
  const guestSide = await dialled(t, first.namespace, port, HOST);
  const hostSide = await accept();

  const second = await plugGuest(t, { socket, address: ADDRESS });
  await serve(t, second.namespace, 'second');
  for (let i = 0; i < 3; i++) {
    assert.equal(await pings(t, second.namespace, 1), false, 'the second is not heard');
    for (const [from, to] of [
      [guestSide, hostSide],
      [hostSide, guestSide],
    ] as const) {
      const heard = once(to, 'data');
      from.write('still here');
      assert.equal(String((await heard)[0]), 'still here');
    }
    assert.equal(await published(), 'first');
  }
  const lines = slipway.log.filter((line) => line.startsWith('two guests have the same address'));
  assert.equal(lines.length, 1, slipway.log.join('\n'));

  await first.unplug();
  while (!(await pings(t, second.namespace, 1)));
  assert.equal(await published(), 'second');
});
