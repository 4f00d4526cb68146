import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { SlipwayProcess } from './slipway.ts';

/** A peer that is no guest: each is worth three lines of the log. Fulfilled when it was turned out. */
async function stranger(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
}

for (const format of [[], ['--json']]) {
  test(`a daemon whose reader went serves on (${format[0] ?? 'text'})`, async (t) => {
    const up = new SlipwayProcess(t, 'up', '--listen', 'qemu+tcp://127.0.0.1:0', ...format);
    const [, port] = await up.prints(/127\.0\.0\.1:(\d+)[\s\S]*\n/);
    up.child.stdout.destroy();
    up.child.stderr.destroy();
    for (let i = 0; i < 5; i++) await stranger(Number(port));
    assert.equal(up.child.exitCode ?? up.child.signalCode, null);
    up.child.kill('SIGTERM');
    assert.equal((await up.end()).status, 0);
  });
}
