import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { needs } from '../support/needs.ts';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { connected, drained, endingOf, finished, listen, start } from '../support/sockets.ts';

const MIB = 2 ** 20;

test('a connection ends for the guest as it ended for the peer', { timeout: 120_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t);
  const { guest } = slipway;

  await t.test('a guest that shuts down writing first still reads everything', async (t) => {
    const { guestSide, hostSide } = await connected(t, guest, HOST, { allowHalfOpen: true });
    guestSide.end('a question');
    const asked = await drained(hostSide);
    assert.deepEqual([String(asked.bytes), asked.ending], ['a question', 'end']);
    const answer = randomBytes(4 * MIB);
    hostSide.end(answer);
    const got = await drained(guestSide);
    assert.equal(got.ending, 'end');
    assert.ok(got.bytes.equals(answer));
  });

  await t.test('a server that shuts down first still reads everything', async (t) => {
    const { guestSide, hostSide } = await connected(t, guest, HOST, { allowHalfOpen: true });
    hostSide.end('a greeting');
    const greeting = await drained(guestSide);
    assert.deepEqual([String(greeting.bytes), greeting.ending], ['a greeting', 'end']);
    const upload = randomBytes(4 * MIB);
    guestSide.end(upload);
    const got = await drained(hostSide);
    assert.equal(got.ending, 'end');
    assert.ok(got.bytes.equals(upload));
  });

  await t.test('nc -N sends its input, ends its side and prints the whole answer', async (t) => {
    if (!needs(t, 'nc')) return;
    const { port, accept } = await listen(t, undefined, { host: '127.0.0.1', allowHalfOpen: true });
    const nc = start(t, guest, 'nc', '-N', HOST, `${port}`);
    const said = finished(nc);
    const question = 'q'.repeat(100_000);
    nc.stdin!.end(question);
    const hostSide = await accept();
    const asked = await drained(hostSide);
    assert.equal(String(asked.bytes), question);
    hostSide.end('answer '.repeat(100_000));
    const { status, stdout } = await said;
    assert.equal(stdout, 'answer '.repeat(100_000));
    assert.equal(status, 0);
  });

  await t.test('10 bytes and a reset arrive as 10 bytes and ECONNRESET', async (t) => {
    const { guestSide, hostSide } = await connected(t, guest, HOST);
    hostSide.write('0123456789', () => hostSide.resetAndDestroy());
    const got = await drained(guestSide);
    assert.deepEqual([String(got.bytes), got.ending], ['0123456789', 'ECONNRESET']);
  });

  await t.test('a server that resets with 1 MiB unread is a reset for the guest that wrote it', async (t) => {
    const { guestSide, hostSide } = await connected(t, guest, HOST, { pauseOnConnect: true });
    const ending = endingOf(guestSide);
    await new Promise((resolve) => guestSide.write(randomBytes(MIB), resolve));
    hostSide.resetAndDestroy();
    assert.equal(await ending, 'ECONNRESET');
  });

  await t.test('a guest that resets is a reset for the server', async (t) => {
    const { guestSide, hostSide } = await connected(t, guest, HOST);
    const got = drained(hostSide);
    guestSide.write('last words');
    await once(hostSide, 'data');
    guestSide.resetAndDestroy();
    assert.deepEqual([String((await got).bytes), (await got).ending], ['last words', 'ECONNRESET']);
  });

  for (const size of [300_000, 6 * MIB]) {
    await t.test(
      `a guest that has gone while ${size} bytes wait for a slow server has them all delivered`,
      async (t) => {
        const { guestSide, hostSide } = await connected(t, guest, HOST, { allowHalfOpen: true, pauseOnConnect: true });
        const bytes = randomBytes(size);
        guestSide.end(bytes);
        await once(guestSide, 'finish');
        guestSide.destroy();
        await once(guestSide, 'close');
        const got = await drained(hostSide.resume());
        assert.ok(got.bytes.equals(bytes), `${got.bytes.length} of ${bytes.length} bytes, then ${got.ending}`);
        assert.equal(got.ending, 'end');
      },
    );
  }

  for (const [from, to] of [
    ['server', 'guest'],
    ['guest', 'server'],
  ] as const) {
    await t.test(`urgent data of a ${from} reaches the ${to} in line, no byte lost or doubled`, async (t) => {
      if (!needs(t, 'python3')) return;
      const { port, accept, server } = await listen(t, undefined, { host: '127.0.0.1' });
      const read = `b''.join(iter(lambda: s.recv(65536), b''))`;
      const write = `(s.sendall(b'a' * 100000), s.send(b'!', socket.MSG_OOB), s.sendall(b'b' * 100000), s.shutdown(1))`;
      const program = (address: string, port: number, act: string): string =>
        `import socket, sys\ns = socket.create_connection(('${address}', ${port}))\n` +
        `s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)\n${act}`;
      const expected = `${'a'.repeat(100_000)}!${'b'.repeat(100_000)}`;
      if (from === 'guest') {
        const python = start(t, guest, 'python3', '-c', program(HOST, port, `${write}\ns.recv(1)`));
        const got = await drained(await accept());
        assert.equal(String(got.bytes), expected);
        await finished(python);
        return;
      }
      server.close();
      const serve =
        `import socket\nl = socket.create_server(('127.0.0.1', 0))\nprint(l.getsockname()[1], flush=True)\n` +
        `s = l.accept()[0]\n${write}\ns.recv(1)`;
      const python = start(t, undefined, 'python3', '-c', serve);
      const [line] = (await once(python.stdout!, 'data')) as [Buffer];
      const reader = start(t, guest, 'python3', '-c', program(HOST, Number(line), `sys.stdout.buffer.write(${read})`));
      const { stdout, stderr } = await finished(reader);
      assert.equal(stderr, '');
      assert.equal(stdout.length, expected.length);
      assert.equal(stdout, expected);
    });
  }
});
