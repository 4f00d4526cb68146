import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { helperListener } from '../../src/helper/listener.ts';
import { vmnetdGreeting, writeRequest } from '../../src/host/ports/helper-protocol.ts';
import { receiveDescriptor, sendDescriptor } from '../../src/host/namespace/scm-rights.ts';
import { askHelper } from '../../src/host/ports/helper-client.ts';
import { boundAt, connectUnixSocket, type Place } from '../../src/host/ports/socket-calls.ts';
import { createNamespace, nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { CONFINED, canConfine, FRIEND, publish, RunningHelper, STRANGER } from './harness.ts';

const LOOPBACK: Place = { family: 4, address: Uint8Array.of(127, 0, 0, 1), scope: 0 };

test('a user without any privilege publishes port 80 through it, and clients of both families are served', async (t) => {
  if (!canConfine(t) || !needs(t, 'curl')) return;
  const helper = await RunningHelper.start(t);
  assert.deepEqual(await helper.publishes(t, FRIEND, { port: 80 }), { boundPort: 80, descriptors: 2 });
  for (const host of ['127.0.0.1', '[::1]']) {
    assert.equal(nsExec(helper.namespace, 'curl', '-s', '--http0.9', `http://${host}/`), 'hello');
  }
  await helper.says(new RegExp(`uid ${FRIEND} gid ${FRIEND} pid \\d+: tcp 0\\.0\\.0\\.0:80 bound\n`));
  await helper.says(new RegExp(`uid ${FRIEND} gid ${FRIEND} pid \\d+: tcp \\[::\\]:80 bound\n`));
});

test('everyone may connect to its socket from the bind on, whatever the umask', (t) => {
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  const socket = path.join(temporaryFolder('helper'), 'helper.sock');
  const { fd, file } = helperListener(socket);
  assert.equal(statSync(socket).mode & 0o777, 0o666);
  assert.equal(process.umask(), 0o077, 'other files of the process keep theirs');
  file?.remove();
  closeSync(fd);
});

test('its socket is made again where somebody removed it, and another program’s file in its place is left alone', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  rmSync(helper.socket);
  await helper.says(/the helper's socket \S+ was removed; Slipway makes it again/);
  assert.equal(statSync(helper.socket).mode & 0o777, 0o666);
  assert.equal((await helper.publishes(t, FRIEND, { port: 80 })).boundPort, 80);
  rmSync(helper.socket);
  writeFileSync(helper.socket, 'precious');
  await helper.says(/is no longer the helper's socket: another program's file/);
  helper.child.kill();
  await helper.ended;
  assert.equal(readFileSync(helper.socket, 'utf8'), 'precious');
});

test('a user who is not on the list is refused and logged', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const refused = await helper.publishes(t, STRANGER, { port: 80, address: '127.0.0.1' });
  assert.equal(refused.code, 'ERR_HELPER_DENIED');
  assert.equal(
    refused.message,
    `listen tcp 127.0.0.1:80: bind: permission denied: the helper at ${helper.socket} does not serve user ${STRANGER}`,
  );
  assert.match(refused.hint ?? '', new RegExp(`sudo slipway helper install --yes --allow-uid ${STRANGER}`));
  await helper.says(
    new RegExp(`uid ${STRANGER} gid ${STRANGER} pid \\d+: tcp 127\\.0\\.0\\.1:80 refused: not on the allow list\n`),
  );
});

test('a group on the list counts, be it the primary one or another', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t, { args: ['--allow-gid', `${STRANGER}`] });
  assert.equal((await helper.publishes(t, STRANGER, { port: 80 })).boundPort, 80);
  assert.equal((await helper.publishes(t, FRIEND, { port: 81 })).code, 'ERR_HELPER_DENIED');
});

