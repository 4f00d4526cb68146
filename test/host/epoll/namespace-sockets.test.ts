import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ListenState } from '../../../src/env/guest-sockets.ts';
import type { HostStream, HostStreamHandler } from '../../../src/env/host.ts';
import type { NamespaceSockets } from '../../../src/host/epoll/namespace-sockets.ts';
import { startNamespaceGuest } from '../../../src/host/namespace/namespace-guest.ts';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { canRunGuests, NETWORK } from '../namespace/guest.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';

const ADDRESS = 0xc0a84103;
const QUIET: HostStreamHandler = { connected() {}, failed() {}, readable() {}, writable() {} };

/** Does what it is told with sockets, line by line. */
const DRIVER = `
import socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
lines = link.makefile('rw')
held = {}
for line in lines:
    what, address, port, *more = line.split()
    if what == 'listen':
        one = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ':' in address: one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(more[0]))
        if more[1:]: one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, more[1].encode())
        one.bind((address, int(port)))
        one.listen(512)
        held[address, port] = one
    elif what == 'many':
        held['many'] = [socket.create_server((address, int(port) + i)) for i in range(int(more[0]))]
    elif what == 'close':
        held.pop((address, port)).close()
    elif what == 'greet':
        for _ in range(int(more[0])):
            client, peer = held[address, port].accept()
            client.sendall(peer[0].encode())
            client.close()
    lines.write('done\\n')
    lines.flush()
`;

interface Site {
  readonly harness: EpollHarness;
  readonly sockets: NamespaceSockets;
  /** Settles when it is done; the engine turns meanwhile. */
  tell(order: string): Promise<void>;
}

async function open(t: TestContext): Promise<Site | undefined> {
  if (!canRunGuests(t) || !needs(t, 'python3')) return undefined;
  const path = join(temporaryFolder('namespace'), 'driver.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const guest = await startNamespaceGuest({
    ...NETWORK,
    command: ['python3', '-c', DRIVER, path],
    forwardSignals: false,
  });
  const harness = createEpollHarness();
  assert.ok(guest.sockets);
  const sockets = harness.host.seeSockets(guest.sockets);
  t.after(async () => {
    guest.abort();
    server.close();
    sockets.close();
    await guest.exited;
  });
  guest.proceed();
  const [driver] = (await once(server, 'connection')) as [Socket];
  let done = 0;
  driver.setEncoding('utf8').on('data', (text: string) => {
    done += text.split('\n').length - 1;
  });
  const tell = async (order: string): Promise<void> => {
    const before = done;
    driver.write(`${order}\n`);
    await harness.until(() => done > before, order);
  };
  return { harness, sockets, tell };
}

test('each way to listen is told apart: from outside, at loopback only, or not at all', {
  timeout: 60_000,
}, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { sockets, tell } = site;
  const cases: readonly (readonly [listen: string, state: ListenState])[] = [
    ['0.0.0.0 1001', 'listens'],
    ['192.168.65.3 1002', 'listens'],
    ['127.0.0.1 1003', 'loopback'],
    ['127.0.0.77 1004', 'loopback'],
    [':: 1005 0', 'listens'],
    [':: 1006 1', 'nobody'],
    ['::1 1007 1', 'loopback'],
    ['::ffff:127.0.0.1 1008 0', 'loopback'],
    ['::ffff:192.168.65.3 1009 0', 'listens'],
    ['0.0.0.0 1010 0 lo', 'loopback'],
    ['0.0.0.0 1011 0 tap0', 'listens'],
  ];
  for (const [listen] of cases) await tell(`listen ${listen}`);
  for (const [listen, state] of cases) {
    assert.equal(sockets.tcp(ADDRESS, Number(listen.split(' ')[1])), state, listen);
  }
  assert.equal(sockets.tcp(ADDRESS, 999), 'nobody');
  assert.equal(sockets.tcp(0xc0a84104, 1002), 'nobody', 'another address of the guest');
});

test('a watcher hears that a listener came and that it went', { timeout: 60_000 }, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { harness, sockets, tell } = site;
  let told = 0;
  sockets.watch({ socketsChanged: () => told++ });
  assert.equal(sockets.tcp(ADDRESS, 1001), 'nobody');
  await tell('listen 0.0.0.0 1001');
  await harness.until(() => told > 0 && sockets.tcp(ADDRESS, 1001) === 'listens', 'the listener is seen');
  told = 0;
  await tell('close 0.0.0.0 1001');
  await harness.until(() => told > 0 && sockets.tcp(ADDRESS, 1001) === 'nobody', 'its end is told');
});

