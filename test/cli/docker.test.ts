import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type Ended, SlipwayProcess, slipway } from './slipway.ts';

/** What an engine says of one container. */
const LISTED = [
  {
    Id: '0123456789abcdef',
    Names: ['/web'],
    Image: 'nginx',
    State: 'running',
    Ports: [
      { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
      { IP: '::', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
      { PrivatePort: 443, Type: 'tcp' },
    ],
  },
];

/** An engine that has this list, and events that never come. */
async function engine(t: TestContext, path: string, listed: readonly object[] = []): Promise<Server> {
  const streams = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'application/json');
    if (request.url!.startsWith('/events')) {
      response.flushHeaders();
      streams.add(response);
    } else if (request.url === '/containers/json') response.end(JSON.stringify(listed));
    else response.writeHead(404).end('{"message":"no such container"}');
  });
  server.listen(path);
  await once(server, 'listening');
  const close = server.close.bind(server);
  server.close = (done) => {
    for (const stream of streams) stream.destroy();
    return close(done);
  };
  t.after(() => server.close());
  return server;
}

/** Lines of the log that match. */
const lines = (text: string, wanted: RegExp): string[] => text.split('\n').filter((line) => wanted.test(line));

test('up serves each engine of its file at a private socket, and tells once for each change', async (t) => {
  const folder = temporaryFolder('docker');
  const [own, socket, file] = ['engine.sock', 'docker.sock', 'slipway.yaml'].map((name) => join(folder, name));
  const yaml = `listen: ["qemu+unix://${folder}/vm.sock"]\ndocker: [{ engine: "unix://${own}", socket: "${socket}" }]\n`;
  writeFileSync(file!, yaml);
  const daemon = new SlipwayProcess(t, 'up', '--config', file!, '--control', 'none');
  await daemon.prints(/Ctrl-C ends it/);
  assert.equal(statSync(socket!).mode & 0o777, 0o600);
  await daemon.warns(/the engine at .*engine\.sock does not answer: .*; it is asked until it does/);
  const server = await engine(t, own!, LISTED);
  await daemon.warns(/the engine at .*engine\.sock answers; its API is at .*docker\.sock/);

  const { stdout } = await slipway(t, 'docker', 'ps', '--config', file!);
  assert.equal(
    stdout,
    `${socket}\nCONTAINER     NAME  IMAGE  STATE    PORTS\n0123456789ab  web   nginx  running  0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n`,
  );
  server.close();
  await daemon.warns(/does not answer[\s\S]*does not answer/);
  assert.equal(lines(daemon.stderr, /does not answer/).length, 2, daemon.stderr);
  assert.equal(lines(daemon.stderr, /answers; its API/).length, 1, daemon.stderr);

  writeFileSync(file!, yaml.replace(/^docker.*\n/m, ''));
  daemon.child.kill('SIGHUP');
  await daemon.warns(/the configuration was read again: engine −.*engine\.sock/);
  assert.equal(existsSync(socket!), false);
  writeFileSync(file!, yaml);
  daemon.child.kill('SIGHUP');
  await daemon.warns(/the configuration was read again: engine \+.*engine\.sock/);
  assert.ok(existsSync(socket!));
  daemon.child.kill('SIGTERM');
  assert.equal((await daemon.end()).status, 0);
  assert.equal(existsSync(socket!), false);
});

test('a socket at which another program listens is left alone, and the daemon says so', async (t) => {
  const folder = temporaryFolder('docker');
  const socket = join(folder, 'docker.sock');
  await engine(t, socket);
  writeFileSync(
    join(folder, 'slipway.yaml'),
    `listen: ["qemu+unix://${folder}/vm.sock"]\ndocker: [{ engine: "unix://${folder}/engine.sock", socket: "${socket}" }]\n`,
  );
  const ended = await slipway(t, 'up', '--config', join(folder, 'slipway.yaml'), '--control', 'none');
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /another process listens at .*docker\.sock[\s\S]*ERR_LISTEN_IN_USE/);
  assert.ok(existsSync(socket));
});

test('docker ps --json has every engine, with the error of one that does not answer', async (t) => {
  const folder = temporaryFolder('docker');
  const [there, gone] = [join(folder, 'there.sock'), join(folder, 'gone.sock')];
  await engine(t, there, LISTED);
  const { status, stdout } = await slipway(t, 'docker', 'ps', '--json', '--socket', there, gone);
  assert.equal(status, 1, 'one does not answer');
  const port = { protocol: 'tcp', hostPort: 8080, containerPort: 80 };
  assert.deepEqual(JSON.parse(stdout), [
    {
      socket: there,
      containers: [
        {
          id: '0123456789abcdef',
          name: 'web',
          image: 'nginx',
          state: 'running',
          ports: [
            { ...port, hostIp: '0.0.0.0' },
            { ...port, hostIp: '::' },
          ],
        },
      ],
      error: '',
    },
    { socket: gone, containers: [], error: `connect ENOENT ${gone}` },
  ]);
  assert.match((await slipway(t, 'docker', 'ps')).stderr, /no engine is served at .*ERR_DOCKER_FAILED/s);
});

/** The command line with nothing but these programs, each a script, in its PATH. */
async function withPrograms(
  t: TestContext,
  programs: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Ended> {
  const folder = temporaryFolder('path');
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = folder;
  const started = new SlipwayProcess(t, ...args);
  process.env.PATH = before;
  return started.end();
}

test('docker context create has docker make one, and prints the command where there is none', async (t) => {
  const heard = join(temporaryFolder('docker'), 'heard');
  const made = await withPrograms(
    t,
    { docker: `echo "$@" > ${heard}` },
    ...['docker', 'context', 'create', '--socket', '/run/a.sock', 'vm'],
  );
  assert.deepEqual(made, { status: 0, stdout: 'docker context use vm\n', stderr: '' });
  const asked = 'context create vm --description Slipway --docker host=unix:///run/a.sock\n';
  assert.equal(readFileSync(heard, 'utf8'), asked);
  const printed = await withPrograms(t, {}, 'docker', 'context', 'create', '--socket', '/run/a.sock', 'vm');
  assert.match(printed.stdout, new RegExp(`^docker ${asked}`));
  assert.equal((await withPrograms(t, {}, 'docker', 'context', 'rm', 'vm')).stdout, 'docker context rm vm\n');
  const refused = await withPrograms(t, { docker: 'echo in use >&2; exit 1' }, 'docker', 'context', 'rm', 'vm');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /docker context rm vm: in use[\s\S]*ERR_DOCKER_FAILED/);
});
