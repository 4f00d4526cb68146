import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as passes } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MemoryGuest } from '../../src/memory-guest/memory-guest.ts';
import { canConfine, RunningHelper } from '../helper/harness.ts';
import { ip } from '../support/core-world.ts';
import { needs, needsRoot, needsTun } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { SlipwayProcess, slipway } from './slipway.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const LISTEN = ['--listen', 'qemu+tcp://127.0.0.1:0'] as const;
/** A line that never comes fails the test instead of the run. */
const WAITS = { timeout: 120_000 };
const SIGUSR1_BIT = 1n << 9n;
const SIGHUP_BIT = 1n;

/** Waits until `wanted` holds. */
async function until(wanted: () => boolean): Promise<void> {
  while (!wanted()) await passes(5);
}

function isCaught(pid: number, bit: bigint): boolean {
  const mask = /^SigCgt:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${mask}`) & bit) !== 0n;
}

/** TCP sockets that the process listens at, as /proc/net/tcp shows them. */
function listening(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined;
      }
    }),
  );
  return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && inodes.has(fields[9]))
    .map((fields) => fields[1] ?? '');
}

/** Each program of ours, and what it prints when it stands. */
const PROGRAMS: readonly [string, readonly string[], RegExp][] = [
  ['up', ['up', ...LISTEN], /Ctrl-C ends it/],
  [
    'the guest’s part',
    ['guest', 'dns', '--listen', '127.0.0.1:0', '--internal', '127.0.0.1:1', '--system', '127.0.0.1:1'],
    /Ctrl-C/,
  ],
];

for (const [name, args, stands] of PROGRAMS) {
  for (const when of ['from the first millisecond', 'when it stands'] as const) {
    test(`SIGUSR1 and SIGUSR2 open nothing and end nothing: ${name}, ${when}`, WAITS, async (t) => {
      const program = new SlipwayProcess(t, ...args);
      const pid = program.child.pid!;
      if (when === 'from the first millisecond') {
        // As soon as it would not end the process any more: Node has its own handler then.
        await until(() => isCaught(pid, SIGUSR1_BIT));
        program.child.kill('SIGUSR1');
      }
      await until(() => stands.test(program.stdout + program.stderr) || program.child.exitCode !== null);
      const before = listening(pid).filter((address) => !address.endsWith(':240D')).length;
      for (let i = 0; i < 3; i++) {
        program.child.kill('SIGUSR1');
        program.child.kill('SIGUSR2');
        await passes(50);
      }
      assert.equal(listening(pid).length, before, program.stderr);
      program.child.kill('SIGTERM');
      assert.equal((await program.end()).status, 0, program.stderr);
    });
  }
}

test(
  'SIGUSR1 and SIGUSR2 open nothing and end nothing: the helper; SIGQUIT leaves no socket of it',
  WAITS,
  async (t) => {
    if (!canConfine(t)) return;
    const { child, socket, ended } = await RunningHelper.start(t);
    for (let i = 0; i < 3; i++) {
      child.kill('SIGUSR1');
      child.kill('SIGUSR2');
      await passes(50);
    }
    assert.deepEqual(listening(child.pid!), []);
    assert.equal(existsSync(socket), true);
    child.kill('SIGQUIT');
    await ended;
    assert.equal(child.exitCode, 0);
    assert.equal(existsSync(socket), false);
  },
);

test('SIGUSR1 to the processes of slipway run opens no inspector, inside or outside', WAITS, async (t) => {
  if (!needsRoot(t) || !needsTun(t)) return;
  const run = new SlipwayProcess(t, 'run', '--', 'sh', '-c', "trap '' USR1; echo ready; kill -USR1 1; read line");
  await run.prints(/ready/);
  run.child.kill('SIGUSR1');
  await passes(100);
  assert.deepEqual(listening(run.child.pid!), []);
  assert.doesNotMatch(run.stderr, /Debugger listening/);
  run.child.stdin.end('\n');
  assert.equal((await run.end()).status, 0, run.stderr);
});

for (const signal of ['SIGQUIT', 'SIGALRM', 'SIGXCPU', 'SIGPWR'] as const) {
  test(`${signal} ends slipway up well and leaves no socket`, WAITS, async (t) => {
    const folder = temporaryFolder('test');
    const sockets = ['control.sock', 'vm.sock', 'out.sock'].map((name) => path.join(folder, name));
    const [control, vm] = sockets;
    const up = new SlipwayProcess(t, 'up', '--control', control!, '--listen', `qemu+unix://${vm}`);
    await up.prints(/Ctrl-C ends it/);
    up.child.kill(signal);
    assert.equal((await up.end()).status, 0, up.stderr);
    assert.deepEqual(
      sockets.filter((socket) => existsSync(socket)),
      [],
    );
  });
}

