import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { BUILT, SlipwayProcess, slipway } from './slipway.ts';

test('the version and the help, with examples, go to standard output', async (t) => {
  const version = await slipway(t, '--version');
  assert.equal(version.status, 0);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await slipway(t, '--help');
  assert.equal(help.status, 0);
  assert.match(help.stdout, /Examples:\n {2}slipway run -- curl/);
});

test('a slip in a flag is named, with what was expected and a code', async (t) => {
  const mtu = await slipway(t, 'up', '--mtu', 'big');
  assert.equal(mtu.status, 2);
  assert.match(mtu.stderr, /^slipway: --mtu: expected an integer from 576 to 65520, found "big"\n.*\n {2}\(ERR_USAGE/);
  const listen = await slipway(t, 'up', '--listen', 'qemu+tcp://0.0.0.0:1');
  assert.equal(listen.status, 2);
  assert.match(listen.stderr, /--listen: expected a loopback address[\s\S]*ERR_LISTEN_URL/);
  const nowhere = await slipway(t, 'up', '--control', 'none');
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.stderr, /nowhere for guests to attach[\s\S]*--listen/);
  const unknown = await slipway(t, 'up', '--listn', 'x');
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /Did you mean --listen\?/);
});

test('without --listen the daemon stands, and guests come by the control socket', async (t) => {
  const socket = path.join(temporaryFolder('test'), 'control.sock');
  const up = new SlipwayProcess(t, 'up', '--control', socket);
  await up.prints(/guests attach at the control socket, by \/connect[\s\S]*Ctrl-C/);
  const guest = connect(socket);
  guest.write('POST /connect HTTP/1.1\r\nHost: slipway\r\n\r\n');
  t.after(() => guest.destroy());
  for (;;) {
    const { stdout } = await slipway(t, 'status', '--control', socket, '--json');
    if (JSON.parse(stdout).guests.length === 1) break;
  }
  up.child.kill('SIGTERM');
  assert.equal((await up.end()).status, 0);
});

test('an address that is said twice is not taken for another process', async (t) => {
  const url = `qemu+unix://${path.join(temporaryFolder('test'), 'vm.sock')}`;
  const { status, stderr } = await slipway(t, 'up', '--listen', url, '--listen', url);
  assert.equal(status, 2);
  assert.ok(stderr.startsWith(`slipway: --listen: ${url} is listed twice\n`), stderr);
});

test('a path that is empty is a slip, not the folder of the moment', async (t) => {
  const listen = ['--listen', 'qemu+tcp://127.0.0.1:0'];
  for (const [args, said] of [
    [['up', ...listen, '--state', ''], '--state: expected an absolute path of a folder, found ""'],
    [['up', ...listen, '--control', ''], '--control: expected none, or an absolute path'],
    [['status', '--control', ''], '--control: expected none, or an absolute path'],
  ] as const) {
    const { status, stderr } = await slipway(t, ...args);
    assert.equal(status, 2, stderr);
    assert.ok(stderr.startsWith(`slipway: ${said}`), stderr);
  }
});

test('six lines say where things are, the QEMU arguments among them, and SIGINT ends it', async (t) => {
  const socket = path.join(temporaryFolder('test'), 'vm.sock');
  const up = new SlipwayProcess(
    t,
    'up',
    '--listen',
    `qemu+unix://${socket}`,
    '--subnet',
    '10.87.0.0/24',
    '--no-host-loopback',
  );
  await up.prints(/Ctrl-C ends it\n/);
  const lines = up.stdout.trimEnd().split('\n');
  assert.equal(lines.length, 6);
  assert.match(lines[4]!, /^control at \/\S+\/slipway\/control\.sock$/);
  assert.match(lines[0]!, /network 10\.87\.0\.0\/24, gateway and DNS 10\.87\.0\.1, 10\.87\.0\.254 is closed, MTU 1500/);
  assert.match(lines[1]!, /engine epoll; up to \d+ flows, 8192 dials, .* \(RLIMIT_NOFILE \d+\)/);
  assert.ok(
    lines[3]!.endsWith(`-netdev stream,id=net0,addr.type=unix,addr.path=${socket} -device virtio-net-pci,netdev=net0`),
  );
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  up.child.kill('SIGINT');
  assert.equal((await up.end()).status, 0);
  assert.equal(existsSync(socket), false);
});

test('every address and limit of the network can be set, and what was set is printed', async (t) => {
  const up = new SlipwayProcess(
    t,
    ...['up', '--listen', 'qemu+tcp://127.0.0.1:0', '--subnet', '10.88.0.0/16', '--gateway', '10.88.0.2'],
    ...['--host-address', '10.88.0.9', '--mtu', '9000', '--max-flows', '100', '--max-dials', '7'],
  );
  await up.prints(/Ctrl-C/);
  const [network, limits] = up.stdout.split('\n');
  assert.match(network!, /10\.88\.0\.0\/16, gateway and DNS 10\.88\.0\.2, 10\.88\.0\.9 reaches .* MTU 9000$/);
  assert.match(limits!, /up to 100 flows, 7 dials,/);
  up.child.kill('SIGTERM');
  await up.end();
});

