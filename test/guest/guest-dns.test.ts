import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { bundleGuest } from '../../scripts/guest-bundle.ts';
import { answerBytes, readMessage } from '../support/dns-messages.ts';
import { connectNamespaces, createNamespace, nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { dialled } from '../support/sockets.ts';
import { type Asked, nameserver, type TestNameserver } from './nameserver.ts';

const SYSTEM_NODE = '/usr/bin/node';
const GATEWAY = '192.168.65.1';
const TC = 0x0200;
const TXT = 16;
/** A line that never comes fails the test instead of the run. */
const WAITS = { timeout: 60_000 };

let folder = '';
let bundle = '';

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'slipway-guest-'));
  bundle = path.join(folder, 'guest.mjs');
  await bundleGuest(bundle);
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface World {
  readonly guest: TestNamespace;
  readonly internal: TestNameserver;
  readonly system: TestNameserver;
}

/** A guest whose default route is to a gateway with the two servers. */
async function world(t: TestContext): Promise<World> {
  const guest = createNamespace(t, 'guest');
  const host = createNamespace(t, 'host');
  connectNamespaces(
    { namespace: guest, device: 'eth0', address: '192.168.65.3/24' },
    { namespace: host, device: 'eth0', address: `${GATEWAY}/24` },
  );
  nsExec(guest, 'ip', 'route', 'add', 'default', 'via', GATEWAY);
  const at = (port: number) => ({ namespace: host, address: GATEWAY, port });
  return {
    guest,
    internal: await nameserver(t, tells(0xc0000201), at(5301)),
    system: await nameserver(t, tells(0xc0000202), at(53)),
  };
}

/** A with `address`; TXT of 50,000 octets, by TCP only; nothing for what begins with "silent". */
function tells(address: number): (asked: Asked) => void {
  return ({ transport, message, tell }) => {
    const { name: owner, type } = readMessage(message).head;
    if (owner.startsWith('silent')) return;
    if (type !== TXT) return tell(answerBytes(message, { answers: [{ owner, data: { type: 'A', address } }] }));
    if (transport === 'udp') return tell(answerBytes(message, {}, TC));
    const texts = Array.from({ length: 200 }, () => new Uint8Array(250).fill(0x61));
    tell(answerBytes(message, { answers: [{ owner, data: { type: 'TXT', texts } }] }));
  };
}

/** A process in the guest that prints lines, ended after the test. */
class GuestProcess {
  readonly child: ChildProcessWithoutNullStreams;
  stderr = '';
  #stdout = '';

  constructor(t: TestContext, guest: TestNamespace, ...command: readonly string[]) {
    this.child = spawn('nsenter', [`--net=${guest.path}`, '--', ...command]);
    t.after(() => this.child.kill('SIGKILL'));
    this.child.stdout.on('data', (bytes) => {
      this.#stdout += String(bytes);
    });
    this.child.stderr.on('data', (bytes) => {
      this.stderr += String(bytes);
    });
  }

