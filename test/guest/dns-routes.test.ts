import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Counters } from '../../src/env/counters.ts';
import { DnsFront } from '../../src/guest/dns-front.ts';
import { DnsRoutes } from '../../src/guest/dns-routes.ts';
import { readU16 } from '../../src/wire/bytes.ts';
import { DnsQuestion, parseDnsQuestion } from '../../src/wire/dns-message.ts';
import { answerBytes, queryBytes, readMessage } from '../support/dns-messages.ts';
import { parsesHostileBytes } from '../support/hostile-bytes.ts';

const routes = new DnsRoutes(['Dev.Example.', 'k8s']);

test('a name goes to the internal server when it is an internal domain or ends with one, else to the system server', () => {
  const table: Readonly<Record<string, readonly string[]>> = {
    internal: [
      ...['docker.internal', 'host.docker.internal', 'HOST.Docker.Internal', 'a.b.vm.docker.internal'],
      ...['containers.internal', 'host.containers.internal', 'lima.internal', 'host.lima.internal.'],
      ...['docker.for.mac.localhost', 'docker.for.mac.host.internal', 'docker.for.win.localhost', 'Docker.For.Mac'],
      ...['dev.example', 'www.dev.EXAMPLE', 'k8s', '*.k8s'],
    ],
    system: [
      ...['', 'internal', 'example.com', 'docker.internal.example.com', 'xdocker.internal', 'docker-internal'],
      ...['host\\.docker.internal', 'a.host\\.docker.internal', 'docker\\.internal', 'docker.for.macintosh'],
      ...['localhost.docker.for.mac', 'example', 'dev.example.com', 'k8s.example', 'metadata.google.internal'],
    ],
  };
  for (const [server, names] of Object.entries(table)) {
    for (const name of names) assert.equal(routes.server(name), server, name);
  }
});

test('messages that are no question are not passed on', () => {
  const question = new DnsQuestion();
  const route = (bytes: Uint8Array): unknown => routes.route(bytes, question);
  const query = queryBytes('www.example', 1);
  assert.equal(route(query), 'system');
  assert.equal(route(query.subarray(0, 11)), 'dropped');
  assert.equal(route(answerBytes(query, {})), 'dropped');
  assert.deepEqual(route(query.subarray(0, 12)), { rcode: 1 });
  assert.deepEqual(route(query.subarray(0, query.length - 1)), { rcode: 1 });
  assert.deepEqual(route(queryBytes('www.example', 1, { flags: 0x2800 })), { rcode: 4 });
  const two = query.slice();
  two[5] = 2;
  assert.deepEqual(route(two), { rcode: 1 });
});

test('no bytes make the routing throw or read outside the message', () => {
  const seeds = [queryBytes('host.docker.internal', 1), queryBytes('www.example', 28, { edns: {} })];
  parsesHostileBytes(seeds, (bytes, at, end) => routes.route(bytes.subarray(at, end), new DnsQuestion()));
});

test('whatever has a header and asks is answered once, with its own id, and its bytes reach the server as they are', async () => {
  const server = { address: '192.0.2.1', port: 53 };
  const name = fc.constantFrom('host.docker.internal', 'www.example', '');
  const changes = fc.array(fc.tuple(fc.nat({ max: 300 }), fc.nat({ max: 255 })), { maxLength: 4 });
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(name, changes, fc.nat({ max: 0xffff })).map(([asked, mutations, id]) => {
      const bytes = queryBytes(asked, 1, { id, edns: {} });
      for (const [where, value] of mutations) bytes[where % bytes.length] = value;
      return bytes;
    }),
  );
  const outcome = fc.constantFrom('answer', 'silence', 'nowhere');
  await fc.assert(
    fc.asyncProperty(message, outcome, async (bytes, happens) => {
      const asked = bytes.slice();
      const front = new DnsFront({
        routes,
        servers: () => (happens === 'nowhere' ? undefined : server),
        counters: new Counters(),
      });
      const answer = await front.answer(bytes, {
        ask: (_server, passed, questionEnd) => {
          assert.deepEqual(passed, asked);
          assert.equal(parseDnsQuestion(passed, 0, questionEnd, new DnsQuestion()), undefined);
          const told = passed.slice();
          told.set([0xff, 0xff, 0x81, 0x80]);
          return Promise.resolve(happens === 'answer' ? told : undefined);
        },
      });
      assert.deepEqual(bytes, asked);
      if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return assert.equal(answer, undefined);
      assert.ok(answer !== undefined && answer.length >= 12);
      assert.equal(readU16(answer, 0), readU16(bytes, 0));
      assert.equal(answer[2]! & 0x80, 0x80);
    }),
  );
});

test('an answer without a server is SERVFAIL with the question, and says which opcode and RD it answers', async () => {
  const counters = new Counters();
  const front = new DnsFront({ routes, servers: () => undefined, counters });
  const query = queryBytes('Www.Example', 28, { id: 77, edns: {} });
  const answer = await front.answer(query, { ask: () => assert.fail('there is no server') });
  const { head, records } = readMessage(answer!);
  assert.deepEqual(
    [head.id, head.rcode, head.name, head.type, head.recursionDesired],
    [77, 2, 'Www.Example', 28, true],
  );
  assert.deepEqual(records, []);
  assert.equal(counters.get('no-server'), 1);
});