test(
  'SIGHUP makes a daemon read its configuration again: what can change does, the rest is named',
  WAITS,
  async (t) => {
    const folder = temporaryFolder('test');
    const file = path.join(folder, 'slipway.yaml');
    const control = path.join(folder, 'control.sock');
    writeFileSync(
      file,
      'forwards: ["127.0.0.1::80"]\ndns: { zones: [{ name: old.example, records: [{ name: a, type: A, address: 192.168.65.9 }] }] }\n',
    );
    const up = new SlipwayProcess(t, 'up', ...LISTEN, '--control', control, '--config', file);
    await up.prints(/Ctrl-C ends it/);
    const look = async (name: string): Promise<string> =>
      (await slipway(t, 'dns', 'lookup', name, '--control', control)).stdout;
    assert.match(await look('a.old.example'), /192\.168\.65\.9/);

    const sock = path.join(folder, 'web.sock');
    writeFileSync(
      file,
      `forwards: ["127.0.0.1::80", { host: ${sock}, guest: 80 }]
services: [{ port: 5000, target: "127.0.0.1:5001" }]
limits: { flows: 1000 }
dns: { ttlSeconds: 7, zones: [{ name: new.example, records: [{ name: a, type: A, address: 192.168.65.9 }] }] }
`,
    );
    up.child.kill('SIGHUP');
    await until(() => /after a restart|stays as it was/.test(up.stderr));
    assert.match(up.stderr, /the configuration was read again: .*zone \+new\.example/);
    assert.match(up.stderr, /limits, dns: changed, but takes effect only after a restart/);
    assert.match(await look('a.new.example'), /192\.168\.65\.9/);
    assert.doesNotMatch(await look('a.old.example'), /192\.168\.65\.9/);

    writeFileSync(file, 'forwards: 7\n');
    up.child.kill('SIGHUP');
    await until(() => up.stderr.includes('the configuration stays as it was: '));
    up.child.kill('SIGTERM');
    assert.equal((await up.end()).status, 0);
  },
);

for (const engine of ['epoll', 'node'] as const) {
  test(
    `SIGHUP reloads what can change live: the level of the log, and where guests attach (${engine})`,
    WAITS,
    async (t) => {
      const folder = temporaryFolder('test');
      const file = path.join(folder, 'slipway.yaml');
      const control = path.join(folder, 'control.sock');
      const [old, fresh] = ['old.sock', 'new.sock'].map((name) => path.join(folder, name));
      const config = (level: string, socket: string): string =>
        `log: { level: ${level} }\nlisten: ["qemu+unix://${socket}", "qemu+tcp://127.0.0.1:0"]\n`;
      writeFileSync(file, config('info', old!));
      const up = new SlipwayProcess(t, 'up', '--control', control, '--config', file, '--host-engine', engine);
      await up.prints(/Ctrl-C ends it/);
      const first = await MemoryGuest.attach(old!, { mac: 0x0200_0000_0001, mtu: 1500 });
      t.after(() => first.close());
      await until(() => up.stderr.includes('guest attached'));
      assert.doesNotMatch(up.stderr, /debug/);

      writeFileSync(file, config('debug', fresh!));
      up.child.kill('SIGHUP');
      await until(() => up.stderr.includes('the configuration was read again'));
      assert.match(up.stderr, /read again: −\S+old\.sock, \+\S+new\.sock, log level debug/);
      assert.doesNotMatch(up.stderr, /restart/);
      assert.equal(existsSync(old!), false);
      const { stdout } = await slipway(t, 'status', '--control', control, '--json');
      const { attachments } = JSON.parse(stdout) as { readonly attachments: readonly string[] };
      assert.equal(attachments.length, 2);
      assert.equal(attachments[1], `qemu+unix://${fresh}`);

      // Who attached there stays, and both threads say what is for debugging.
      first.configure(ip('192.168.65.10'), ip('255.255.255.0'), ip('192.168.65.1'));
      first.connect(ip('192.168.65.254'), 1).on('error', () => {});
      await until(() => /debug not connected guest=192\.168\.65\.10:\d+ .*ECONNREFUSED/.test(up.stderr));
      const second = await MemoryGuest.attach(fresh!, { mac: 0x0200_0000_0002, mtu: 1500 });
      t.after(() => second.close());
      await until(() => up.stderr.split('guest attached').length === 3);
      assert.doesNotMatch(up.stderr, /guest detached/);

      up.child.kill('SIGTERM');
      assert.equal((await up.end()).status, 0);
      assert.equal(existsSync(fresh!), false);
    },
  );
}

