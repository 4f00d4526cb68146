import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decode, Exchange } from '../../src/docker/http/exchange.ts';
import { relayed } from '../support/relayed-engine.ts';

const GET = 'GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n';
const EXEC =
  'POST /v1.41/exec/x/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}';
const SWITCH = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

test('heads and bodies pass octet for octet: order, case, extensions, trailers, 1xx', async (t) => {
  const { client, engine } = await relayed(t);
  const request =
    'POST /build HTTP/1.1\r\nhost:  docker\r\nX-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: t\r\n\r\n';
  client.send(request);
  await (await engine).has('Trailer: t\r\n\r\n');
  assert.equal((await engine).text, request);
  const answer =
    'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\nApi-Version: 1.41\nTransfer-Encoding: chunked\n\n3;x\r\nabc\r\n0\r\nEtag: e\r\n\r\n';
  (await engine).send(answer);
  await client.has('Etag: e\r\n\r\n');
  assert.equal(client.text, answer);
});

test('a connection carries one request after another, and pipelined ones are answered in their order', async (t) => {
  const { client, engine } = await relayed(t);
  client.send(GET + GET.replace('info', 'version'));
  await (await engine).has('info');
  assert.ok(!(await engine).text.includes('version'), 'the second waits until the first is answered');
  (await engine).send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none');
  await (await engine).has('version');
  (await engine).send('HTTP/1.1 204 No Content\r\n\r\n');
  await client.has('204');
  client.send('HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n');
  await (await engine).has('HEAD /_ping');
  (await engine).send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
  await client.has('Content-Length: 2');
  client.send('GET /last HTTP/1.1\r\nHost: d\r\n\r\n');
  await (await engine).has('/last');
});

test('what follows a request is held until its 101, and then nothing is read any more', async (t) => {
  const { client, engine } = await relayed(t);
  client.send(`${EXEC}stdin before the answer`);
  await (await engine).has('{}');
  assert.ok(!(await engine).text.includes('stdin'));
  (await engine).send(`${SWITCH}first words`);
  await client.has('first words');
  await (await engine).has('stdin before the answer');
  client.send('GET / HTTP/9.9 is stdin, too\r\n\r\n');
  await (await engine).has('stdin, too');
});

test('the engine may take a connection over with a bare 200, for clients that do not ask to upgrade', async (t) => {
  const { client, engine } = await relayed(t);
  client.send('POST /containers/x/attach?stream=1 HTTP/1.0\r\n\r\nearly');
  await (await engine).has('\r\n\r\n');
  assert.ok(!(await engine).text.includes('early'));
  (await engine).send('HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n');
  await (await engine).has('early');
});

test('the end of stdin reaches the engine while its output goes on', async (t) => {
  const { client, engine, ended } = await relayed(t);
  client.send(EXEC);
  await (await engine).has('{}');
  (await engine).send(SWITCH);
  await client.has('101');
  client.send('stdin');
  client.end();
  assert.match(await (await engine).whole(), /stdin$/);
  (await engine).send('output after the end of stdin');
  (await engine).end();
  assert.match(await client.whole(), /output after the end of stdin$/);
  await ended;
});

test('a client that ends before it is answered calls the request off at once', async (t) => {
  const { client, engine, ended } = await relayed(t);
  client.send('POST /containers/x/wait HTTP/1.1\r\nHost: d\r\n\r\n');
  client.end();
  await (await engine).whole();
  (await engine).send('HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}');
  assert.match(await client.whole(), /500/);
  await ended;
});

test('an endless answer is passed on as it comes, and ends with its client', async (t) => {
  const { client, engine, ended } = await relayed(t);
  client.send('GET /events HTTP/1.1\r\nHost: d\r\n\r\n');
  await (await engine).has('/events');
  (await engine).send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n');
  await client.has('one');
  (await engine).send('4\r\ntwo\n\r\n');
  await client.has('two');
  client.socket.destroy();
  await (await engine).whole();
  (await engine).socket.destroy();
  await ended;
});

test('an answer that comes before the end of the request is delivered, though the engine reads no more', async (t) => {
  const { client, engine, ended } = await relayed(t);
  client.send('POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n');
  const flood = setInterval(() => client.socket.writable && client.send(`400\r\n${'x'.repeat(1024)}\r\n`), 1);
  t.after(() => clearInterval(flood));
  await (await engine).has('x\r\n');
  (await engine).socket.pause();
  (await engine).send('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 5\r\n\r\nno tar');
  (await engine).socket.destroySoon();
  await client.has('\r\n\r\nno ta');
  clearInterval(flood);
  client.end();
  await ended;
});

