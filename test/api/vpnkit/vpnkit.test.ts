import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { at } from '../../services/forward/table-world.ts';
import { CompatWorld } from '../compat-world.ts';

const PORT = '/forwards/expose/port';
const PIPE = '/forwards/expose/pipe';
const WEB = { proto: 'tcp', out_ip: '127.0.0.1', out_port: 8080, in_ip: '192.168.65.3', in_port: 80 };

async function list(world: CompatWorld): Promise<unknown> {
  const { status, text, headers } = await world.ask('GET', '/forwards/list');
  assert.equal(status, 200);
  assert.match(headers['content-type'] ?? '', /^application\/json/);
  return JSON.parse(text);
}

describe('vpnkit: expose and unexpose', () => {
  for (const [expose, unexpose] of [
    ['PUT', 'DELETE'],
    ['POST', 'POST'],
  ] as const) {
    test(`a port by ${expose}, gone by ${unexpose}: 200, empty`, async (t) => {
      const world = await CompatWorld.open(t);
      assert.equal(await world.said(expose, PORT, WEB), '200 ');
      const [forward] = world.forwards.list();
      assert.equal(forward?.id, 'tcp:127.0.0.1:8080');
      assert.equal(forward?.spec.owner, 'vpnkit');
      assert.deepEqual(forward?.spec.guest, { kind: 'port', address: at('192.168.65.3'), port: 80 });
      assert.equal(await world.said(unexpose, '/forwards/unexpose/port', WEB), '200 ');
      assert.deepEqual(world.forwards.list(), []);
      assert.equal(await world.said(unexpose, '/forwards/unexpose/port', WEB), '200 ', 'also when not exposed');
    });

    test(`a pipe by ${expose}, gone by ${unexpose}: 200, empty`, async (t) => {
      const world = await CompatWorld.open(t);
      const pipe = { proto: 'unix', out_path: '/run/x/a.sock', in_port: 80 };
      assert.equal(await world.said(expose, PIPE, pipe), '200 ');
      assert.deepEqual([...world.world.files], ['/run/x/a.sock']);
      assert.equal(await world.said(unexpose, '/forwards/unexpose/pipe', pipe), '200 ');
      assert.equal(world.world.files.size, 0);
    });
  }

  test('exposing twice does nothing the second time, at the same moment either', async (t) => {
    const world = await CompatWorld.open(t);
    const answers = await Promise.all([1, 2, 3].map(() => world.said('PUT', PORT, WEB)));
    assert.deepEqual(answers, ['200 ', '200 ', '200 ']);
    assert.equal(world.world.bound.length, 1);
  });

  test('without an address of the guest, or with its own loopback, the first guest is meant', async (t) => {
    const world = await CompatWorld.open(t);
    for (const [index, in_ip] of [undefined, '127.0.0.1', '0.0.0.0', '::1'].entries()) {
      assert.equal(await world.said('PUT', PORT, { proto: 'udp', out_port: 1000 + index, in_ip, in_port: 53 }), '200 ');
    }
    for (const { spec } of world.forwards.list())
      assert.deepEqual(spec.guest, { kind: 'port', address: undefined, port: 53 });
  });

  test('out_port 0: the list shows the chosen port, and its entry can be unexposed', async (t) => {
    const world = await CompatWorld.open(t);
    const wanted = { proto: 'tcp', out_ip: '127.0.0.1', in_ip: '192.168.65.3', in_port: 80, annotation: 'web' };
    assert.equal(await world.said('PUT', PORT, wanted), '200 ');
    const [entry] = (await list(world)) as { out_port: number }[];
    assert.deepEqual(entry, { ...wanted, out_port: entry!.out_port });
    assert.ok(entry!.out_port > 0);
    assert.equal(await world.said('DELETE', '/forwards/unexpose/port', entry), '200 ');
    assert.equal(await list(world), null);
  });
});

describe('vpnkit: list and dump', () => {
  test('null when there is nothing, then what is there without what is empty, whoever asked', async (t) => {
    const world = await CompatWorld.open(t);
    assert.equal(await world.said('GET', '/forwards/list'), '200 null\n');
    await world.said('PUT', PORT, WEB);
    await world.world.add('9000-9001:9000-9001/udp');
    await world.said('PUT', PIPE, { proto: 'unix', out_path: '/a', in_port: 80 });
    assert.equal(
      await world.said('GET', '/forwards/list'),
      '200 [{"proto":"tcp","out_ip":"127.0.0.1","out_port":8080,"in_ip":"192.168.65.3","in_port":80},' +
        '{"proto":"udp","out_port":9000,"in_port":9000},{"proto":"udp","out_port":9001,"in_port":9001},' +
        '{"proto":"unix","out_path":"/a","in_port":80}]\n',
    );
  });

  test('dump: text/plain', async (t) => {
    const world = await CompatWorld.open(t);
    await world.said('PUT', PORT, WEB);
    const { status, text, headers } = await world.ask('GET', '/forwards/dump');
    assert.equal(status, 200);
    assert.match(headers['content-type'] ?? '', /^text\/plain/);
    assert.equal(text, 'Event trace:\ntcp:127.0.0.1:8080 listening, 0 connections\n');
  });
});

