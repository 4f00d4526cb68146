import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { startNetwork } from '../../src/control/start-network.ts';
import type { LogFields } from '../../src/env/log.ts';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { SocketPaths } from '../host/suite/socket-paths.ts';
import { ip } from '../support/core-world.ts';

test('a host that lets nobody ping is said once, with the way out, when a guest first pings the outside', async (t) => {
  const paths = new SocketPaths();
  const place = paths.path('guests.sock');
  const warnings: [string, LogFields | undefined][] = [];
  const warn = (message: string, fields?: LogFields): void => void warnings.push([message, fields]);
  // Node has no ICMP sockets, so the portable engine is such a host.
  const network = await startNetwork(resolveConfig({ engine: 'node' }), { info() {}, warn, error: warn }, assert.fail);
  t.after(async () => {
    await network.stop();
    paths.remove();
  });
  const url = parseListenUrl(`qemu+unix://${place}`);
  assert.ok(typeof url === 'object');
  await network.control.attachments.listen(url);
  const guest = await MemoryGuest.attach(place, { mac: 0x0200_0000_0001, mtu: 1500 });
  t.after(() => guest.close());
  guest.configure(ip('192.168.65.10'), ip('255.255.255.0'), ip('192.168.65.1'));
  await guest.ping(ip('192.168.65.1'));
  assert.equal(warnings.length, 0, 'nobody pinged yet');
  for (const _ of [1, 2]) void guest.ping(ip('203.0.113.7')).catch(() => {});
  await guest.ping(ip('192.168.65.1'));
  // What the network thread said before its answer is here before it.
  const { counters } = await network.control.ask('status');
  assert.equal(counters['icmp-echo-no-ping-socket'], 2);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]![0], /guests cannot ping the outside/);
  assert.match(String(warnings[0]![1]?.hint), /--host-engine epoll/);
});