test('without a helper the error says exactly what to do', async (t) => {
  if (!canConfine(t)) return;
  const namespace = createNamespace(t);
  const refused = await publish(t, namespace, STRANGER, { port: 80, address: '127.0.0.1', helper: '/nowhere.sock' });
  assert.equal(refused.code, 'ERR_PORT_DENIED');
  assert.equal(refused.message, 'listen tcp 127.0.0.1:80: bind: permission denied');
  assert.match(refused.hint ?? '', new RegExp(`sudo slipway helper install --yes --allow-uid ${STRANGER};`));
  assert.match(refused.hint ?? '', /sudo sysctl net\.ipv4\.ip_unprivileged_port_start=80;/);
});

test('a conflict that the helper meets names the owner, and a port that would be free', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  await helper.publishes(t, FRIEND, { port: 80 });
  const refused = await helper.publishes(t, FRIEND, { port: 80, address: '127.0.0.1' });
  assert.equal(refused.code, 'ERR_PORT_IN_USE');
  assert.match(
    refused.message ?? '',
    /^listen tcp 127\.0\.0\.1:80: bind: address already in use: held by node \(pid \d+, user (nobody|65534)\); next free port 81$/,
  );
});

test('a range over the border is bound whole, the privileged half by the helper', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  assert.deepEqual(await helper.publishes(t, FRIEND, { port: 1, count: 1100 }), { boundPort: 1, descriptors: 2200 });
});

test('it binds ports from 1 to 1023 and no others', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  for (const port of [0, 1024, 65_535]) {
    const outcome = await askHelper(helper.socket, 'tcp', LOOPBACK, port);
    assert.deepEqual(outcome, { answer: { status: 'bad-request', errno: 0 } });
    await helper.says(new RegExp(`127\\.0\\.0\\.1:${port} refused: only ports from 1 to 1023\n`));
  }
  const bound = await askHelper(helper.socket, 'udp', LOOPBACK, 1023);
  assert.ok('fd' in bound);
  assert.deepEqual(boundAt(bound.fd), { protocol: 'udp', port: 1023 });
  closeSync(bound.fd);
});

test('vmnetd’s clients are served on the same socket, errors as macOS numbers them', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  /** What comes back after the greeting, and the descriptor with it. */
  const ask = async (padding: number, port: number, protocol: number): Promise<[number[], number]> => {
    const fd = connectUnixSocket(helper.socket);
    t.after(() => closeSync(fd));
    sendDescriptor(fd, vmnetdGreeting());
    const greeting = await message(fd, 49);
    assert.equal(greeting.bytes.toString('latin1', 0, 9), 'VMN3T\x16\0\0\0');
    const command = Buffer.from([6, 1, 0, 0, 127, port & 255, port >> 8, protocol]);
    sendDescriptor(fd, Buffer.concat([command, Buffer.alloc(padding)]));
    const { bytes, descriptor } = await message(fd, 8);
    return [[...bytes], descriptor];
  };
  for (const [padding, port, protocol] of [
    [0, 80, 0],
    [33, 53, 1],
  ] as const) {
    const [answer, fd] = await ask(padding, port, protocol);
    assert.deepEqual(answer, [0, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(boundAt(fd), { protocol: protocol === 0 ? 'tcp' : 'udp', port });
    assert.deepEqual(await ask(padding, port, protocol), [[48, 0, 0, 0, 0, 0, 0, 0], -1]);
    closeSync(fd);
  }
  assert.deepEqual(await ask(0, 8080, 0), [[1, 0, 0, 0, 0, 0, 0, 0], -1]);
  await helper.says(/tcp 127\.0\.0\.1:80 bound/);
});

test('a client that says too little is turned away after a second, and others are served meanwhile', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const slow = connect(helper.socket);
  slow.write('SW');
  const closed = once(slow, 'close');
  slow.resume();
  assert.equal((await helper.publishes(t, FRIEND, { port: 80 })).boundPort, 80);
  await closed;
  await helper.says(/no whole request within 1000 ms, refused/);
});

test('one user’s open connections do not keep others out', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const crowd = Array.from({ length: 100 }, () => connect(helper.socket).on('error', () => {}));
  t.after(() => {
    for (const one of crowd) one.destroy();
  });
  assert.equal((await helper.publishes(t, FRIEND, { port: 80 })).boundPort, 80);
});

