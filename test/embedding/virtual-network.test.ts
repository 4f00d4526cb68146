import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { closeSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { streamPair } from '../../src/host/stream-pair.ts';
import { type NetworkConfig, SlipwayError, startNetwork, VirtualNetwork } from '../../src/index.ts';
import type { EventJson } from '../../src/index.ts';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { arpFrame } from '../support/core-world.ts';
import { needsTun } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const GUEST_MAC = 0x0200_0000_0001;

async function start(t: TestContext, config: NetworkConfig = {}): Promise<VirtualNetwork> {
  const network = await startNetwork(config);
  t.after(() => network.stop());
  return network;
}

/** A server on this computer's loopback that says `words` and ends; its port. */
async function serve(t: TestContext, words: string): Promise<number> {
  const server = createServer((client) => {
    // The end of the network resets what is still open.
    client.on('error', () => {});
    client.end(words);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function refusedWith(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  };
}

test('a guest in memory reaches this computer by a name that was set, and the flow is seen and killed', async (t) => {
  const network = await start(t);
  assert.ok(network instanceof VirtualNetwork);
  assert.deepEqual(
    [network.subnet, network.gateway, network.hostAddress, network.mtu],
    ['192.168.65.0/24', '192.168.65.1', '192.168.65.254', 1500],
  );
  network.setZone({ name: 'shop.test', records: [{ name: 'api', type: 'A', address: network.hostAddress }] });
  const guest = await network.attachInMemory();
  t.after(() => guest.close());
  assert.equal(await guest.lookup('api.shop.test'), network.hostAddress);
  const port = await serve(t, 'hello');
  const socket = await guest.connect(port, 'api.shop.test');
  const [flow] = await network.flows();
  assert.equal(flow?.remote, `${network.hostAddress}:${port}`);
  assert.equal(flow.guest.split(':')[0], guest.address);
  assert.equal(await text(socket), 'hello');

  const open = createServer((client) => void client.on('error', () => {}));
  open.listen(0, '127.0.0.1');
  await once(open, 'listening');
  t.after(() => open.close());
  const killed = await guest.connect((open.address() as AddressInfo).port, network.hostAddress);
  // The guest is connected before its last segment of the handshake has arrived.
  let standing: string | undefined;
  while (standing === undefined) standing = (await network.flows()).find(({ state }) => state === 'ESTABLISHED')?.id;
  const broken = once(killed, 'error');
  assert.equal(await network.killFlow(standing), true);
  assert.equal(((await broken)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
  assert.equal(await network.killFlow('tcp-192.168.65.3:1-192.168.65.254:1'), false);
  assert.ok((await network.counters())['guest-frames-received']! > 0);
});

test('what a guest in memory cannot reach says so in Node’s own codes', async (t) => {
  const network = await start(t);
  const guest = await network.attachInMemory();
  t.after(() => guest.close());
  await assert.rejects(guest.connect(80, 'nobody.slipway.internal'), { code: 'ENOTFOUND' });
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await assert.rejects(guest.connect(port, network.hostAddress), { code: 'ECONNREFUSED' });
  assert.ok((await guest.ping(network.gateway)) > 0);
});

test('guests in memory have an address each, none that a reservation has', async (t) => {
  const reservations = [{ mac: '02:00:00:00:00:09', address: '192.168.65.3' }];
  const network = await start(t, { dhcp: { reservations } });
  const guests = await Promise.all([network.attachInMemory(), network.attachInMemory()]);
  t.after(() => {
    for (const guest of guests) guest.close();
  });
  assert.deepEqual(guests.map(({ address }) => address).sort(), ['192.168.65.4', '192.168.65.5']);
  await Promise.all(guests.map((guest) => guest.ping(network.gateway)));
  assert.deepEqual((await network.guests()).map(({ address }) => address).sort(), ['192.168.65.4', '192.168.65.5']);
});

test('a guest on a stream sends and gets frames, each behind its length', async (t) => {
  const network = await start(t);
  const attached = new Promise<EventJson>((resolve) => {
    const end = network.watch((event) => {
      if (event.type !== 'guest') return;
      end();
      resolve(event);
    });
  });
  const stream = await network.attachStream('by hand');
  t.after(() => stream.destroy());
  assert.deepEqual(await attached, { type: 'guest', change: 'attached', name: 'by hand', why: '' });
  const frame = arpFrame(1, GUEST_MAC, parseIpv4Address('192.168.65.9')!, parseIpv4Address(network.gateway)!);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  stream.write(Buffer.concat([length, frame]));
  const [answer] = (await once(stream, 'data')) as [Buffer];
  assert.ok(answer.readUInt32BE(0) >= 42);
  // ARP, a reply, from the gateway.
  assert.deepEqual([answer.readUInt16BE(16), answer.readUInt16BE(24)], [0x0806, 2]);
  assert.equal(answer.readUInt32BE(32), parseIpv4Address(network.gateway));
});

test('a guest on a socket that is handed over by its descriptor is there until it closes its end', async (t) => {
  const network = await start(t);
  const [theirs, ours] = streamPair();
  const detached = new Promise<void>((resolve) => {
    network.watch((event) => {
      if (event.type === 'guest' && event.change === 'detached' && event.name === 'handed over') resolve();
    });
  });
  await network.attachSocket(theirs, 'handed over');
  assert.deepEqual(
    (await network.guests()).map(({ name }) => name),
    ['handed over'],
  );
  closeSync(ours);
  await detached;
  assert.deepEqual(await network.guests(), []);
});

test('guests attach at a unix socket and at a port that the host chose', async (t) => {
  const network = await start(t);
  const file = path.join(temporaryFolder('embedding'), 'vm.sock');
  assert.equal(await network.listen(`qemu+unix://${file}`), 0);
  assert.ok((await network.listen('qemu+tcp://127.0.0.1:0')) > 0);
  const guest = await MemoryGuest.attach(file, { mac: GUEST_MAC, mtu: 1500 });
  t.after(() => guest.close());
  guest.configure(parseIpv4Address('192.168.65.9')!, 0xffff_ff00, parseIpv4Address(network.gateway)!);
  assert.ok((await guest.ping(parseIpv4Address(network.gateway)!)) > 0);
  await assert.rejects(network.listen('udp://x'), refusedWith('ERR_LISTEN_URL', /^expected qemu\+unix/));
  await assert.rejects(network.listen('qemu+unix:///nowhere/at/all/vm.sock'), refusedWith('ERR_LISTEN_FAILED', /./));
});

test('a command has this network and no other, and its port is published', async (t) => {
  if (!needsTun(t)) return;
  const network = await start(t);
  const [forward] = await network.publish({ host: '127.0.0.1:0', guest: '8080', waitSeconds: 30 });
  const script =
    "const s = require('net').createServer((c) => c.end('from the guest')).listen(8080); s.on('connection', (c) => c.on('close', () => process.exit(5)))";
  const guest = await network.runCommand([process.execPath, '-e', script]);
  t.after(() => guest.kill('SIGKILL'));
  const { connect } = await import('node:net');
  assert.equal(await text(connect(forward!.boundPort, '127.0.0.1')), 'from the guest');
  assert.equal(await guest.status, 5);
  assert.deepEqual(
    (await network.forwards()).map(({ id }) => id),
    [forward!.id],
  );
  assert.equal(await network.unpublish(forward!.id), true);
  assert.equal(await network.unpublish(forward!.id), false);
});

test('services come, are listed and go, and have their names', async (t) => {
  const network = await start(t);
  const port = await serve(t, 'a database');
  const service = await network.addService({
    address: '192.168.65.200',
    port: 5432,
    target: `127.0.0.1:${port}`,
    name: 'db.test',
  });
  assert.deepEqual(network.services(), [service]);
  const guest = await network.attachInMemory();
  t.after(() => guest.close());
  assert.equal(await text(await guest.connect(5432, 'db.test')), 'a database');
  const { answer } = await network.lookup('db.test');
  assert.deepEqual(
    answer.map(({ name, type, data }) => [name, type, data]),
    [['db.test.', 'A', '192.168.65.200']],
  );
  assert.equal(await network.removeService(service.id), true);
  assert.equal(await network.removeService(service.id), false);
  assert.deepEqual(network.services(), []);
});

test('what does not fit is refused by key, with a code', async (t) => {
  await assert.rejects(
    startNetwork({ network: { subent: '10.0.0.0/24' } } as NetworkConfig),
    refusedWith('ERR_CONFIG_INVALID', /^network\.subent: unknown key; did you mean "subnet"\?$/),
  );
  await assert.rejects(startNetwork({ network: { gateway: '10.1.1.1' } }), refusedWith('ERR_ADDRESSES', /10\.1\.1\.1/));
  await assert.rejects(
    startNetwork({ control: { socket: '/tmp/x' } } as NetworkConfig),
    refusedWith('ERR_CONFIG_INVALID', /^control: unknown key/),
  );
  const network = await start(t);
  await assert.rejects(network.publish('eighty'), refusedWith('ERR_CONFIG_INVALID', /^forward\.publish: expected/));
  await assert.rejects(network.publish({ host: '*:80' } as never), refusedWith('ERR_CONFIG_INVALID', /guest or ssh/));
  await assert.rejects(
    network.addService({ target: 'nowhere' }),
    refusedWith('ERR_CONFIG_INVALID', /^service\.target/),
  );
  assert.throws(
    () => network.setZone({ name: 'a.test', records: [{ name: 'x', type: 'A' }] }),
    refusedWith('ERR_CONFIG_INVALID', /^zone\.records\.0\.address: expected/),
  );
  await assert.rejects(network.lookup('a.test', 'NONSENSE'), refusedWith('ERR_USAGE', /AAAA/));
  await assert.rejects(network.connectToGuest(80, 'x'), refusedWith('ERR_USAGE', /IPv4/));
  await assert.rejects(network.connectToGuest(80), refusedWith('ERR_GUEST_UNREACHABLE', /no guest/));
});

test('a network that has stopped refuses, and may be stopped again', async (t) => {
  const network = await start(t);
  await network.stop();
  await network.stop();
  await assert.rejects(network.flows(), refusedWith('ERR_NETWORK_THREAD', /not running/));
});
