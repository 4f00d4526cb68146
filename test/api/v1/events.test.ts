import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { ControlWorld, refusal } from '../control-world.ts';

interface Heard {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** One event stream; `next` waits for what comes. */
async function listen(
  t: TestContext,
  world: ControlWorld,
  query = '',
): Promise<{ next(): Promise<Heard>; response: IncomingMessage }> {
  const asked = get({ socketPath: world.socket, path: `/v1/events${query}`, agent: false });
  t.after(() => asked.destroy());
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  const next = async (): Promise<Heard> => {
    for (;;) {
      const event = /^event: (.*)$/.exec(await line());
      if (event === null) continue;
      const data = (await line()).replace(/^data: /, '');
      return { event: event[1]!, data: JSON.parse(data) as Record<string, unknown> };
    }
  };
  assert.equal((await next()).event, 'ready');
  return { next, response };
}

const LEASE = { address: 0xc0a84103, mac: 1, clientKey: 'x', hostName: 'web', remainingMs: 60_000, seenAgoMs: 0 };

test('what happens is told as it happens: forwards, leases, guests, the network, lines of the log', async (t) => {
  const world = await ControlWorld.open(t);
  const { next, response } = await listen(t, world);
  assert.equal(response.headers['content-type'], 'text/event-stream');
  const written: string[] = [];
  const write = (message: string): void => void written.push(message);
  const log = world.events.listeningTo({ info: write, warn: write, error: write });
  const [status] = [await world.forwards.open({ ...SPEC })];
  world.events.tell({ type: 'forward', removed: true, status });
  world.events.tell({ type: 'lease', change: { kind: 'bound', lease: LEASE } });
  log.info('guest attached', { guest: 'qemu-1' });
  log.error('network thread died: no reason; 0 flows reset', { stack: 'x' });
  const forward = await next();
  assert.equal(forward.event, 'forward');
  assert.equal(forward.data.removed, true);
  assert.equal((forward.data.forward as { id: string }).id, 'tcp:*:8080');
  assert.deepEqual(await next(), {
    event: 'lease',
    data: {
      change: 'bound',
      lease: { address: '192.168.65.3', mac: '00:00:00:00:00:01', name: 'web', remainingSeconds: 60 },
    },
  });
  assert.deepEqual(await next(), { event: 'guest', data: { change: 'attached', name: 'qemu-1', why: '' } });
  assert.deepEqual(await next(), {
    event: 'log',
    data: { level: 'info', message: 'guest attached', fields: { guest: 'qemu-1' } },
  });
  assert.equal((await next()).event, 'network');
  assert.equal((await next()).event, 'log');
  assert.deepEqual(written, ['guest attached', 'network thread died: no reason; 0 flows reset']);
});

const SPEC = {
  protocol: 'tcp',
  host: { kind: 'port', address: '', port: 8080 },
  guest: { kind: 'port', address: undefined, port: 80 },
  count: 1,
  ipv4Only: false,
  source: 'client',
  proxy: 'none',
  waitSeconds: 0,
  persistent: false,
  owner: 'api',
} as const;

test('a reader may want some types only, and a type that does not exist is refused', async (t) => {
  const world = await ControlWorld.open(t);
  const { next } = await listen(t, world, '?types=lease,guest');
  world.events.tell({ type: 'log', level: 'info', message: 'not wanted', fields: {} });
  world.events.tell({ type: 'guest', change: 'detached', name: 'qemu-1', why: 'it left' });
  assert.equal((await next()).event, 'guest');
  for (const types of ['leases', 'lease,', '']) {
    assert.equal(
      refusal(await world.ask('GET', `/v1/events?types=${types}`)).message,
      `query.types: expected some of forward,guest,lease,network,log with commas between them, found ${JSON.stringify(types)}`,
    );
  }
});

test('a reader that does not read is cut off and counted, and the others hear on', async (t) => {
  const world = await ControlWorld.open(t);
  const slow = connect(world.socket);
  t.after(() => slow.destroy());
  slow.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(slow, 'readable');
  const ended = once(slow, 'close');
  const { next } = await listen(t, world, '?types=guest');
  const message = 'x'.repeat(10_000);
  // More than the socket's buffers and ours hold together.
  for (let i = 0; i < 2_000 && world.counters.get('control-event-reader-dropped') === 0; i++) {
    world.events.tell({ type: 'log', level: 'info', message, fields: {} });
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(world.counters.get('control-event-reader-dropped'), 1);
  world.events.tell({ type: 'guest', change: 'attached', name: 'late', why: '' });
  assert.equal((await next()).data.name, 'late');
  slow.resume();
  await ended;
});

test('there are 32 event streams at most, and one that ends makes room', async (t) => {
  const world = await ControlWorld.open(t);
  const open = [];
  for (let i = 0; i < 32; i++) open.push(await listen(t, world));
  const refused = refusal(await world.ask('GET', '/v1/events'));
  assert.deepEqual([refused.status, refused.code], [503, 'ERR_CONTROL_BUSY']);
  assert.equal(world.counters.get('control-event-reader-limit'), 1);
  open[0]!.response.destroy();
  for (;;) {
    const again = get({ socketPath: world.socket, path: '/v1/events', agent: false });
    t.after(() => again.destroy());
    const [response] = (await once(again, 'response')) as [IncomingMessage];
    if (response.statusCode === 200) break;
    response.resume();
  }
});

test('a reader that closed its own side hears on; one that is gone makes room at once', async (t) => {
  const world = await ControlWorld.open(t);
  const half = connect({ path: world.socket, allowHalfOpen: true });
  t.after(() => half.destroy());
  half.end('GET /v1/events?types=guest HTTP/1.1\r\nHost: x\r\n\r\n');
  let text = '';
  half.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  while (!text.includes('\n:\n')) await once(half, 'data');
  world.events.tell({ type: 'guest', change: 'attached', name: 'late', why: '' });
  while (!text.includes('"late"')) await once(half, 'data');
  for (let i = 0; i < 100; i++) {
    const { response } = await listen(t, world);
    const closed = once(response, 'close');
    response.destroy();
    await closed;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(world.counters.get('control-event-reader-limit'), 0);
});

test('HEAD gets the headers, is answered at once and holds no stream', async (t) => {
  const world = await ControlWorld.open(t);
  for (let i = 0; i < 40; i++) {
    const { status, headers, text } = await world.ask('HEAD', '/v1/events');
    assert.deepEqual([status, headers['content-type'], text], [200, 'text/event-stream', '']);
  }
  assert.equal(world.counters.get('control-event-reader-limit'), 0);
  await listen(t, world);
});
