import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { needs } from '../support/needs.ts';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { execute } from '../support/sockets.ts';

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const VIEW = ['npm', 'view', 'semver', 'version'] as const;

test('a package manager inside slipway run finds its registry by name and asks it over TLS', {
  timeout: 120_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'npm')) return;
  assert.ok(existsSync(MAIN), 'npm run build');
  const own = await execute(t, undefined, ...VIEW);
  if (!/^\d+\.\d+\.\d+\s*$/.test(own.stdout)) {
    t.skip('the computer itself reaches no npm registry');
    return;
  }
  const { stdout, stderr } = await execute(t, undefined, process.execPath, MAIN, 'run', '--', ...VIEW);
  assert.match(stdout, /^\d+\.\d+\.\d+\s*$/, stderr);
});

test('dig gets the host’s own name over UDP and over TCP, and a name that does not exist is NXDOMAIN', async (t) => {
  if (!canRunGuests(t) || !needs(t, 'dig')) return;
  const { guest } = await Slipway.start(t);
  const dig = (...args: string[]): Promise<string> =>
    promisify(execFile)('nsenter', [`--net=${guest.path}`, '--', 'dig', '@192.168.65.1', '+tries=1', ...args]).then(
      ({ stdout }) => stdout,
    );
  for (const transport of ['+notcp', '+tcp']) {
    assert.equal(await dig(transport, '+short', 'host.docker.internal'), `${HOST}\n`);
    assert.equal(await dig(transport, '+short', 'gateway.docker.internal'), '192.168.65.1\n');
    assert.match(await dig(transport, 'AAAA', 'host.docker.internal'), /status: NOERROR[\s\S]*ANSWER: 0/);
    assert.match(await dig(transport, 'no-such-name.docker.internal'), /status: NXDOMAIN/);
  }
});

test('curl reaches a server of the host by name through slipway run', async (t) => {
  if (!canRunGuests(t) || !needs(t, 'curl')) return;
  const { createServer } = await import('node:http');
  const server = createServer((request, response) => response.end(`you asked for ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const url = `http://host.docker.internal:${port}/page`;
  const { stdout, status } = await execute(t, undefined, process.execPath, MAIN, 'run', '--', 'curl', '-sS', url);
  assert.equal(stdout, 'you asked for /page');
  assert.equal(status, 0);
});

test('port 5301 of the gateway answers Slipway’s own zones and refuses the rest, over UDP and over TCP', async (t) => {
  if (!canRunGuests(t) || !needs(t, 'dig')) return;
  const { guest } = await Slipway.start(t);
  const dig = (...args: string[]): Promise<string> =>
    promisify(execFile)('nsenter', [
      `--net=${guest.path}`,
      '--',
      'dig',
      '@192.168.65.1',
      '-p',
      '5301',
      '+tries=1',
      ...args,
    ]).then(({ stdout }) => stdout);
  for (const transport of ['+notcp', '+tcp']) {
    assert.equal(await dig(transport, '+short', 'host.docker.internal'), `${HOST}\n`);
    assert.match(await dig(transport, 'localhost'), /status: REFUSED/);
  }
  // Two questions on one connection.
  assert.equal(
    await dig('+tcp', '+keepopen', '+short', 'host.docker.internal', 'gateway.docker.internal'),
    `${HOST}\n192.168.65.1\n`,
  );
});
