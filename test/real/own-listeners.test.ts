import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serve } from '../support/dns-host.ts';
import { createNamespace, nsExec, type TestNamespace } from '../support/namespace.ts';
import { Slipway } from '../support/slipway.ts';
import { dialled, execute, listen } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createTwoUplinks } from '../support/two-uplinks.ts';
import { GATEWAY_SERVICES } from '../../src/facts/gateway-ports.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const SCANNER = fileURLToPath(new URL('../support/scan-ports.py', import.meta.url));
const GUEST = '192.168.65.3';
const GATEWAY = '192.168.65.1';
const HOST = '192.168.65.254';
/** What the kernel makes of "communication administratively prohibited". */
const PROHIBITED = 'EHOSTUNREACH';

/** Where Slipway itself listens, in a network in which nothing else does. */
const ATTACHMENT = 4444;
const ON_OTHER_LOOPBACK = 4445;
const CONTROL = 4446;
const DEBUGGER = 4447;

const CONFIGURATION = `
control:
  tcp: "[::1]:${CONTROL}"
services:
  - { port: 7001, target: "127.0.0.1:${ATTACHMENT}" }
  - { port: 7002, target: "127.0.0.2:${ON_OTHER_LOOPBACK}" }
  - { port: 7003, target: "unix:CONTROL_SOCKET" }
  - { port: 7004, target: "unix:NET_SOCKET" }
  - { port: 7005, target: "127.0.0.1:8000" }
`;

type Answers = Readonly<Record<string, Readonly<Record<string, string>>>>;

test('a guest that dials every port of every address of this computer reaches what listens there, but nothing of Slipway’s own', {
  timeout: 300_000,
}, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const { home, ip } = createTwoUplinks(t);
  const folder = temporaryFolder('own');
  const [control, net] = [join(folder, 'control.sock'), join(folder, 'net.sock')];
  const config = join(folder, 'slipway.yaml');
  writeFileSync(config, CONFIGURATION.replace('CONTROL_SOCKET', control).replace('NET_SOCKET', net));
  const places = [`tcp://127.0.0.1:${ATTACHMENT}`, `tcp://127.0.0.2:${ON_OTHER_LOOPBACK}`, `unix://${net}`];
  const program = [process.execPath, `--inspect=0.0.0.0:${DEBUGGER}`, MAIN, 'up', '--config', config];
  const flags = [...places.flatMap((place) => ['--listen', `qemu+${place}`]), '--control', control, '-p', '8080:80'];
  await serve(t, /Ctrl-C ends it/, 'nsenter', `--net=${home.path}`, '--', ...program, ...flags);
  // Others' listeners, one of them at the port of one of Slipway's but not at its address.
  const others = [
    { host: '127.0.0.1', port: 8000 },
    { host: '0.0.0.0', port: 8001 },
    { host: '10.1.0.1', port: 8002 },
    { host: '::1', port: 8003 },
    { host: '::', port: 8004 },
    { host: '10.1.0.1', port: ATTACHMENT },
  ];
  for (const place of others) await listen(t, home, place);
  const { namespace: guest } = await plugGuest(t, { socket: net, address: GUEST });
  // Its own published port is no listener of Slipway's in this sense.
  await listen(t, guest, { port: 80 });
  await published(t, guest, 8080);
  // Seen by nobody at the start.
  ip('address', 'add', '10.3.0.1/24', 'dev', 'up1');

  const own = ['10.1.0.1', '10.2.0.1', '10.3.0.1'];
  const { stdout, stderr } = await execute(t, guest, 'python3', SCANNER, '128', HOST, GATEWAY, ...own);
  assert.equal(stderr, '');
  const answers = JSON.parse(stdout) as Answers;
  const listeners = listenersOf(home);
  for (const address of own) {
    const expected = openAt(listeners, [address, '0.0.0.0', '::']);
    expected[DEBUGGER] = PROHIBITED;
    assert.deepEqual(answers[address], expected, address);
  }
  const loopback = openAt(listeners, ['127.0.0.1', '::1', '0.0.0.0', '::']);
  for (const port of [ATTACHMENT, CONTROL, DEBUGGER]) {
    assert.equal(loopback[port], 'open', `${port} is there to be found`);
    loopback[port] = PROHIBITED;
  }
  assert.deepEqual(answers[HOST], loopback);
  const served = [...GATEWAY_SERVICES.keys()].flatMap((name) => (name.startsWith('tcp:') ? name.slice(4) : []));
  const services = Object.fromEntries([...served, 7005].map((port) => [port, 'open']));
  const ours = Object.fromEntries([7001, 7002, 7003, 7004].map((port) => [port, PROHIBITED]));
  assert.deepEqual(answers[GATEWAY], { ...services, ...ours });
  // It was there all the time.
  (await dialled(t, home, ATTACHMENT, '127.0.0.1')).destroy();
});

for (const engine of ['epoll', 'node'] as const) {
  test(`a dial that would meet itself is refused: nobody listens at that port of this computer, host engine ${engine}`, {
    timeout: 60_000,
  }, async (t) => {
    if (!canRunStreamGuests(t)) return;
    const home = createNamespace(t, 'home');
    // The only port that the kernel can choose for a dial.
    nsExec(home, 'sysctl', '-q', '-w', 'net.ipv4.ip_local_port_range=40001 40001');
    const socket = join(temporaryFolder('own'), 'net.sock');
    await Slipway.start(t, { namespace: home, engine, guest: false, listen: [`qemu+unix://${socket}`] });
    const { namespace: guest } = await plugGuest(t, { socket, address: GUEST });
    await assert.rejects(dialled(t, guest, 40_001, HOST), { code: 'ECONNREFUSED' });
  });
}

/** Waits until the guest gets through to its own published port: the guest's server is younger than its port. */
async function published(t: TestContext, guest: TestNamespace, port: number): Promise<void> {
  for (;;) {
    try {
      (await dialled(t, guest, port, HOST)).destroy();
      return;
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
    }
  }
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** Where the kernel says that somebody listens on TCP. */
function listenersOf(namespace: TestNamespace): Place[] {
  const lines = nsExec(namespace, 'cat', '/proc/net/tcp', '/proc/net/tcp6').split('\n');
  return lines.flatMap((line) => {
    const [, , local = '', , state] = line.split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    return state === '0A' ? [{ address: addressOf(address), port: Number.parseInt(port, 16) }] : [];
  });
}

/** In the byte order of the computer, a word at a time. */
function addressOf(hex: string): string {
  if (hex.length === 8) return Buffer.from(hex, 'hex').reverse().join('.');
  return /^0+$/.test(hex) ? '::' : hex === `${'0'.repeat(24)}01000000` ? '::1' : hex;
}

function openAt(places: readonly Place[], addresses: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    places.filter(({ address }) => addresses.includes(address)).map(({ port }) => [port, 'open']),
  );
}
