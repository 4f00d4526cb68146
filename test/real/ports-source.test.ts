import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectNamespaces, createNamespace, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, fetched, httpServer, nginx, publishing, socketSpec } from '../support/published.ts';
import { canRunGuests, GATEWAY, HOST } from '../support/slipway.ts';
import { dialled, drained, execute, listen, udp } from '../support/sockets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const HOME = '10.1.0.2';
const OUTSIDE = '10.1.0.9';

test('a guest sees the real address of its clients', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nginx', 'curl')) return;
  const { home, slipway } = await publishing(t);
  const outside = createNamespace(t, 'outside');
  connectNamespaces(
    { namespace: home, device: 'up0', address: `${HOME}/24` },
    { namespace: outside, device: 'in0', address: `${OUTSIDE}/24` },
  );
  await nginx(t, slipway.guest);
  await expose(slipway, '8080:80');
  const who = (namespace: TestNamespace, host: string, port = 8080, ...more: readonly string[]): Promise<string> =>
    fetched(t, namespace, `http://${host}:${port}/who`, ...more);

  await t.test('of another machine: address and port', async () => {
    assert.equal(await who(outside, HOME, 8080, '--local-port', '45678'), `${OUTSIDE} 45678`);
  });

  await t.test('of the host itself: the host address, with the client’s port', async () => {
    assert.equal(await who(home, '127.0.0.1', 8080, '--local-port', '45679'), `${HOST} 45679`);
    assert.equal(await who(home, '[::1]', 8080, '--local-port', '45680'), `${HOST} 45680`);
    const path = join(temporaryFolder('ports'), 'web.sock');
    await expose(slipway, socketSpec(path, 80));
    assert.match(await fetched(t, home, '--unix-socket', path, 'http://web/who'), new RegExp(`^${HOST} \\d+$`));
  });

  await t.test('of two that have one port: another for the second', async (t) => {
    const { accept } = await listen(t, slipway.guest, { port: 82 });
    await expose(slipway, '8082:82');
    const seen: string[] = [];
    for (const [localAddress, host] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
    ] as const) {
      const client = await dialled(t, home, 8082, host, { localAddress, localPort: 50_000 });
      const server = await accept();
      seen.push(`${server.remoteAddress} ${server.remotePort}`);
      server.write(`${seen.length}`);
      assert.equal(String((await once(client, 'data'))[0]), `${seen.length}`);
    }
    assert.equal(seen[0], `${HOST} 50000`);
    assert.match(seen[1]!, new RegExp(`^${HOST} \\d+$`));
    assert.notEqual(seen[1], seen[0]);
  });

  await t.test('or the gateway where the forward says so', async () => {
    await expose(slipway, '8083:80', { source: 'gateway' });
    assert.match(await who(outside, HOME, 8083), new RegExp(`^${GATEWAY} \\d+$`));
  });

  for (const [version, port] of [
    ['v1', 8084],
    ['v2', 8085],
  ] as const) {
    await t.test(`and nginx reads it from a PROXY header ${version}`, async () => {
      await expose(slipway, `${port}:81`, { proxy: version, source: 'gateway' });
      assert.equal(await who(outside, HOME, port), `${OUTSIDE} to ${HOME}:${port} from ${GATEWAY}`);
      assert.equal(await who(home, '127.0.0.1', port), `127.0.0.1 to 127.0.0.1:${port} from ${GATEWAY}`);
      // Version 1 is text, and may say all eight groups.
      const seen = (await who(home, '[::1]', port)).replaceAll('0:0:0:0:0:0:0:1', '::1');
      assert.equal(seen, `::1 to ::1:${port} from ${GATEWAY}`);
    });
  }

  await t.test('by UDP, too', async (t) => {
    const server = await udp(t, slipway.guest, '0.0.0.0', 53);
    server.on('message', (_bytes, from) => server.send(`${from.address} ${from.port}`, from.port, from.address));
    await expose(slipway, '5353:53/udp');
    for (const [namespace, host, seen] of [
      [outside, HOME, OUTSIDE],
      [home, '127.0.0.1', HOST],
    ] as const) {
      const client = await udp(t, namespace);
      const answer = once(client, 'message');
      client.send('who am I?', 5353, host);
      const [bytes, from] = (await answer) as [Buffer, { readonly address: string; readonly port: number }];
      assert.equal(String(bytes), `${seen} ${client.address().port}`);
      assert.deepEqual([from.address, from.port], [host, 5353]);
    }
  });
});

test('services of the host have ports of the gateway and addresses of their own', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'curl', 'dig')) return;
  const path = join(temporaryFolder('ports'), 'db.sock');
  const config = JSON.stringify({
    services: [
      { port: 5432, target: '127.0.0.1:5433' },
      { port: 5353, protocol: 'udp', target: '127.0.0.1:5353' },
      { port: 7000, target: `unix:${path}` },
      { address: '192.168.65.10', name: 'db.docker.internal', target: '127.0.0.1' },
      { address: '192.168.65.10', protocol: 'udp', target: '127.0.0.1' },
    ],
  });
  // Without the address of the whole host, too.
  const { home, slipway } = await publishing(t, { config, hostLoopback: false });
  const { guest } = slipway;
  await httpServer(t, home, 5433, 'database', '127.0.0.1');

  await t.test('a port of the gateway', async (t) => {
    assert.match(await fetched(t, guest, `http://${GATEWAY}:5432/`), /^database/);
  });

  await t.test('any port of a virtual address, by its name', async (t) => {
    const { stdout } = await execute(t, guest, 'dig', `@${GATEWAY}`, '+tries=1', '+short', 'db.docker.internal');
    assert.equal(stdout, '192.168.65.10\n');
    assert.match(await fetched(t, guest, 'http://192.168.65.10:5433/'), /^database/);
    await assert.rejects(dialled(t, guest, 5434, '192.168.65.10'), { code: 'ECONNREFUSED' });
  });

  await t.test('a unix socket of the host', async (t) => {
    const server = createServer((socket) => socket.end('by path')).listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    assert.equal(String((await drained(await dialled(t, guest, 7000, GATEWAY))).bytes), 'by path');
  });

  await t.test('UDP', async (t) => {
    const server = await udp(t, home, '127.0.0.1', 5353);
    server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
    for (const address of [GATEWAY, '192.168.65.10']) {
      const client = await udp(t, guest);
      const answer = once(client, 'message');
      client.send('ping', 5353, address);
      const [bytes, from] = (await answer) as [Buffer, { readonly address: string; readonly port: number }];
      assert.deepEqual([String(bytes), from.address, from.port], ['ping', address, 5353]);
    }
  });
});