test('SIGHUP while slipway up starts is a reload when it stands', WAITS, async (t) => {
  const up = new SlipwayProcess(t, 'up', ...LISTEN, '--control', 'none');
  await until(() => isCaught(up.child.pid!, SIGHUP_BIT));
  assert.equal(up.stdout, '');
  up.child.kill('SIGHUP');
  await until(() => /the configuration was read again: nothing to change/.test(up.stderr));
  up.child.kill('SIGTERM');
  assert.equal((await up.end()).status, 0, up.stderr);
});

/** `command` in a terminal of its own, which goes when the returned process is killed. */
function inTerminal(t: TestContext, command: string, env: NodeJS.ProcessEnv): ChildProcess {
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'ignore', 'ignore'], env });
  t.after(() => terminal.kill('SIGKILL'));
  return terminal;
}

for (const [how, survives] of [
  ['exec', false],
  ['exec nohup', true],
] as const) {
  test(
    `when its terminal goes, COMMAND of ${how} slipway run ${survives ? 'carries on' : 'hears of it'}`,
    WAITS,
    async (t) => {
      if (!needsRoot(t) || !needsTun(t) || !needs(t, 'script', 'nohup')) return;
      const folder = temporaryFolder('test');
      const trap = survives ? '' : "trap 'echo hung up >> said; exit' HUP; ";
      const command = `${trap}echo $$ > ready; while [ ! -e end ]; do sleep 0.02; done; echo done >> said`;
      writeFileSync(path.join(folder, 'command.sh'), command);
      const line = `${how} ${process.execPath} ${MAIN} run -- sh command.sh`;
      const env = { ...process.env, HOME: folder, XDG_STATE_HOME: folder };
      const terminal = inTerminal(t, `cd ${folder}; echo $$ > pid; ${line}`, env);
      const read = (name: string): string => {
        const file = path.join(folder, name);
        return existsSync(file) ? readFileSync(file, 'utf8') : '';
      };
      await until(() => read('ready') !== '');
      const pid = Number(read('pid'));
      terminal.kill('SIGKILL');
      await once(terminal, 'close');
      if (survives) {
        process.kill(pid, 'SIGHUP');
        process.kill(pid, 'SIGWINCH');
        await passes(50);
        writeFileSync(path.join(folder, 'end'), '');
      }
      await until(() => read('said') !== '');
      assert.equal(read('said'), survives ? 'done\n' : 'hung up\n');
      // A process that nobody waits for stays as a zombie, which has no words.
      await until(() => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/cmdline`, 'utf8') === '');
    },
  );
}

for (const [how, survives, prefix] of [
  ['slipway up', false, 'exec'],
  ['nohup slipway up', true, 'exec nohup'],
  ["slipway up under trap '' HUP", true, "trap '' HUP;"],
] as const) {
  test(`when its terminal goes, ${how} ${survives ? 'carries on' : 'ends and leaves no socket'}`, WAITS, async (t) => {
    if (!needs(t, 'script', 'nohup')) return;
    const folder = temporaryFolder('test');
    const control = path.join(folder, 'control.sock');
    const pidFile = path.join(folder, 'pid');
    const line = `${prefix} ${process.execPath} ${MAIN} up ${LISTEN.join(' ')} --control ${control}`;
    const rest = survives && prefix.startsWith('trap') ? '; true' : '';
    const env = { ...process.env, HOME: folder, XDG_STATE_HOME: folder, PIDFILE: pidFile };
    const terminal = inTerminal(t, `cd ${folder}; ${line}${rest}`, env);
    await until(() => existsSync(control));
    const pid = Number(JSON.parse(await status(control)).pid);
    t.after(() => {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    });
    terminal.kill('SIGKILL');
    await once(terminal, 'close');
    if (!survives) {
      await until(() => !existsSync(control));
      return;
    }
    // The hangup is there before what comes after it.
    assert.equal(Number(JSON.parse(await status(control)).pid), pid);
    process.kill(pid, 'SIGHUP');
    assert.equal(Number(JSON.parse(await status(control)).pid), pid);
    process.kill(pid, 'SIGTERM');
    await until(() => !existsSync(control));
  });

  async function status(control: string): Promise<string> {
    for (;;) {
      const child = spawn('curl', ['-s', '--unix-socket', control, 'http://localhost/v1/status']);
      let text = '';
      child.stdout.on('data', (bytes) => {
        text += String(bytes);
      });
      await once(child, 'close');
      if (text !== '') return text;
    }
  }
}
