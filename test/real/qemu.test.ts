import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { needsQemu, QemuGuest } from '../support/qemu-guest.ts';
import { endingOf } from '../support/sockets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { Daemon } from './qemu-daemon.ts';

const GATEWAY = '192.168.65.1';
const HOST = '192.168.65.254';
const DOWNLOAD_BYTES = 100_000_000;
/** Attempts of one second each until a returning network answers again. */
const RETURN_ATTEMPTS = 30;

const PLUGS = [
  ['that dials slipway up', 'qemu+unix', (socket: string) => ({ dial: socket })],
  ['that sends datagrams to slipway up', 'qemu+dgram', (socket: string) => ({ datagrams: socket })],
] as const;

for (const [which, scheme, plug] of PLUGS) {
  test(`a QEMU VM ${which} has a working network`, { timeout: 300_000 }, async (t) => {
    if (!needsQemu(t)) return;
    const socket = join(temporaryFolder('test'), 'net.sock');
    const daemon = await Daemon.up(`${scheme}://${socket}`);
    t.after(() => daemon.stop());
    const guest = await QemuGuest.start({ plug: plug(socket) });
    t.after(() => guest.stop());

    await t.test('udhcpc gets a lease with router, name server and MTU', async () => {
      const lease = await guest.lease();
      assert.equal(lease.address, '192.168.65.3/24');
      assert.equal(lease.router, GATEWAY);
      assert.equal(lease.dns, GATEWAY);
      assert.equal(lease.mtu, '1500');
    });

    await t.test('the gateway and the host address answer pings', async () => {
      for (const address of [GATEWAY, HOST]) {
        assert.match(await guest.succeed(`ping -c 3 -W 5 ${address}`), /3 packets received, 0% packet loss/);
      }
    });

    await t.test('host.docker.internal resolves to the host address', async () => {
      assert.ok((await guest.succeed('nslookup host.docker.internal')).includes(HOST));
    });

    await t.test('100 MB from a server on the host arrive with their checksum', async (t) => {
      await downloadByChecksum(t, guest);
    });

    await t.test('a port nobody listens on is refused', async () => {
      const { status, output } = await guest.run(`nc -w 10 ${HOST} ${await unusedPort()}`);
      assert.notEqual(status, 0);
      assert.match(output, /refused/i);
    });
  });
}

test('a QEMU VM keeps its network across a restart of slipway up', { timeout: 300_000 }, async (t) => {
  if (!needsQemu(t)) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const guest = await QemuGuest.start({ plug: { listen: socket } });
  t.after(() => guest.stop());
  const url = `qemu+unix://${socket}?connect`;
  const first = await Daemon.up(url);
  t.after(() => first.stop());
  const lease = await guest.lease();
  await guest.succeed(`ping -c 1 -W 5 ${GATEWAY}`);
  await first.stop();
  assert.notEqual((await guest.run(`ping -c 1 -W 1 ${GATEWAY}`)).status, 0, 'without Slipway nothing answers');

  const second = await Daemon.up(url);
  t.after(() => second.stop());
  const attempts = `for i in $(seq ${RETURN_ATTEMPTS}); do ping -c 1 -W 1 ${GATEWAY} && exit 0; done; exit 1`;
  await guest.succeed(attempts);
  await downloadByChecksum(t, guest);
  assert.deepEqual(await guest.lease(), lease, 'the same lease as before');
});

test('a QEMU VM on datagrams keeps its network across a restart of slipway up, and a killed one makes place for the next', {
  timeout: 300_000,
}, async (t) => {
  if (!needsQemu(t)) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const url = `qemu+dgram://${socket}`;
  const first = await Daemon.up(url);
  t.after(() => first.stop());
  const guest = await QemuGuest.start({ plug: { datagrams: socket } });
  t.after(() => guest.stop());
  const lease = await guest.lease();
  await guest.succeed(`ping -c 1 -W 5 ${GATEWAY}`);
  await first.stop();
  assert.notEqual((await guest.run(`ping -c 1 -W 1 ${GATEWAY}`)).status, 0, 'without Slipway nothing answers');

  const second = await Daemon.up(url);
  t.after(() => second.stop());
  const attempts = `for i in $(seq ${RETURN_ATTEMPTS}); do ping -c 1 -W 1 ${GATEWAY} && exit 0; done; exit 1`;
  await guest.succeed(attempts);
  await downloadByChecksum(t, guest);
  assert.deepEqual(await guest.lease(), lease, 'the same lease as before');

  await guest.stop();
  await second.says(/guest detached/);
  const next = await QemuGuest.start({ plug: { datagrams: socket } });
  t.after(() => next.stop());
  assert.equal((await next.lease()).router, GATEWAY);
});

test('the server of an idle connection hears of it when the QEMU VM that opened it is reset', {
  timeout: 300_000,
}, async (t) => {
  if (!needsQemu(t)) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const daemon = await Daemon.up(`qemu+unix://${socket}`);
  t.after(() => daemon.stop());
  const guest = await QemuGuest.start({ plug: { dial: socket } });
  t.after(() => guest.stop());
  const server = createTcpServer();
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  await guest.lease();
  await guest.succeed(`(sleep 1000 | nc ${HOST} ${(server.address() as AddressInfo).port} >/dev/null 2>&1) &`);
  const [connection] = (await accepted) as [Socket];
  const ending = endingOf(connection.resume());
  await guest.reset();
  await guest.lease();
  assert.equal(await ending, 'ECONNRESET');
});

test('two QEMU VMs on one network ping each other', { timeout: 300_000 }, async (t) => {
  if (!needsQemu(t)) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const daemon = await Daemon.up(`qemu+unix://${socket}`);
  t.after(() => daemon.stop());
  const guests: QemuGuest[] = [];
  for (const mac of ['52:54:00:00:00:01', '52:54:00:00:00:02']) {
    const guest = await QemuGuest.start({ plug: { dial: socket }, mac });
    t.after(() => guest.stop());
    guests.push(guest);
  }
  const [one, two] = guests as [QemuGuest, QemuGuest];
  const [, other] = [await one.lease(), await two.lease()];
  const address = other.address.replace(/\/.*/, '');
  assert.match(await one.succeed(`ping -c 3 -W 5 ${address}`), /3 packets received/);
});

async function downloadByChecksum(t: TestContext, guest: QemuGuest): Promise<void> {
  const body = randomFillSync(Buffer.allocUnsafe(DOWNLOAD_BYTES));
  const server = createServer((_request, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const sum = await guest.succeed(`wget -q -O - http://${HOST}:${port}/ | sha256sum`);
  assert.equal(sum.trim().split(' ')[0], createHash('sha256').update(body).digest('hex'));
}

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