  /** Waits for a line that matches, after those that were waited for. */
  async prints(wanted: RegExp): Promise<string> {
    for (;;) {
      const match = wanted.exec(this.#stdout);
      if (match !== null) {
        this.#stdout = this.#stdout.slice(match.index + match[0].length);
        return match[0];
      }
      assert.equal(
        this.child.exitCode ?? this.child.signalCode,
        null,
        `it ended before: ${this.#stdout}${this.stderr}`,
      );
      await Promise.race([once(this.child.stdout, 'data'), once(this.child, 'close')]);
    }
  }

  async ends(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.child.kill(signal);
    if (this.child.exitCode === null) await once(this.child, 'close');
    return this.child.exitCode;
  }
}

async function dig(guest: TestNamespace, ...args: readonly string[]): Promise<string> {
  const all = [`--net=${guest.path}`, '--', 'dig', '+tries=1', '+time=10', ...args];
  return (await promisify(execFile)('nsenter', all, { maxBuffer: 1 << 20 })).stdout;
}

const short = async (guest: TestNamespace, ...args: readonly string[]): Promise<string> =>
  (await dig(guest, '+short', ...args)).trim();

function ready(t: TestContext): boolean {
  return needs(t, 'dig', 'ip', 'nsenter') && needsRoot(t);
}

for (const [whose, program] of [
  ['the Node of the system', SYSTEM_NODE],
  ['our Node', process.execPath],
] as const) {
  test(
    `run by ${whose}, it answers dig at 127.0.0.1 and at the docker bridge, whenever that comes, changes or goes`,
    WAITS,
    async (t) => {
      if (!ready(t) || !needs(t, program)) return;
      const { guest, internal, system } = await world(t);
      const dns = new GuestProcess(t, guest, program, bundle, 'dns');
      await dns.prints(/^docker\.internal .*→ 192\.168\.65\.1:5301, all else → 192\.168\.65\.1:53\n/m);
      await dns.prints(/^listening at 127\.0\.0\.1:53, UDP and TCP\n/m);
      await dns.prints(/^waiting: there is no interface docker0 with an IPv4 address\n/m);
      await dns.prints(/^process \d+; Ctrl-C ends it\n/m);

      for (const transport of ['+notcp', '+tcp']) {
        assert.equal(await short(guest, '@127.0.0.1', transport, 'host.docker.internal'), '192.0.2.1');
        assert.equal(await short(guest, '@127.0.0.1', transport, 'www.example'), '192.0.2.2');
      }
      // Truncated over UDP, so dig comes back over TCP by itself.
      assert.match(await dig(guest, '@127.0.0.1', 'big.example', 'TXT'), /MSG SIZE {2}rcvd: 50\d{3}/);
      assert.deepEqual(
        [internal, system].map(({ asked }) => asked.map(({ transport }) => transport)),
        [
          ['udp', 'tcp'],
          ['udp', 'tcp', 'udp', 'tcp'],
        ],
      );

      nsExec(guest, 'ip', 'link', 'add', 'docker0', 'type', 'bridge');
      nsExec(guest, 'ip', 'address', 'add', '172.17.0.1/16', 'dev', 'docker0');
      nsExec(guest, 'ip', 'link', 'set', 'docker0', 'up');
      await dns.prints(/^listening at 172\.17\.0\.1:53 \(docker0\), UDP and TCP\n/m);
      assert.equal(await short(guest, '@172.17.0.1', 'host.docker.internal'), '192.0.2.1');
      assert.equal(await short(guest, '@172.17.0.1', '+tcp', 'www.example'), '192.0.2.2');

      // The last container went: up, but not running.
      nsExec(guest, 'ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
      nsExec(guest, 'ip', 'link', 'set', 'veth0', 'master', 'docker0', 'up');
      nsExec(guest, 'ip', 'link', 'set', 'veth1', 'up');
      nsExec(guest, 'ip', 'link', 'delete', 'veth0');
      nsExec(guest, 'ip', 'address', 'add', '172.18.0.1/16', 'dev', 'docker0');
      nsExec(guest, 'ip', 'address', 'delete', '172.17.0.1/16', 'dev', 'docker0');
      await dns.prints(/^no longer at 172\.17\.0\.1:53 \(docker0\)\n/m);
      await dns.prints(/^listening at 172\.18\.0\.1:53 \(docker0\), UDP and TCP\n/m);
      assert.equal(await short(guest, '@172.18.0.1', 'www.example'), '192.0.2.2');

      nsExec(guest, 'ip', 'link', 'delete', 'docker0');
      await dns.prints(/^no longer at 172\.18\.0\.1:53 \(docker0\)\n/m);
      await dns.prints(/^waiting: there is no interface docker0/m);
      assert.equal(await short(guest, '@127.0.0.1', 'www.example'), '192.0.2.2');

      dns.child.kill('SIGUSR2');
      await dns.prints(/^counters: answered 10, to-internal 3, to-system 7\n/m);
      assert.equal(await dns.ends('SIGTERM'), 0);
      await dns.prints(/^end: answered 10, /m);
      assert.equal(dns.stderr, '');
    },
  );
}

test(
  'a server that says nothing is SERVFAIL before dig loses patience, over UDP after a second try, and over TCP',
  WAITS,
  async (t) => {
    if (!ready(t)) return;
    const { guest, system } = await world(t);
    const dns = new GuestProcess(t, guest, process.execPath, bundle, 'dns', '--listen', '127.0.0.1:53', '--json');
    await dns.prints(/\{"event":"up","pid":\d+\}\n/);
    const answers = await Promise.all(
      ['+notcp', '+tcp'].map((transport) => dig(guest, '+time=5', '@127.0.0.1', transport, 'silent.example')),
    );
    for (const answer of answers) assert.match(answer, /status: SERVFAIL/);
    assert.equal(system.asked.filter(({ transport }) => transport === 'udp').length, 2);
    assert.equal(await short(guest, '@127.0.0.1', 'www.example'), '192.0.2.2');
  },
);

test(
  'JSON lines say the same; a closed server is SERVFAIL at once and the other server is not concerned',
  WAITS,
  async (t) => {
    if (!ready(t)) return;
    const { guest } = await world(t);
    const places = ['--listen', '127.0.0.1:53', '--listen', '[::1]:53', '--listen', '10.9.9.9:53'];
    const own = ['--internal', `${GATEWAY}:5999`, '--domain', 'dev.example', '--json'];
    const dns = new GuestProcess(t, guest, process.execPath, bundle, 'dns', ...places, ...own);
    const routes = JSON.parse(await dns.prints(/^\{"event":"routes".*\n/m));
    assert.deepEqual(routes, {
      event: 'routes',
      domains: ['docker.internal', 'containers.internal', 'lima.internal', 'dev.example'],
      internal: { address: GATEWAY, port: 5999 },
      system: { address: GATEWAY, port: 53 },
    });
    await dns.prints(/^\{"event":"listening","name":"127\.0\.0\.1","address":"127\.0\.0\.1","port":53\}\n/m);
    await dns.prints(/^\{"event":"listening","name":"::1","address":"::1","port":53\}\n/m);
    await dns.prints(
      /^\{"event":"waiting","name":"10\.9\.9\.9","why":"10\.9\.9\.9 is not an address of this machine"\}\n/m,
    );
    await dns.prints(/"event":"up"/);
    for (const transport of ['+notcp', '+tcp']) {
      const answer = await dig(guest, '@127.0.0.1', transport, 'www.dev.example');
      assert.match(answer, /status: SERVFAIL/);
      assert.match(answer, /Query time: \d{1,3} msec/);
      assert.equal(await short(guest, '@::1', transport, 'www.example'), '192.0.2.2');
    }
    nsExec(guest, 'ip', 'address', 'add', '10.9.9.9/32', 'dev', 'lo');
    await dns.prints(/^\{"event":"listening","name":"10\.9\.9\.9"/m);
    assert.equal(await short(guest, '@10.9.9.9', 'www.example'), '192.0.2.2');
    assert.equal(await dns.ends('SIGINT'), 0);
  },
);

test('a default route that comes late is found, and another gateway is followed', WAITS, async (t) => {
  if (!ready(t)) return;
  const { guest } = await world(t);
  nsExec(guest, 'ip', 'route', 'delete', 'default');
  const dns = new GuestProcess(t, guest, process.execPath, bundle, 'dns', '--listen', '127.0.0.1:53');
  await dns.prints(/^there is no default route yet, so no server is known: waiting for one\n/m);
  await dns.prints(/^process/m);
  assert.match(await dig(guest, '@127.0.0.1', 'www.example'), /status: SERVFAIL/);
  nsExec(guest, 'ip', 'route', 'add', 'default', 'via', '192.168.65.77');
  await dns.prints(/→ 192\.168\.65\.77:53\n/);
  nsExec(guest, 'ip', 'route', 'replace', 'default', 'via', GATEWAY);
  await dns.prints(/→ 192\.168\.65\.1:53\n/);
  assert.equal(await short(guest, '@127.0.0.1', 'www.example'), '192.0.2.2');
});

test('a port that is held is an error that names the holder', WAITS, async (t) => {
  if (!ready(t)) return;
  const { guest } = await world(t);
  const first = new GuestProcess(t, guest, process.execPath, bundle, 'dns', '--listen', '127.0.0.1:53');
  const pid = /\d+/.exec(await first.prints(/^process \d+;/m))?.[0];
  const second = new GuestProcess(t, guest, process.execPath, bundle, 'dns');
  assert.equal(await second.ends(), 1);
  assert.match(
    second.stderr,
    new RegExp(`^slipway: 127\\.0\\.0\\.1 port 53 \\(UDP\\) is held by node \\(process ${pid}\\)\n`),
  );
  assert.match(second.stderr, /--listen.*127\.0\.0\.53[\s\S]*ERR_GUEST_PORT_IN_USE/);
});

test('an address that comes while another program holds its port is waited for', WAITS, async (t) => {
  if (!ready(t)) return;
  const { guest } = await world(t);
  const dns = new GuestProcess(t, guest, process.execPath, bundle, 'dns');
  await dns.prints(/^process/m);
  nsExec(guest, 'ip', 'address', 'add', '172.17.0.1/16', 'dev', 'lo');
  const other = new GuestProcess(t, guest, process.execPath, bundle, 'dns', '--listen', '172.17.0.1:53');
  await other.prints(/^process/m);
  nsExec(guest, 'ip', 'address', 'delete', '172.17.0.1/16', 'dev', 'lo');
  nsExec(guest, 'ip', 'link', 'add', 'docker0', 'type', 'bridge');
  nsExec(guest, 'ip', 'address', 'add', '172.17.0.1/16', 'dev', 'docker0');
  nsExec(guest, 'ip', 'link', 'set', 'docker0', 'up');
  await dns.prints(/^waiting: docker0 port 53 \(UDP\) is held by node \(process \d+\)\n/m);
  assert.equal(await short(guest, '@127.0.0.1', 'www.example'), '192.0.2.2');
  assert.equal(await other.ends('SIGTERM'), 0);
  await dns.prints(/^listening at 172\.17\.0\.1:53 \(docker0\)/m);
  assert.equal(await short(guest, '@172.17.0.1', 'www.example'), '192.0.2.2');
});

test('without a descriptor to spare it lives, and with some again it answers', WAITS, async (t) => {
  if (!ready(t)) return;
  const { guest } = await world(t);
  const few = ['sh', '-c', 'ulimit -n 40 && exec "$0" "$@"', process.execPath, bundle];
  const dns = new GuestProcess(t, guest, ...few, 'dns', '--listen', '127.0.0.1:53');
  await dns.prints(/^process/m);
  const connections = await Promise.all(Array.from({ length: 60 }, () => dialled(t, guest, 53, '127.0.0.1')));
  // Whatever it says, it says something.
  assert.match(await dig(guest, '+notcp', '@127.0.0.1', 'www.example'), /status: (SERVFAIL|NOERROR)/);
  for (const socket of connections) socket.destroy();
  // The ends of the connections are on their way to it; the test's own patience bounds this.
  while ((await short(guest, '@127.0.0.1', '+notcp', 'www.example')) !== '192.0.2.2');
  assert.equal(await short(guest, '@127.0.0.1', '+tcp', 'www.example'), '192.0.2.2');
  assert.equal(await dns.ends('SIGTERM'), 0);
});
