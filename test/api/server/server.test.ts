import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { ControlExtension } from '../../../src/api/server/control-server.ts';
import { ControlServer } from '../../../src/api/server/control-server.ts';
import { ControlWorld, refusal } from '../control-world.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

/** Sends bytes as they are; all that comes back until the other side ends. */
async function raw(t: TestContext, world: ControlWorld, ...parts: readonly string[]): Promise<string> {
  const socket = dial(t, world);
  for (const part of parts) await new Promise((resolve) => socket.write(part, 'latin1', resolve));
  return everything(socket);
}

function dial(t: TestContext, world: ControlWorld): Socket {
  const socket = connect(world.socket);
  t.after(() => socket.destroy());
  return socket;
}

async function everything(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1');
  for await (const part of socket) text += String(part);
  return text;
}

test('a client that closes its side behind its request gets the answer, and the connection is over', async (t) => {
  for (const extensions of [undefined, async () => [{ takeOvers: [{ takes: () => false, take: () => {} }] }]]) {
    const world = await ControlWorld.open(t, extensions && { extensions });
    const socket = connect({ path: world.socket, allowHalfOpen: true });
    t.after(() => socket.destroy());
    socket.end('POST /v1/dns/flush HTTP/1.1\r\nHost: slipway\r\nContent-Length: 0\r\n\r\n');
    assert.match(await everything(socket), /^HTTP\/1\.1 204 /);
    assert.equal(world.flushes, 1);
  }
});

