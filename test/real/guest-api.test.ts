import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { canRunGuests } from '../support/slipway.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const API = 'http://gateway.containers.internal/services/forwarder';

/** A container's port, published as Podman does it: a server, then the request; lives until its input ends. */
const PODMAN = `
require('node:http').createServer((request, response) => response.end('from the guest')).listen(80, async () => {
  const body = JSON.stringify({ local: process.argv[1], remote: ':80', protocol: 'tcp' });
  const answers = [];
  for (const path of ['expose', 'all', 'expose']) {
    const response = await fetch('${API}/' + path, { method: 'POST', body });
    answers.push(response.status + ' ' + await response.text());
  }
  console.log(JSON.stringify(answers));
  process.stdin.resume().on('end', () => process.exit(0));
});`;

test('Podman’s contract: a program in the guest publishes its port at the gateway, and the port answers', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const port = await freePort();
  const local = `127.0.0.1:${port}`;
  const slipway = spawn(process.execPath, [CLI, 'run', '--', process.execPath, '-e', PODMAN, local], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => slipway.kill());
  const [line] = (await once(slipway.stdout.setEncoding('utf8'), 'data')) as [string];
  const shown = `[{"local":"${local}","remote":"192.168.65.3:80","protocol":"tcp"}]\n`;
  assert.deepEqual(JSON.parse(line), ['200 ', `200 ${shown}`, `500 proxy already running for tcp on ${local}\n`]);
  const response = await fetch(`http://${local}/`);
  assert.equal(await response.text(), 'from the guest');
  slipway.stdin.end();
  const [code] = (await once(slipway, 'exit')) as [number];
  assert.equal(code, 0);
});

test('api.guest none: nothing listens at the gateway’s port 80', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const folder = temporaryFolder('test');
  const file = path.join(folder, 'slipway.yaml');
  writeFileSync(file, 'api: { guest: none }\n');
  const ask = `fetch('${API}/all').catch(({ cause }) => console.log(cause.code))`;
  const slipway = spawn(process.execPath, [CLI, 'run', '--config', file, '--', process.execPath, '-e', ask], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => slipway.kill());
  const [line] = (await once(slipway.stdout.setEncoding('utf8'), 'data')) as [string];
  assert.equal(line, 'ECONNREFUSED\n');
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
