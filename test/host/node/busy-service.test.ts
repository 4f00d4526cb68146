import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { StreamEvents } from '../suite/rig.ts';
import { SocketPaths } from '../suite/socket-paths.ts';
import { createNodeHarness } from './harness.ts';

const ORIGIN = { guestAddress: 1, guestPort: 2, originalAddress: 3, originalPort: 4, attachment: 'tap0' };

/** Listens with room for one, then accepts nobody until a byte comes on its standard input. */
const BUSY_SERVER = `
  const server = require('node:net').createServer((socket) => socket.resume());
  server.listen({ path: process.argv[1], backlog: 1 }, () => {
    require('node:fs').writeSync(1, 'listening');
    require('node:fs').readSync(0, Buffer.alloc(1));
  });
`;

test('dials of a service whose backlog is full wait and then connect', {
  skip: process.platform === 'win32',
}, async (t) => {
  const paths = new SocketPaths();
  const path = paths.path('busy');
  const child = spawn(process.execPath, ['-e', BUSY_SERVER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => {
    child.kill('SIGKILL');
    paths.remove();
  });
  await once(child.stdout, 'data');
  const harness = createNodeHarness({ services: new Map([['dns', path]]) });
  const dials = Array.from({ length: 20 }, () => {
    const events = new StreamEvents();
    return { events, stream: harness.host.dialService('dns', ORIGIN, events) };
  });
  await harness.until(() => dials.some(({ events }) => events.isConnected), 'those for whom there is room');
  for (let i = 0; i < 20; i++) await harness.poll();
  assert.ok(
    dials.some(({ events }) => events.calls.length === 0),
    'the others wait',
  );
  assert.ok(dials.every(({ events }) => events.failure === undefined));
  // One that is given up while it waits is never heard of again.
  const waiting = dials.find(({ events }) => events.calls.length === 0);
  if (typeof waiting?.stream === 'object') waiting.stream.abort();
  child.stdin.write('x');
  const others = dials.filter((dial) => dial !== waiting);
  await harness.until(() => others.every(({ events }) => events.isConnected), 'all others');
  assert.deepEqual(waiting?.events.calls, []);
  for (const { stream } of others) if (typeof stream === 'object') stream.abort();
});
