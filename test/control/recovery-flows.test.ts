import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { startNetwork } from '../../src/control/start-network.ts';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { SocketPaths } from '../host/suite/socket-paths.ts';
import { ip } from '../support/core-world.ts';

const GATEWAY = ip('192.168.65.1');
const HOST = ip('192.168.65.254');
const MASK = ip('255.255.255.0');

for (const [engine, fault] of [
  ['epoll', 'throw'],
  ['epoll', 'spin'],
  // Node itself closes what a thread had that is stuck: there is no reset to be had.
  ['node', 'throw'],
] as const) {
  test(`a server hears of the death of the network thread as a reset (${engine}, ${fault})`, async (t) => {
    const paths = new SocketPaths();
    const place = paths.path('guests.sock');
    const log = new EventEmitter();
    const line = once(log, 'line') as Promise<[string]>;
    const network = await startNetwork(
      resolveConfig({ engine }),
      { info: () => {}, warn: () => {}, error: (message) => void log.emit('line', message) },
      (error) => log.emit('line', error.message),
    );
    const server = createServer();
    t.after(async () => {
      await network.stop();
      server.close();
      paths.remove();
    });
    const url = parseListenUrl(`qemu+unix://${place}`);
    assert.ok(typeof url === 'object');
    await network.control.attachments.listen(url);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const guest = await MemoryGuest.attach(place, { mac: 0x0200_0000_0001, mtu: 1500 });
    t.after(() => guest.close());
    guest.configure(ip('192.168.65.10'), MASK, GATEWAY);
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const socket = guest.connect(HOST, (server.address() as AddressInfo).port);
    socket.on('error', () => {});
    socket.write('hello');
    const [peer] = await accepted;
    await once(peer, 'data');
    const ending = new Promise<string>((resolve) => {
      peer.once('end', () => resolve('end'));
      peer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    network.control.fault(fault);
    assert.equal(await ending, 'ECONNRESET');
    assert.match((await line)[0], /^network thread died: .*; 1 flows reset, 0 guests kept$/);
  });
}