test('what is not HTTP/1 passes as it is: HTTP/2, garbage, a head without end', async (t) => {
  for (const octets of [
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'garbage\r\n\r\n',
    `GET / HTTP/1.1\r\nX: ${'x'.repeat(1_100_000)}`,
  ]) {
    const { client, engine } = await relayed(t);
    client.send(octets);
    await (await engine).has(octets.slice(-20));
    (await engine).send('\0\0\0\x04\0\0\0\0\0');
    await client.has('\x04');
  }
});

test('contradicting lengths are the engine’s to refuse', async (t) => {
  const { client, engine } = await relayed(t);
  client.send('POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab');
  await (await engine).has('\r\n\r\nab');
  (await engine).send('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  (await engine).end();
  assert.match(await client.whole(), /400/);
});

test('an engine that closes an idle connection closes it for the client, and one that closes mid-body cuts the body', async (t) => {
  const idle = await relayed(t);
  idle.client.send(GET);
  await (await idle.engine).has('info');
  (await idle.engine).send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  await idle.client.has('200');
  (await idle.engine).end();
  await idle.client.whole();
  idle.client.end();
  await idle.ended;

  const cut = await relayed(t);
  cut.client.send(GET);
  await (await cut.engine).has('info');
  (await cut.engine).send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  (await cut.engine).socket.destroySoon();
  assert.match(await cut.client.whole(), /half$/);
  await cut.ended;
});

test('without an engine the client is told so in the engine’s own form', async (t) => {
  const { client, ended } = await relayed(t, { engine: false });
  client.send(GET);
  client.end();
  assert.match(await client.whole(), /^HTTP\/1\.1 503 .*Connection: close.*\{"message":".*ENOENT.*"\}\n$/s);
  await ended;
});

/** Reads what it is told to, and changes nothing. */
function reading(reads: Exchange['reads']): { decode: Decode; seen: string[] } {
  const seen: string[] = [];
  const exchange: Exchange = {
    reads,
    before: async ({ bytes }) => {
      seen.push(`before ${bytes.length}`);
      return { pass: bytes };
    },
    after: async ({ bytes, body }) => {
      seen.push(`after ${body}`);
      return bytes;
    },
    failed: async () => void seen.push('failed'),
  };
  return { decode: () => exchange, seen };
}

test('an answer that ends with its connection keeps its head, where it was to be read whole', async (t) => {
  const { decode, seen } = reading('head');
  const { client, engine } = await relayed(t, { decode });
  client.send(GET);
  await (await engine).has('info');
  const answer = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request';
  (await engine).send(answer);
  (await engine).end();
  assert.equal(await client.whole(), answer);
  assert.deepEqual(seen.slice(1), ['failed']);
});

test('a request that ends before its length reaches the engine as it is, with its end', async (t) => {
  const { decode, seen } = reading('body');
  for (const [framing, part] of [
    ['Content-Length: 50', '{"Image":'],
    ['Transfer-Encoding: chunked', '9\r\n{"Im'],
    ['Transfer-Encoding: chunked', 'zz\r\n'],
  ]) {
    const { client, engine, ended } = await relayed(t, { decode });
    const request = `POST /containers/create HTTP/1.1\r\nHost: d\r\n${framing}\r\n\r\n${part}`;
    client.send(request);
    client.end();
    assert.equal(await (await engine).whole(), request);
    (await engine).send('HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}');
    (await engine).end();
    assert.match(await client.whole(), /400 Bad Request/);
    await ended;
  }
  assert.deepEqual(seen, []);
});

test('the body of a request of which only the head is read follows as it comes, and may come after the answer', async (t) => {
  const { decode, seen } = reading('head');
  const { client, engine } = await relayed(t, { decode });
  client.send('POST /containers/x/start HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
  await (await engine).has('\r\n\r\n');
  assert.equal(client.text, '', 'it is the engine’s to ask for the body');
  (await engine).send('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}');
  await client.has('{}');
  assert.deepEqual(seen.slice(1), ['after {}']);
  client.send(`body${GET}`);
  await (await engine).has('bodyGET');
});

test('a client that waits for 100 Continue gets it once, also where Slipway reads the body', async (t) => {
  const { decode } = reading('body');
  const { client, engine } = await relayed(t, { decode });
  client.send('POST /containers/create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
  await client.has('HTTP/1.1 100 Continue\r\n\r\n');
  client.send('{}');
  await (await engine).has('{}');
  (await engine).send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}');
  await client.has('201');
  assert.equal(client.text.split('100 Continue').length, 2);
});
