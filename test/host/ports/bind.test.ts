import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { connect, createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type BindFailure,
  type BoundPorts,
  bindPorts,
  closePorts,
  type PortRequest,
} from '../../../src/host/ports/bind.ts';
import { nextFreePort } from '../../../src/host/ports/next-free.ts';
import { openPorts } from '../../../src/host/ports/open-ports.ts';
import { placesOf } from '../../../src/host/ports/places.ts';
import { boundAt, startListening } from '../../../src/host/ports/socket-calls.ts';
import { portsInTheWay, socketsInTheWay } from '../../../src/host/ports/socket-table.ts';
import { createNamespace, inNamespace } from '../../support/namespace.ts';
import { needs, needsRoot } from '../../support/needs.ts';

const ANY: PortRequest = { protocol: 'tcp', address: '', port: 0, count: 1, ipv4Only: false };

function bind(t: TestContext, asked: Partial<PortRequest>): BoundPorts {
  const bound = bindPorts({ ...ANY, ...asked });
  assert.ok(!('failure' in bound), JSON.stringify(bound));
  t.after(() => closePorts(bound));
  return bound;
}

function fails(asked: Partial<PortRequest>): BindFailure {
  const bound = bindPorts({ ...ANY, ...asked });
  if (!('failure' in bound)) closePorts(bound);
  assert.ok('failure' in bound, 'nothing may be bound');
  return bound;
}

for (const protocol of ['tcp', 'udp'] as const) {
  test(`${protocol}: port 0 is chosen once, and is the same for IPv4 and IPv6`, (t) => {
    const { sockets, boundPort, descriptors } = bind(t, { protocol });
    assert.equal(descriptors, 2);
    assert.deepEqual(sockets.index, [0, 0]);
    assert.ok(boundPort > 0);
    for (const fd of sockets.fds) assert.deepEqual(boundAt(fd), { protocol, port: boundPort });
  });

  test(`${protocol}: nobody binds beside a bound socket, though it does not listen`, (t) => {
    const { boundPort } = bind(t, { protocol });
    for (const address of ['', '0.0.0.0', '::', '127.0.0.1', '::1']) {
      const failure = fails({ protocol, address, port: boundPort });
      assert.equal(failure.failure === 'refused' && failure.errno, 'EADDRINUSE', address);
    }
  });

  test(`${protocol}: an IPv6 socket leaves IPv4 to others`, (t) => {
    const { boundPort } = bind(t, { protocol, address: '::' });
    bind(t, { protocol, address: '0.0.0.0', port: boundPort });
  });
}

test('IPv4 only takes half of the descriptors', (t) => {
  assert.equal(bind(t, { ipv4Only: true }).descriptors, 1);
});

test('an IPv4-mapped address is the IPv4 address', (t) => {
  const { boundPort } = bind(t, { address: '::ffff:127.0.0.1' });
  assert.equal(fails({ address: '127.0.0.1', port: boundPort }).failure, 'refused');
});

test('a range of which one port is taken leaves no socket behind, and names that port', (t) => {
  // An address that nobody else uses, so that only sockets at every address could disturb.
  const address = '127.52.19.3';
  const taken = bind(t, { address }).boundPort;
  const failure = fails({ address, port: taken - 3, count: 8 });
  assert.equal(failure.failure === 'refused' && failure.port, taken);
  bind(t, { address, port: taken - 3, count: 3 });
});

test('one look at the kernel’s lists tells the ports that are held, listening or only bound', (t) => {
  const bound = bind(t, { address: '127.0.0.1' }).boundPort;
  const listening = bind(t, { address: '127.0.0.1' });
  assert.equal(startListening(listening.sockets.fds[0]!, 1), 0);
  const held = portsInTheWay('tcp', placesOf('127.0.0.1', true)!);
  assert.ok(held.has(listening.boundPort));
  assert.equal(held.has(bound), socketsInTheWay('tcp', placesOf('127.0.0.1', true)![0]!, bound).length > 0);
  assert.equal(portsInTheWay('udp', placesOf('127.0.0.1', true)!).has(listening.boundPort), false);
});