test('--json prints one line for programs, with the port that the host chose', async (t) => {
  const up = new SlipwayProcess(t, 'up', '--json', '--host-engine', 'node', '--listen', 'qemu+tcp://127.0.0.1:0');
  const facts = JSON.parse((await up.prints(/^\{.*\}\n/))[0]);
  assert.equal(facts.event, 'up');
  assert.equal(facts.engine, 'node');
  assert.match(facts.attachments[0].url, /^qemu\+tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
  up.child.kill('SIGTERM');
  assert.equal((await up.end()).status, 0);
});

test('the log goes to standard error: text for people, JSON lines for programs', async (t) => {
  for (const json of [false, true]) {
    const up = new SlipwayProcess(t, 'up', '--listen', 'qemu+tcp://127.0.0.1:0', ...(json ? ['--json'] : []));
    const [, port] = await up.prints(json ? /127\.0\.0\.1:(\d+)".*\n/ : /127\.0\.0\.1:(\d+)\n[\s\S]*Ctrl-C/);
    const { stdout } = up;
    const stranger = connect(Number(port), '127.0.0.1', () => stranger.write('GET / HTTP/1.1\r\n\r\n'));
    await once(stranger.on('error', () => {}).resume(), 'close');
    up.child.kill('SIGTERM');
    const { stderr } = await up.end();
    assert.equal(up.stdout, stdout);
    const line = stderr.split('\n').find((one) => one.includes('HTTP client'));
    if (!json)
      assert.match(
        line ?? '',
        /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d\d:\d\d warn {2}.* hex=47 45 54 20 .* ascii=GET /,
      );
    else assert.deepEqual(Object.keys(JSON.parse(line ?? '')).slice(0, 2), ['level', 'time']);
  }
});

test('a configuration file is read, a flag wins over it, and its mistakes are told by line', async (t) => {
  const file = path.join(temporaryFolder('test'), 'slipway.yaml');
  writeFileSync(
    file,
    'network:\n  mtu: 9000\n  subnet: 10.1.0.0/16\nlisten: ["qemu+tcp://127.0.0.1:0"]\nhostLoopback: false\n',
  );
  const up = new SlipwayProcess(t, 'up', '--config', file, '--mtu', '1400');
  await up.prints(/network 10\.1\.0\.0\/16, .* is closed, MTU 1400/);
  up.child.kill('SIGTERM');
  await up.end();
  writeFileSync(file, 'network:\n  mtu: 9\n');
  const wrong = await slipway(t, 'up', '--config', file);
  assert.equal(wrong.status, 1);
  assert.ok(
    wrong.stderr.startsWith(`slipway: ${file}:2: network.mtu: expected an integer from 576 to 65520, found 9\n`),
  );
});

test('what is in use is refused and nothing is left running', async (t) => {
  const socket = path.join(temporaryFolder('test'), 'vm.sock');
  const first = new SlipwayProcess(t, 'up', '--listen', `qemu+unix://${socket}`);
  await first.prints(/Ctrl-C/);
  const second = await slipway(t, 'up', '--listen', `qemu+unix://${socket}`);
  assert.equal(second.status, 1);
  assert.match(second.stderr, /another process listens at .*vm\.sock[\s\S]*ERR_LISTEN_IN_USE/);
  assert.ok(existsSync(socket));
  first.child.kill('SIGTERM');
  await first.end();
});

test('a socket whose folder is missing is refused with the name of that folder', async (t) => {
  const folder = temporaryFolder('test');
  const socket = path.join(folder, 'no', 'such', 'vm.sock');
  for (const flags of [
    ['--listen', `qemu+unix://${socket}`],
    ['--listen', `qemu+unix://${socket}`, '--host-engine', 'node'],
    ['--listen', 'qemu+tcp://127.0.0.1:0', '--control', socket],
  ]) {
    const refused = await slipway(t, 'up', ...flags);
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      new RegExp(
        `nothing can listen at ${socket}: the folder ${folder}/no does not exist\n  .*mkdir -p ${folder}/no/such[\\s\\S]*ERR_LISTEN_FAILED`,
      ),
    );
  }
});

test('slow: up holds at most 110 MiB before the first flow', async (t) => {
  if (!existsSync(BUILT)) return t.skip('needs npm run build');
  const up = new SlipwayProcess(t, BUILT, 'up', '--listen', 'qemu+tcp://127.0.0.1:0');
  await up.prints(/Ctrl-C/);
  const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${up.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  assert.ok(resident <= 110, `${resident.toFixed(0)} MiB`);
  up.child.kill('SIGTERM');
  await up.end();
});
