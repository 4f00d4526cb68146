import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { bindPorts, closePorts } from '../../../src/host/ports/bind.ts';
import { openPorts } from '../../../src/host/ports/open-ports.ts';
import { describeOwner, portOwner } from '../../../src/host/ports/owner.ts';
import { placesOf } from '../../../src/host/ports/places.ts';
import { startListening } from '../../../src/host/ports/socket-calls.ts';
import { FRIEND, publish } from '../../helper/harness.ts';
import { createNamespace, type TestNamespace } from '../../support/namespace.ts';
import { needs, needsRoot } from '../../support/needs.ts';

const REQUEST = { protocol: 'tcp', address: '127.0.0.1', port: 0, count: 1, ipv4Only: false } as const;
const place = (address: string) => placesOf(address, false)![0]!;

/** A program that holds port 8000 of the namespace, as a user. */
async function holder(t: TestContext, namespace: TestNamespace, uid: number, code: string): Promise<number> {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const child = spawn('nsenter', [`--net=${namespace.path}`, '--', 'setpriv', ...user, process.execPath, '-e', code]);
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill();
    await ended;
  });
  await once(child.stdout, 'data');
  return child.pid!;
}

const TCP_SERVER = 'require("net").createServer().listen(8000, () => console.log("up"))';
const UDP_SERVER = 'require("dgram").createSocket("udp4").bind(8000, "127.0.0.1", () => console.log("up"))';

test('the owner is named for a process of our user, and hidden for another’s', async (t) => {
  if (!needsRoot(t) || !needs(t, 'ip', 'nsenter', 'setpriv')) return;
  const namespace = createNamespace(t);
  const ours = await holder(t, namespace, FRIEND, TCP_SERVER);
  const conflict = await publish(t, namespace, FRIEND, { port: 8000, helper: 'none' });
  assert.equal(conflict.code, 'ERR_PORT_IN_USE');
  assert.match(
    conflict.message ?? '',
    new RegExp(
      `^listen tcp 0\\.0\\.0\\.0:8000: bind: address already in use: held by node \\(pid ${ours}, user (nobody|65534)\\); next free port 8001$`,
    ),
  );
  const other = createNamespace(t);
  await holder(t, other, 0, TCP_SERVER);
  const hidden = await publish(t, other, FRIEND, { port: 8000, helper: 'none' });
  assert.equal(
    hidden.message,
    "listen tcp 0.0.0.0:8000: bind: address already in use: held by another user's process (user root; only root sees which); next free port 8001",
  );
});

test('the owner of a UDP port is named', async (t) => {
  if (!needsRoot(t) || !needs(t, 'ip', 'nsenter', 'setpriv')) return;
  const namespace = createNamespace(t);
  const pid = await holder(t, namespace, FRIEND, UDP_SERVER);
  const conflict = await publish(t, namespace, FRIEND, { protocol: 'udp', port: 8000, helper: 'none' });
  assert.match(conflict.message ?? '', new RegExp(`^listen udp 0\\.0\\.0\\.0:8000: .* held by node \\(pid ${pid}, `));
});

test('a socket that is bound and does not listen has an owner too', (t) => {
  const bound = bindPorts(REQUEST);
  assert.ok(!('failure' in bound));
  t.after(() => closePorts(bound));
  const owner = portOwner('tcp', place('127.0.0.1'), bound.boundPort);
  // The kernel tells since Linux 6.8.
  if (owner.kind === 'unknown') assert.match(describeOwner(owner), /bound but not listening/);
  else assert.equal(owner.kind === 'process' && owner.pid, process.pid);
});

test('our own forward is named as such, and another port is said', async (t) => {
  const bound = bindPorts(REQUEST);
  assert.ok(!('failure' in bound));
  t.after(() => closePorts(bound));
  startListening(bound.sockets.fds[0]!, 1);
  const port = bound.boundPort;
  await assert.rejects(
    openPorts({ ...REQUEST, port }, { helper: 'none', own: () => `tcp:127.0.0.1:${port} → 192.168.65.3:80` }),
    {
      code: 'ERR_PORT_IN_USE',
      message: new RegExp(
        `^listen tcp 127\\.0\\.0\\.1:${port}: bind: address already in use: held by this Slipway: tcp:127\\.0\\.0\\.1:${port} → 192\\.168\\.65\\.3:80; next free port \\d+$`,
      ),
    },
  );
});

test('for who must not know, a conflict is gvproxy’s text alone', async (t) => {
  const bound = bindPorts(REQUEST);
  assert.ok(!('failure' in bound));
  t.after(() => closePorts(bound));
  const port = bound.boundPort;
  await assert.rejects(openPorts({ ...REQUEST, port, terse: true }, { helper: 'none' }), {
    code: 'ERR_PORT_IN_USE',
    message: `listen tcp 127.0.0.1:${port}: bind: address already in use`,
  });
});

test('which sockets stand in the way depends on the address', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const kind = (address: string): string => portOwner('tcp', place(address), port).kind;
  assert.deepEqual(['127.0.0.1', '0.0.0.0', '127.0.0.2', '::1'].map(kind), [
    'process',
    'process',
    'unknown',
    'unknown',
  ]);
});

test('a listener comes before its connections, and an ended connection is no process', async (t) => {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const client = connect(port, '127.0.0.1').resume();
  await once(client, 'close');
  assert.equal(portOwner('tcp', place('127.0.0.1'), port).kind, 'process');
  await new Promise((resolve) => server.close(resolve));
  assert.equal(portOwner('tcp', place('127.0.0.1'), port).kind, 'time-wait');
  t.diagnostic(describeOwner({ kind: 'time-wait' }));
});