test('the places in a range count from its first port, for both families', (t) => {
  const free = nextFreePort({ ...ANY, count: 4 }, 20_000);
  assert.ok(free !== undefined);
  const { sockets, boundPort } = bind(t, { port: free, count: 4 });
  assert.equal(boundPort, free);
  assert.deepEqual(sockets.index, [0, 0, 1, 1, 2, 2, 3, 3]);
  assert.deepEqual(
    sockets.fds.map((fd) => boundAt(fd)?.port),
    sockets.index.map((i) => free + i),
  );
});

test('8,192 ports of both families are one sweep', (t) => {
  if (!needsRoot(t) || !needs(t, 'ip', 'nsenter')) return;
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
  if (limit < 17_000) return t.skip(`needs 17,000 descriptors, and there are ${limit}`);
  const namespace = createNamespace(t);
  const startMs = performance.now();
  const bound = inNamespace(namespace, () => bindPorts({ ...ANY, port: 8000, count: 8192 }));
  const tookMs = performance.now() - startMs;
  assert.ok(!('failure' in bound), JSON.stringify(bound));
  closePorts(bound);
  assert.equal(bound.descriptors, 16_384);
  t.diagnostic(`${bound.descriptors} sockets bound in ${tookMs.toFixed(0)} ms`);
});

test('a bound socket listens and serves; TIME-WAIT of its past connections does not keep its port', async (t) => {
  const { sockets, boundPort } = bind(t, { address: '127.0.0.1' });
  assert.equal(startListening(sockets.fds[0]!, 16), 0);
  const client = connect(boundPort, '127.0.0.1');
  await new Promise((resolve) => client.once('connect', resolve));
  client.destroy();
  const server = await listening(t);
  const { port } = server.address() as { port: number };
  const ended = new Promise((resolve) => server.once('connection', (socket) => socket.end().once('close', resolve)));
  const other = connect(port, '127.0.0.1');
  other.resume();
  await ended;
  await new Promise((resolve) => server.close(resolve));
  bind(t, { address: '127.0.0.1', port });
});

test('a text that is no address, or none of this computer', async () => {
  assert.equal(fails({ address: 'localhost' }).failure, 'no-address');
  const failure = fails({ address: '192.0.2.77', port: 5000 });
  assert.equal(failure.failure === 'refused' && failure.errno, 'EADDRNOTAVAIL');
  await assert.rejects(openPorts({ ...ANY, address: '2001:db8::7', port: 5000 }, { helper: 'none' }), {
    code: 'ERR_PORT_ADDRESS',
    message: 'listen tcp [2001:db8::7]:5000: bind: cannot assign requested address',
  });
});

test('a range that takes too many descriptors says how many, before it binds any', () => {
  const probe = `
    import { openPorts } from ${JSON.stringify(fileURLToPath(new URL('../../../src/host/ports/open-ports.ts', import.meta.url)))};
    const request = { protocol: 'tcp', address: '', port: 20000, count: 200, ipv4Only: false };
    await openPorts(request, { helper: 'none' }).catch(({ code, message, hint }) => console.log(JSON.stringify({ code, message, hint })));`;
  const script = 'ulimit -n 256 && exec "$0" --input-type=module -e "$1"';
  const said = JSON.parse(execFileSync('sh', ['-c', script, process.execPath, probe], { encoding: 'utf8' }));
  assert.equal(said.code, 'ERR_PORT_LIMIT');
  assert.match(
    said.message,
    /^listen tcp 0\.0\.0\.0:20000-20199: too many open files: 200 ports take 400 descriptors, one for IPv4 and one for IPv6 each; this process may have 256 \(RLIMIT_NOFILE\), and \d+ are open$/,
  );
  assert.match(
    said.hint,
    /^Start Slipway after ulimit -n 4\d\d \(LimitNOFILE=4\d\d in a systemd unit\), or use IPv4 only/,
  );
});

async function listening(t: TestContext): Promise<Server> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