test('who asks too often is told so, with one line in the log', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const statuses: string[] = [];
  for (let i = 0; i < 2600 && statuses.filter((status) => status === 'too-often').length < 5; i++) {
    const outcome = await askHelper(helper.socket, 'tcp', LOOPBACK, 0);
    statuses.push('answer' in outcome ? outcome.answer.status : JSON.stringify(outcome));
  }
  assert.ok(statuses.indexOf('too-often') >= 2048, `${statuses.indexOf('too-often')} were answered`);
  await helper.says(/asks too often/);
  // Another user has his own tokens.
  assert.equal((await helper.publishes(t, FRIEND, { port: 80 })).boundPort, 80);
});

test('garbage, half requests and requests with descriptors are survived', async (t) => {
  if (!canConfine(t)) return;
  const helper = await RunningHelper.start(t);
  const random = mulberry32(20_261_123);
  const good = Buffer.from(writeRequest({ protocol: 'tcp', place: LOOPBACK, port: 80 }));
  for (let i = 0; i < 400; i++) {
    const whole = [good, Buffer.from(vmnetdGreeting()), Buffer.alloc(0)][i % 3]!;
    const bytes = Buffer.concat([whole, Buffer.from(Array.from({ length: random() % 100 }, () => random() & 255))]);
    // One byte of four is another.
    for (let at = 0; at < bytes.length; at++) if (random() % 16 === 0) bytes[at] = random() & 255;
    const cut = bytes.subarray(0, random() % (bytes.length + 1));
    const fd = connectUnixSocket(helper.socket);
    if (fd < 0) continue;
    if (cut.length > 0) sendDescriptor(fd, cut, i % 2 === 0 ? fd : undefined);
    closeSync(fd);
  }
  assert.equal((await helper.publishes(t, FRIEND, { port: 81 })).boundPort, 81);
  assert.equal(helper.child.exitCode, null);
});

test('without a free descriptor it rests, and serves when there is one', async (t) => {
  if (!canConfine(t) || !needs(t, 'prlimit')) return;
  const helper = await RunningHelper.start(t, { through: ['prlimit', '--nofile=30:30'] });
  const crowd = Array.from({ length: 16 }, () => connect(helper.socket).on('error', () => {}));
  t.after(() => {
    for (const one of crowd) one.destroy();
  });
  const crowded = await helper.publishes(t, FRIEND, { port: 80 });
  assert.ok(crowded.boundPort === 80 || crowded.code === 'ERR_HELPER_UNAVAILABLE', JSON.stringify(crowded));
  await helper.says(/(?:no whole request(?:(?!no whole)[\s\S])*){16}/);
  assert.equal((await helper.publishes(t, FRIEND, { port: 81 })).boundPort, 81);
});

test('systemd’s socket is taken over', async (t) => {
  if (!canConfine(t) || !needs(t, 'systemd-socket-activate')) return;
  const namespace = createNamespace(t);
  const { activated } = await import('./activated.ts');
  const helper = await activated(t, namespace, CONFINED, ['--allow-uid', `${FRIEND}`, '--idle-exit', '1']);
  assert.equal((await publish(t, namespace, FRIEND, { port: 80, helper: helper.socket })).boundPort, 80);
  assert.equal(await helper.ended, 0, 'it ends by itself when nobody asks');
});

interface Received {
  readonly bytes: Buffer;
  readonly descriptor: number;
}

/** The next `length` bytes, and the descriptor among them. */
async function message(fd: number, length: number): Promise<Received> {
  let [bytes, descriptor] = [Buffer.alloc(0), -1];
  while (bytes.length < length) {
    const received = receiveDescriptor(fd);
    if (received === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    assert.notEqual(received.payload.length, 0, 'it hung up');
    bytes = Buffer.concat([bytes, received.payload]);
    descriptor = Math.max(descriptor, received.descriptor);
  }
  return { bytes, descriptor };
}

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
