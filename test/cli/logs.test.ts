import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as passes } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { ip } from '../support/core-world.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess } from './slipway.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const WAITS = { timeout: 60_000 };
const GATEWAY = ip('192.168.65.1');
const HOST = ip('192.168.65.254');

async function until(wanted: () => boolean): Promise<void> {
  while (!wanted()) await passes(10);
}

test(
  'debug logs say who attached, what was connected in what time, what was not and why, and what was counted',
  WAITS,
  async (t) => {
    const vm = path.join(temporaryFolder('test'), 'vm.sock');
    const up = new SlipwayProcess(t, 'up', '--log-level', 'debug', '--listen', `qemu+unix://${vm}`);
    await up.prints(/Ctrl-C ends it/);
    const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as { readonly port: number };
    const refused = createServer().listen(0, '127.0.0.1');
    await once(refused, 'listening');
    const { port: nobody } = refused.address() as { readonly port: number };
    refused.close();
    const guest = await MemoryGuest.attach(vm, { mac: 0x0200_0000_0001, mtu: 1500 });
    t.after(() => guest.close());
    guest.configure(ip('192.168.65.10'), ip('255.255.255.0'), GATEWAY);
    for (const one of [port, nobody]) guest.connect(HOST, one).on('error', () => {});
    const date = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3} [+-]\\d\\d:\\d\\d';
    const wanted = [
      new RegExp(`^${date} info  guest attached guest=`, 'm'),
      new RegExp(
        `^${date} debug connected guest=192\\.168\\.65\\.10:\\d+ to=192\\.168\\.65\\.254:${port} ms=\\d+$`,
        'm',
      ),
      new RegExp(`debug not connected guest=.* to=192\\.168\\.65\\.254:${nobody} ms=\\d+ why=ECONNREFUSED$`, 'm'),
      /debug counted .*tcp-refused=1/,
    ];
    await until(() => wanted.every((line) => line.test(up.stderr)));
  },
);

for (const json of [false, true]) {
  test(
    `in the journal lines have its priorities ${json ? 'before the JSON' : 'and no time of their own'}`,
    WAITS,
    async (t) => {
      const folder = temporaryFolder('test');
      const file = path.join(folder, 'stderr');
      const fd = openSync(file, 'w');
      const { dev, ino } = fstatSync(fd);
      const control = path.join(folder, 'control.sock');
      const args = ['up', '--control', control, '--listen', 'qemu+tcp://127.0.0.1:0', ...(json ? ['--json'] : [])];
      const env = { ...process.env, HOME: folder, XDG_STATE_HOME: folder, JOURNAL_STREAM: `${dev}:${ino}` };
      const up = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', fd], env });
      closeSync(fd);
      t.after(() => up.kill('SIGKILL'));
      let said = '';
      up.stdout!.on('data', (bytes) => {
        said += String(bytes);
      });
      await until(() => /\n$/.test(said) && existsSync(control));
      up.kill('SIGHUP');
      const line = json ? /^<6>\{"level":"info",.*read again/m : /^<6>the configuration was read again: nothing/m;
      await until(() => line.test(readFileSync(file, 'utf8')));
      up.kill('SIGTERM');
      assert.deepEqual(await once(up, 'exit'), [0, null]);
    },
  );
}