describe('vpnkit: errors', () => {
  const rows: readonly { row: string; path: string; body: unknown; answer: string }[] = [
    {
      row: 'wrong proto of a port',
      path: PORT,
      body: { proto: 'unix' },
      answer: '"exposed ports can only be TCP or UDP"',
    },
    { row: 'no proto', path: PORT, body: {}, answer: '"exposed ports can only be TCP or UDP"' },
    { row: 'no body', path: PORT, body: undefined, answer: '"exposed ports can only be TCP or UDP"' },
    { row: 'wrong proto of a pipe', path: PIPE, body: WEB, answer: '"exposed pipes can only have proto=Unix"' },
    {
      row: 'a word for a port',
      path: PORT,
      body: { ...WEB, out_port: '80' },
      answer: '{"message":"out_port: expected a number, found \\"80\\""}',
    },
    {
      row: 'no address',
      path: PORT,
      body: { ...WEB, out_ip: 'x' },
      answer: '{"message":"out_ip: expected an IP address, found \\"x\\""}',
    },
  ];
  for (const { row, path: target, body, answer } of rows) {
    test(`${row}: 400 ${answer}`, async (t) => {
      const world = await CompatWorld.open(t);
      assert.equal(await world.said('PUT', target, body), `400 ${answer}\n`);
      assert.deepEqual(world.forwards.list(), []);
    });
  }

  test('a body that is not JSON: 400', async (t) => {
    const world = await CompatWorld.open(t);
    for (const body of ['{x', '{']) {
      assert.match(await world.said('PUT', PORT, body), /^400 \{"message":"the body is not JSON: /);
    }
  });

  test('a port in use, an address that is not there: 400 with the host’s words', async (t) => {
    const world = await CompatWorld.open(t);
    world.world.refused.set(8080, 'ERR_PORT_IN_USE').set('192.0.2.1', 'ERR_PORT_ADDRESS');
    assert.equal(await world.said('PUT', PORT, WEB), '400 {"message":"127.0.0.1:8080 is refused"}\n');
    assert.equal(
      await world.said('PUT', PORT, { ...WEB, out_ip: '192.0.2.1', out_port: 8081 }),
      '400 {"message":"192.0.2.1:8081 is refused"}\n',
    );
    assert.equal(await list(world), null);
  });

  test('another target for a port that is exposed', async (t) => {
    const world = await CompatWorld.open(t);
    await world.said('PUT', PORT, WEB);
    assert.match(
      await world.said('PUT', PORT, { ...WEB, in_port: 81 }),
      /^400 \{"message":"listen tcp 127\.0\.0\.1:8080: bind: address already in use: /,
    );
  });

  test('what is no socket is not removed', async (t) => {
    const world = await CompatWorld.open(t);
    const file = path.join(world.control.folder, 'precious');
    writeFileSync(file, 'x');
    const answer = await world.said('PUT', PIPE, { proto: 'unix', out_path: file, in_port: 80 });
    assert.equal(answer, `400 {"message":"refusing to remove path ${file}"}\n`);
  });

  test('a socket in the guest is said to need another way', async (t) => {
    const world = await CompatWorld.open(t);
    const answer = await world.said('PUT', PIPE, { proto: 'unix', out_path: '/a', in_path: '/run/docker.sock' });
    assert.match(answer, /^400 \{"message":"\/run\/docker\.sock in the guest can only be reached through its sshd/);
  });

  test('unknown path: 404, other method: 405', async (t) => {
    const world = await CompatWorld.open(t);
    assert.equal(await world.said('GET', '/forwards/nothing'), '404 {"message":"Not Found"}\n');
    assert.equal(await world.said('GET', PORT), '405 {"message":"Method Not Allowed"}\n');
  });

  test('whatever is sent gets an answer', async (t) => {
    const world = await CompatWorld.open(t);
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc
        .record({
          proto: fc.constantFrom('tcp', 'udp', 'x'),
          out_port: fc.oneof(fc.integer(), fc.double()),
          in_port: fc.nat(),
        })
        .map((one) => JSON.stringify(one)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(PORT, PIPE, '/forwards/unexpose/port', '/forwards/unexpose/pipe'),
        text,
        async (target, body) => {
          assert.match(await world.said('POST', target, body), /^(?:200|400) /);
        },
      ),
      { numRuns: 200 },
    );
  });
});