test('a client that closes its side in the middle of a request is told so', async (t) => {
  const world = await ControlWorld.open(t);
  const socket = connect({ path: world.socket, allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.end('POST /v1/dns/flush HTTP/1.1\r\nHost: slipway\r\nContent-Le');
  assert.match(await everything(socket), /^HTTP\/1\.1 400 /);
  assert.equal(world.flushes, 0);
});

test('a path that is not there is 404; a method that the path does not take is 405 and says which it takes', async (t) => {
  const world = await ControlWorld.open(t);
  assert.deepEqual(refusal(await world.ask('GET', '/v2/status')), {
    status: 404,
    code: 'ERR_CONTROL_NOT_FOUND',
    message: 'there is no /v2/status here',
  });
  const wrong = await world.ask('PATCH', '/v1/dns/zones/x.example');
  assert.deepEqual([refusal(wrong).status, refusal(wrong).code], [405, 'ERR_CONTROL_METHOD']);
  assert.equal(wrong.headers.allow, 'DELETE, GET, HEAD, PUT');
  assert.equal((await world.ask('GET', `/${'x'.repeat(5000)}`)).status, 404);
  assert.equal(refusal(await world.ask('GET', '/v1/forwards/%zz')).status, 400);
});

test('an empty body is no body, whatever its type', async (t) => {
  const world = await ControlWorld.open(t);
  await world.ask('POST', '/v1/forwards', { json: { publish: '127.0.0.1:8080:80' } });
  const types = ['application/json', 'application/x-www-form-urlencoded', 'text/plain'];
  for (const [i, type] of types.entries()) {
    const headers = { 'content-type': type };
    assert.equal((await world.ask('POST', '/v1/dns/flush', { headers, body: '' })).status, 204);
    assert.equal(
      (await world.ask('DELETE', '/v1/forwards/tcp:127.0.0.1:8080', { headers })).status,
      i === 0 ? 204 : 404,
    );
  }
  const chunked = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
  assert.equal((await world.ask('POST', '/v1/dns/flush', { headers: chunked })).status, 204);
  assert.equal(world.flushes, 4);
  const wanted = refusal(await world.ask('POST', '/v1/forwards', { headers: JSON_HEADERS, body: '' }));
  assert.deepEqual([wanted.status, wanted.message], [400, 'body: expected keys with values, found nothing']);
});

test('a body that is no JSON, none at all, of another type or too large has its own status', async (t) => {
  const world = await ControlWorld.open(t);
  const post = async (headers: Record<string, string>, body: string): Promise<unknown[]> => {
    const { status, code } = refusal(await world.ask('POST', '/v1/forwards', { headers, body }));
    return [status, code];
  };
  assert.deepEqual(await post(JSON_HEADERS, '{'), [400, 'ERR_CONTROL_REQUEST']);
  assert.deepEqual(await post(JSON_HEADERS, ''), [400, 'ERR_CONTROL_REQUEST']);
  assert.deepEqual(await post(JSON_HEADERS, '{"__proto__": {"host": 1}}'), [400, 'ERR_CONTROL_REQUEST']);
  assert.deepEqual(await post({ 'content-type': 'text/plain' }, '{}'), [415, 'ERR_CONTROL_MEDIA_TYPE']);
  assert.deepEqual(await post({ 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'), [
    415,
    'ERR_CONTROL_MEDIA_TYPE',
  ]);
  for (const [open, close] of [
    ['[', ']'],
    ['{"host":', '}'],
    ['{"publish":[', ']}'],
  ] as const) {
    for (const depth of [60, 6000, 50_000]) {
      const body = `${open.repeat(depth)}1${close.repeat(depth)}`;
      assert.deepEqual(await post(JSON_HEADERS, body), [400, 'ERR_CONTROL_REQUEST'], `${open} × ${depth}`);
    }
  }
  assert.deepEqual(world.defects, []);
  assert.deepEqual(await post(JSON_HEADERS, `"${'x'.repeat(1024 * 1024)}"`), [413, 'ERR_CONTROL_TOO_LARGE']);
});

test('what is no HTTP is refused and closed, and so are headers without end', async (t) => {
  const world = await ControlWorld.open(t);
  const garbage = await raw(t, world, 'GARBAGE\r\n\r\n');
  assert.match(garbage, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\n\{"code":"ERR_CONTROL_REQUEST"/);
  const headers = `GET /v1/status HTTP/1.1\r\nhost: x\r\n${'a: bbbbbbbb\r\n'.repeat(4000)}\r\n`;
  assert.match(await raw(t, world, headers), /^HTTP\/1\.1 431 /);
  assert.match(await raw(t, world, 'GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /);
});

test('a request that never comes to its end is given up, whatever dribbles in', async (t) => {
  for (const begun of [
    'GET /x HTTP/1.1\r\nhost: x\r\n',
    'POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n',
  ]) {
    const [server, listener] = [
      new ControlServer({
        rules: () => ({ token: undefined, tokenOnSocket: false }),
        takeOvers: [],
        onDefect: (error) => assert.fail(String(error)),
        requestMs: 200,
      }),
      createServer({ allowHalfOpen: true }),
    ];
    server.scope.post('/x', async () => 'whole');
    await server.ready();
    listener
      .on('connection', (socket: Socket) =>
        server.serve(
          socket.on('error', () => {}),
          'unix',
        ),
      )
      .listen(0, '127.0.0.1');
    t.after(() => listener.close());
    await once(listener, 'listening');
    const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
    client.write(begun);
    // Never silent, so that it is no connection without life.
    const dribble = setInterval(() => client.write('a: b\r\n'), 20);
    t.after(() => clearInterval(dribble));
    client.on('error', () => {});
    const [first] = (await once(client, 'data')) as [Buffer];
    assert.match(String(first), /^HTTP\/1\.1 408 /);
    clearInterval(dribble);
    client.destroy();
  }
});

test('any JSON to any path with a body is answered in the one shape, and nothing is a defect', async (t) => {
  const world = await ControlWorld.open(t);
  const bodies = ['/v1/forwards', '/v1/services', '/v1/dns/zones/a.example', '/v1/dns/zones/a.example/records'];
  const key = fc.oneof(
    fc.constantFrom(
      'publish',
      'host',
      'guest',
      'ssh',
      'records',
      'name',
      'type',
      'target',
      'port',
      'owner',
      'protocol',
    ),
    fc.string(),
  );
  const value = fc.oneof(
    fc.constantFrom('8080:80', '80', '127.0.0.1:1', 'A', 'a.example', '192.168.65.3', '/run/x', 'udp', 80, -1, null),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const json = fc.oneof(
    fc.dictionary(key, value),
    fc.dictionary(key, fc.array(fc.dictionary(key, value))),
    fc.jsonValue(),
  );
  const property = fc.asyncProperty(
    fc.constantFrom(...bodies),
    fc.constantFrom('POST', 'PUT', 'DELETE'),
    json,
    async (path, method, body) => {
      const answer = await world.ask(method, path, { json: body });
      if (answer.status >= 300) assert.ok(refusal(answer).status < 500, answer.text);
    },
  );
  await fc.assert(property, { numRuns: 400 });
  assert.deepEqual(world.defects, []);
});

test('any bytes on a connection are answered or closed, and the server goes on', async (t) => {
  const world = await ControlWorld.open(t, { extensions: () => Promise.resolve([ECHO]) });
  const line = fc.constantFrom(
    'GET /v1/status HTTP/1.1\r\n',
    'POST /echo HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n',
    '\n',
    '',
  );
  const property = fc.asyncProperty(line, fc.string({ unit: 'binary' }), async (first, rest) => {
    const socket = dial(t, world);
    socket.end(Buffer.from(`${first}${rest}`));
    await everything(socket);
  });
  await fc.assert(property, { numRuns: 100 });
  assert.equal((await world.ask('GET', '/v1/status')).status, 200);
});

/** What other paths of the same server may do. */
const ECHO: ControlExtension = {
  routes(scope) {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.setErrorHandler((error, _request, reply) =>
      reply
        .code(500)
        .type('text/plain')
        .send(`${(error as Error).message}\n`),
    );
    scope.post('/plain', async (request, reply) => reply.type('text/plain').send(`got ${String(request.body)}\n`));
    scope.post('/fails', () => {
      throw new Error('proxy not found');
    });
  },
  takeOvers: [
    {
      takes: ({ method, target }) => method === 'POST' && /^\/echo(\?|$)/.test(target),
      take: (request: IncomingMessage, socket: Socket, head: Uint8Array) => {
        socket.write(`OK${request.url}`);
        socket.write(head);
        socket.pipe(socket);
      },
    },
  ],
};

test('other paths have their own bodies and errors beside ours', async (t) => {
  const world = await ControlWorld.open(t, { extensions: () => Promise.resolve([ECHO]) });
  const plain = await world.ask('POST', '/plain', {
    body: 'a=b',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  assert.deepEqual([plain.status, plain.text], [200, 'got a=b\n']);
  assert.deepEqual(
    [(await world.ask('POST', '/fails')).status, (await world.ask('POST', '/fails')).text],
    [500, 'proxy not found\n'],
  );
  assert.equal(refusal(await world.ask('POST', '/v1/forwards', { body: 'a=b' })).status, 415);
  assert.equal(refusal(await world.ask('GET', '/plain')).status, 405);
});

test('a connection is taken over with all that the client sent behind its request, in whatever pieces it came', async (t) => {
  const world = await ControlWorld.open(t, { extensions: () => Promise.resolve([ECHO]) });
  const request = 'POST /echo?ip=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\nearly';
  for (const at of [0, 3, 20, 30, request.length - 7, request.length - 2]) {
    const socket = dial(t, world);
    socket.setNoDelay(true);
    if (at > 0) await new Promise((resolve) => socket.write(request.slice(0, at), resolve));
    socket.write(request.slice(at));
    socket.end(' late');
    assert.equal(await everything(socket), 'OK/echo?ip=1early late');
  }
});

test('an offer to upgrade that nobody wants is no reason not to answer', async (t) => {
  for (const extensions of [[], [ECHO]]) {
    const world = await ControlWorld.open(t, { extensions: () => Promise.resolve(extensions) });
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' };
    assert.equal((await world.ask('GET', '/v1/status', { headers })).status, 200);
  }
});

test('a connection answers many requests, pipelined ones too', async (t) => {
  const world = await ControlWorld.open(t, { extensions: () => Promise.resolve([ECHO]) });
  const one = 'GET /v1/leases HTTP/1.1\r\nHost: x\r\n';
  const text = await raw(t, world, `${one}\r\n${one}\r\n`, `${one}Connection: close\r\n\r\n`);
  assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
});

test('closing ends those who are connected and whoever is being served', async (t) => {
  const world = await ControlWorld.open(t);
  const idle = dial(t, world);
  await once(idle, 'connect');
  const closed = once(idle, 'close');
  world.api.close();
  await closed;
  await assert.rejects(world.ask('GET', '/v1/status'));
  world.api.close();
});