test('looks are frequent while a watcher waits for a listener, and not for one that has left or for a client that was refused', {
  timeout: 60_000,
}, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { harness, sockets } = site;
  const asks = (port: number): { asked: number; socketsChanged(): void } => ({
    asked: 0,
    socketsChanged() {
      this.asked++;
      if (port > 0) sockets.deaf(ADDRESS, port, 1);
    },
  });
  const [calm, waits] = [asks(0), asks(1001)];
  sockets.watch(calm);
  assert.equal(sockets.tcp(ADDRESS, 1002), 'nobody', 'a client of a range, for instance');
  await harness.until(() => calm.asked > 0, 'the first look');
  assert.equal(sockets.eager, false);
  sockets.watch(waits);
  assert.equal(sockets.deaf(ADDRESS, 1001, 1), true);
  assert.equal(sockets.eager, true);
  const asked = calm.asked;
  sockets.unwatch(waits);
  await harness.until(() => calm.asked > asked, 'who is left is asked again');
  assert.equal(sockets.eager, false);
});

test('of thousands of listeners that one look cannot bring, none is said to be missing', {
  timeout: 60_000,
}, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { sockets, tell } = site;
  // More than one part of a list, fewer than are kept.
  await tell('many 127.0.0.1 2000 900');
  for (let port = 2000; port < 2900; port++) assert.equal(sockets.tcp(ADDRESS, port), 'loopback', String(port));
  assert.equal(sockets.tcp(ADDRESS, 1999), 'nobody');
  assert.deepEqual(
    // From fewer ports than listeners to more.
    [
      [1000, 1000],
      [1000, 1001],
      [2899, 2],
      [2900, 2],
      [2900, 62_000],
      [1, 65_535],
    ].map(([first, count]) => sockets.deaf(ADDRESS, first!, count!)),
    [true, false, false, true, true, false],
    'ranges that hold no listener',
  );
});

for (const [listen, peer] of [
  ['127.0.0.1 1001', '127.0.0.1'],
  ['127.0.0.77 1001', '127.0.0.1'],
  ['::1 1001 1', '::1'],
] as const) {
  test(`a listener at ${listen} alone is dialled from within, more clients than sockets are in store too`, {
    timeout: 60_000,
  }, async (t) => {
    const site = await open(t);
    if (site === undefined) return;
    const { harness, sockets, tell } = site;
    await tell(`listen ${listen}`);
    assert.equal(sockets.tcp(ADDRESS, 1001), 'loopback');
    const streams: HostStream[] = [];
    let connected = 0;
    const dial = (): void => {
      const stream = sockets.dialLoopback(1001, { ...QUIET, connected: () => connected++ }, dial);
      assert.notEqual(typeof stream, 'string');
      if (typeof stream === 'object') streams.push(stream);
    };
    for (let i = 0; i < 100; i++) dial();
    await harness.until(() => connected === 100, 'all are connected');
    const [address = '', port = ''] = listen.split(' ');
    await tell(`greet ${address} ${port} 100`);
    const at = harness.arena.allocate(64);
    for (const stream of streams) {
      let read = 0;
      await harness.until(() => {
        read = stream.peekInto(0, at, 64, 64, 1);
        return read > 0;
      }, 'the greeting');
      const text = Buffer.from(harness.arena.bytes.subarray(at, at + read)).toString();
      assert.ok(text === peer || text === address, text);
      stream.abort();
    }
  });
}

test('a loopback port at which nobody listens any more refuses the dial', { timeout: 60_000 }, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { harness, sockets, tell } = site;
  await tell('listen 127.0.0.1 1001');
  assert.equal(sockets.tcp(ADDRESS, 1001), 'loopback');
  await tell('close 127.0.0.1 1001');
  let failure = '';
  const dial = (): void => {
    const outcome = sockets.dialLoopback(
      1001,
      {
        ...QUIET,
        failed: (code) => {
          failure = code;
        },
      },
      dial,
    );
    if (typeof outcome === 'string') failure = outcome;
  };
  dial();
  await harness.until(() => failure !== '', 'the refusal');
  assert.equal(failure, 'ECONNREFUSED');
});

test('when the guest is gone every descriptor of its network is closed, and who waits for one learns it', {
  timeout: 60_000,
}, async (t) => {
  const site = await open(t);
  if (site === undefined) return;
  const { harness, sockets, tell } = site;
  await tell('listen 127.0.0.1 1001');
  assert.equal(sockets.tcp(ADDRESS, 1001), 'loopback');
  let outcome: HostStream | string | undefined;
  while (true) {
    outcome = sockets.dialLoopback(1001, QUIET, () => {
      outcome = sockets.dialLoopback(1001, QUIET, () => {});
    });
    if (outcome === undefined) break;
    if (typeof outcome === 'object') outcome.abort();
  }
  sockets.close();
  assert.equal(outcome, 'ECONNREFUSED');
  assert.equal(sockets.tcp(ADDRESS, 1001), 'unknown');
  assert.deepEqual(harness.descriptors.list('flow'), []);
});
