import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayProcess, slipway } from '../cli/slipway.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests } from '../support/slipway.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const TIMEOUT = { timeout: 60_000 };

/** Listens, serves one client, and does not listen for a moment. */
const NOW_AND_THEN = `
import socket, time
while True:
    server = socket.create_server(('127.0.0.1', 80))
    client, _ = server.accept()
    client.recv(1000)
    client.sendall(b'served')
    server.close()
    client.close()
    time.sleep(0.5)
`;

interface Published {
  readonly run: SlipwayProcess;
  readonly ports: readonly number[];
}

/** Runs COMMAND with ports of the namespace at ports of loopback that the host chose. */
async function publish(
  t: TestContext,
  guestPorts: readonly number[],
  ...command: readonly string[]
): Promise<Published> {
  const flags = guestPorts.flatMap((port) => ['-p', `127.0.0.1:0:${port}`]);
  const run = new SlipwayProcess(t, 'run', ...flags, '--', ...command);
  for (;;) {
    const ports = [...run.stderr.matchAll(/publishing 127\.0\.0\.1:(\d+)\n/g)].map((match) => Number(match[1]));
    if (ports.length === guestPorts.length) return { run, ports };
    assert.equal(run.child.exitCode, null, run.stderr);
    await Promise.race([once(run.child.stderr, 'data'), once(run.child, 'close')]);
  }
}

/** How a connection went: what was said until its end, or the error's code. */
async function talk(port: number, say = ''): Promise<string> {
  const client = connect(port, '127.0.0.1');
  let heard = '';
  client.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  if (say !== '') client.write(say);
  return new Promise((resolve) => {
    client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')).on('close', () => resolve(heard));
  });
}

/** Asks until somebody serves; before, each client is refused. */
async function served(port: number, path: string): Promise<string> {
  for (;;) {
    const heard = await talk(port, `GET ${path} HTTP/1.0\r\n\r\n`);
    if (heard !== 'ECONNREFUSED') return heard;
    await delay(10);
  }
}

function site(): string {
  const folder = temporaryFolder('site');
  writeFileSync(join(folder, 'page.txt'), 'the page\n');
  return folder;
}

const SERVERS: readonly {
  readonly name: string;
  readonly program: string;
  readonly command: (folder: string, address: string) => readonly string[];
}[] = [
  {
    name: 'nginx',
    program: 'nginx',
    command: (folder, address) => {
      mkdirSync(join(folder, 'logs'), { recursive: true });
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder};`);
      const server = `server { listen ${address}:80; root ${folder}; }`;
      writeFileSync(
        join(folder, 'nginx.conf'),
        `daemon off; pid ${folder}/pid; user root; error_log stderr; events {} http { access_log off; ${paths.join(' ')} ${server} }`,
      );
      return ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')];
    },
  },
  {
    name: 'busybox httpd',
    program: 'busybox',
    command: (folder, address) => ['busybox', 'httpd', '-f', '-p', `${address}:80`, '-h', folder],
  },
  {
    name: 'python3 http.server',
    program: 'python3',
    command: (folder, address) => ['python3', '-m', 'http.server', '--bind', address, '--directory', folder, '80'],
  },
];

for (const { name, program, command } of SERVERS) {
  for (const address of ['127.0.0.1', '0.0.0.0']) {
    test(`run -p publishes ${name} at ${address} of the namespace`, TIMEOUT, async (t) => {
      if (!canRunGuests(t) || !needs(t, program)) return;
      const { run, ports } = await publish(t, [80], ...command(site(), address));
      assert.match(await served(ports[0]!, '/page.txt'), /^HTTP\/1\.[01] 200 [\s\S]*\r\n\r\nthe page\n$/);
      run.child.kill('SIGTERM');
      await run.end();
      assert.equal(await talk(ports[0]!), 'ECONNREFUSED', 'the port is gone with the command');
    });
  }
}

test('a port that the host chose stays the same when its service stops and begins again', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'python3')) return;
  const { ports } = await publish(t, [80], 'python3', '-c', NOW_AND_THEN);
  const [port = 0] = ports;
  for (let rounds = 0; rounds < 3; rounds++) {
    assert.equal(await served(port, '/'), 'served');
    while ((await talk(port, 'x')) !== 'ECONNREFUSED') await delay(5);
  }
});

test('a port that is in use is said with its owner before the command starts', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
  const { port } = holder.address() as { port: number };
  const { status, stdout, stderr } = await slipway(t, 'run', '-p', `127.0.0.1:${port}:80`, '--', 'echo', 'started');
  assert.equal(status, 125);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(`127\\.0\\.0\\.1:${port}.*held by node \\(pid ${process.pid}[\\s\\S]*ERR_PORT_IN_USE`),
  );
});

test('a slip in -p of run is one line that names the form', TIMEOUT, async (t) => {
  const { status, stderr } = await slipway(t, 'run', '-p', '8080:', '--', 'true');
  assert.equal(status, 125);
  assert.match(stderr, /--publish: expected a port of the guest[\s\S]*ERR_USAGE/);
});

test('with -p the exit status of the command passes through', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const { status } = await slipway(t, 'run', '-p', '127.0.0.1:0:80', '--', 'sh', '-c', 'exit 7');
  assert.equal(status, 7);
});
