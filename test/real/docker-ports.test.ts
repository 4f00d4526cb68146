import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Place } from '../support/dns-host.ts';
import { canRunDockerd, Dockerd } from '../support/dockerd.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const LIMITS = { timeout: 120_000 };

interface World {
  readonly slipway: Slipway;
  readonly dockerd: Dockerd;
  /** The command line of Docker on the host, through Slipway. */
  docker(...args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }>;
}

/** A real dockerd in a guest, and Slipway's socket for it on the host. */
async function world(t: TestContext): Promise<World> {
  const slipway = await Slipway.start(t, {});
  const guest = new Place('guest', `/proc/${slipway.guestPid}`);
  const dockerd = await Dockerd.start(t, guest, { resolvConf: 'nameserver 127.0.0.1\n' });
  const socket = join(temporaryFolder('docker-ports'), 'docker.sock');
  await slipway.ask({ ask: 'docker', engine: `${dockerd.root}/run/docker.sock`, socket });
  await slipway.hear((said) => said.event === 'engine' && said.why === undefined);
  const docker = (...args: readonly string[]): ReturnType<World['docker']> =>
    new Promise((resolve) => {
      execFile('docker', ['--host', `unix://${socket}`, ...args], (error, stdout, stderr) => {
        resolve({ status: Number(error?.code ?? 0), stdout, stderr });
      });
    });
  return { slipway, dockerd, docker };
}

const RUN = ['run', '--pull', 'never', '--volume', '/usr:/usr:ro'];
/** A container that says "served" to each client of its port 80. */
const SERVE = `
import socket
server = socket.create_server(('', 80))
while True:
    client, _ = server.accept()
    client.sendall(b'served')
    client.close()
`;
const WEB = ['machine', 'python3', '-c', SERVE];

/** What a client at that port of the host's loopback reads, or the error's code. */
function fetched(port: number, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, host);
    socket.setEncoding('utf8');
    socket.on('data', (part) => {
      text += part;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('end', () => resolve(text));
  });
}

async function fetchedOnceServed(port: number): Promise<string> {
  for (;;) {
    const text = await fetched(port);
    if (text !== '' && text !== 'ECONNRESET') return text;
  }
}

test('docker run -p makes the port appear on the host, and stop takes it away', LIMITS, async (t) => {
  if (!canRunGuests(t) || !canRunDockerd(t)) return;
  const { docker } = await world(t);
  const port = await freePort();
  const run = await docker(...RUN, '-d', '--name', 'web', '-p', `${port}:80`, ...WEB);
  assert.equal(run.status, 0, run.stderr);
  assert.equal(await fetchedOnceServed(port), 'served');
  assert.match((await docker('ps')).stdout, new RegExp(`0\\.0\\.0\\.0:${port}->80/tcp`));
  await docker('stop', '-t', '0', 'web');
  assert.equal(await fetched(port), 'ECONNREFUSED');
  await docker('start', 'web');
  assert.equal(await fetchedOnceServed(port), 'served');
  await docker('rm', '-f', 'web');
  assert.equal(await fetched(port), 'ECONNREFUSED');
});

test(
  'a port that a process of the host holds is refused in Docker Desktop’s words, and with who holds it',
  LIMITS,
  async (t) => {
    if (!canRunGuests(t) || !canRunDockerd(t)) return;
    const { docker } = await world(t);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const refused = await docker(...RUN, '--rm', '--name', 'web', '-p', `${port}:80`, ...WEB);
    assert.equal(refused.status, 125, refused.stderr);
    assert.match(
      refused.stderr,
      new RegExp(
        `Ports are not available: exposing port TCP 0\\.0\\.0\\.0:${port} -> 127\\.0\\.0\\.1:0: listen tcp4 0\\.0\\.0\\.0:${port}: bind: address already in use: held by .*pid ${process.pid}.*next free port`,
      ),
    );
    assert.equal(
      (await docker('ps', '-aq')).stdout,
      '',
      'the --rm container is gone, as after a refusal of the engine',
    );
  },
);

test('two containers with one port: the engine’s own words, and the first is not disturbed', LIMITS, async (t) => {
  if (!canRunGuests(t) || !canRunDockerd(t)) return;
  const { docker } = await world(t);
  const port = await freePort();
  await docker(...RUN, '-d', '--name', 'one', '-p', `${port}:80`, ...WEB);
  const second = await docker(...RUN, '-d', '--name', 'two', '-p', `${port}:80`, ...WEB);
  assert.match(second.stderr, /port is already allocated/);
  assert.equal(await fetchedOnceServed(port), 'served');
  await docker('rm', '-f', 'one');
  await docker('start', 'two');
  assert.equal(await fetchedOnceServed(port), 'served');
});

test(
  'random ports are the host’s choice; addresses of the host alone work; both are shown as they are',
  LIMITS,
  async (t) => {
    if (!canRunGuests(t) || !canRunDockerd(t)) return;
    const { docker } = await world(t);
    const run = await docker(...RUN, '-d', '--name', 'web', '-p', '80', '-p', '127.0.0.3::80', '-p', '81/udp', ...WEB);
    assert.equal(run.status, 0, run.stderr);
    const ports = (await docker('port', 'web')).stdout;
    const random = Number(/^80\/tcp -> 0\.0\.0\.0:(\d+)$/m.exec(ports)?.[1]);
    assert.match(ports, new RegExp(`^80/tcp -> \\[::\\]:${random}$`, 'm'), 'both families have one port');
    assert.equal(await fetchedOnceServed(random), 'served');
    const local = Number(/^80\/tcp -> 127\.0\.0\.3:(\d+)$/m.exec(ports)?.[1]);
    assert.equal(await fetched(local, '127.0.0.3'), 'served');
    assert.equal(await fetched(local, '127.0.0.1'), 'ECONNREFUSED');
    assert.match((await docker('ps')).stdout, new RegExp(`127\\.0\\.0\\.3:${local}->80/tcp`));
  },
);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
