import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SmallSlipway } from './small-slipway.ts';

function socketPath(): string {
  const folder = temporaryFolder('test');
  return path.join(folder, 'vm.sock');
}

const died = (said: { event: string; message?: unknown }): boolean =>
  said.event === 'log' && /^network thread died: /.test(String(said.message));

for (const engine of ['epoll', 'node']) {
  test(`a network thread that throws is replaced and its listener stays (${engine})`, async (t) => {
    const socket = socketPath();
    const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
    slipway.tell('throw');
    const line = await slipway.hear(died);
    assert.equal(line.message, 'network thread died: a fault that a test asked for; 0 flows reset, 0 guests kept');
    assert.equal(line.level, 'error');
    slipway.tell('status');
    assert.deepEqual((await slipway.hear((said) => said.event === 'status')).guests, []);
    const guest = connect(socket);
    await once(guest, 'connect');
    guest.destroy();
  });

  test(`a network thread that is stuck is replaced (${engine})`, async (t) => {
    const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socketPath()}`);
    slipway.tell('spin');
    assert.match(
      String((await slipway.hear(died)).message),
      /^network thread died: stuck: .* s of processor time without a turn;/,
    );
    slipway.tell('status');
    await slipway.hear((said) => said.event === 'status');
  });
}

for (const engine of ['epoll', 'node']) {
  test(`a network thread that dies is replaced though another program has the place of its socket (${engine})`, async (t) => {
    const socket = socketPath();
    const slipway = await SmallSlipway.start(t, engine, `qemu+unix://${socket}`);
    rmSync(socket);
    writeFileSync(socket, 'precious');
    slipway.tell('throw');
    await slipway.hear(died);
    slipway.tell('status');
    await slipway.hear((said) => said.event === 'status');
    slipway.child.stdin.end();
    await slipway.end();
    assert.equal(readFileSync(socket, 'utf8'), 'precious');
  });
}

for (const engine of ['epoll', 'node']) {
  test(`after a death the guest at a ?connect address is dialled again (${engine})`, async (t) => {
    const socket = socketPath();
    const qemu = createServer();
    const guests: Socket[] = [];
    qemu.on('connection', (guest) => guests.push(guest.resume().on('error', () => {})));
    qemu.listen(socket);
    t.after(() => {
      for (const guest of guests) guest.destroy();
      qemu.close();
    });
    const [first, slipway] = await Promise.all([
      once(qemu, 'connection') as Promise<[Socket]>,
      SmallSlipway.start(t, engine, `qemu+unix://${socket}?connect`),
    ]);
    const again = once(qemu, 'connection');
    const ended = once(first[0], 'close');
    slipway.tell('throw');
    await slipway.hear(died);
    await Promise.all([again, ended]);
  });
}

test('a native fault ends the process, and the next one takes its place', async (t) => {
  const socket = socketPath();
  const first = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  first.child.kill('SIGSEGV');
  assert.equal((await first.end()).signal, 'SIGSEGV');
  await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  const guest = connect(socket);
  await once(guest, 'connect');
  guest.destroy();
});

test('the sixth death within a minute is the end', async (t) => {
  const slipway = await SmallSlipway.start(t, 'epoll');
  for (let deaths = 1; deaths <= 6; deaths++) {
    slipway.tell('throw');
    await slipway.hear(() => slipway.said.filter(died).length === deaths);
    // Answered by the new thread: it stands before it is made to throw.
    if (deaths === 6) break;
    const before = slipway.said.length;
    slipway.tell('status');
    await slipway.hear((said) => said.event === 'status' && slipway.said.indexOf(said) >= before);
  }
  assert.equal((await slipway.end()).status, 70);
  assert.ok(slipway.said.some((said) => said.event === 'fatal' && said.code === 'ERR_NETWORK_THREAD'));
});

test('a socket that a killed process left is replaced', async (t) => {
  const socket = socketPath();
  const first = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  first.child.kill('SIGKILL');
  await first.end();
  assert.ok(existsSync(socket));
  const second = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  assert.ok(second.said.some((said) => said.event === 'listening'));
});

test('a socket that another process listens at is refused by code and stays', async (t) => {
  const socket = socketPath();
  const first = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  const second = await SmallSlipway.start(t, 'epoll', `qemu+unix://${socket}`);
  assert.equal((await second.hear((said) => said.event === 'refused')).code, 'ERR_LISTEN_IN_USE');
  second.child.stdin.end();
  await second.end();
  assert.ok(existsSync(socket));
  assert.equal(first.child.exitCode, null);
});

test('a file that is no socket is refused and stays', async (t) => {
  const file = socketPath();
  writeFileSync(file, 'precious');
  const slipway = await SmallSlipway.start(t, 'epoll', `qemu+unix://${file}`);
  assert.equal((await slipway.hear((said) => said.event === 'refused')).code, 'ERR_LISTEN_FAILED');
  slipway.child.stdin.end();
  await slipway.end();
  assert.ok(existsSync(file));
});

test('a port of the host’s choice is told', async (t) => {
  for (const engine of ['epoll', 'node']) {
    const slipway = await SmallSlipway.start(t, engine, 'qemu+tcp://127.0.0.1:0');
    const { port } = await slipway.hear((said) => said.event === 'listening');
    const guest = connect(Number(port), '127.0.0.1');
    await once(guest, 'connect');
    guest.destroy();
  }
});
