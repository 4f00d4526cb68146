import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CompatWorld, GUEST, OTHER_GUEST } from '../compat-world.ts';

const EXPOSE = '/services/forwarder/expose';
const UNEXPOSE = '/services/forwarder/unexpose';
const ALL = '/services/forwarder/all';

describe('the API of guests at the gateway', () => {
  test('Podman publishes a port: ":port" is the guest that asks', async (t) => {
    const world = await CompatWorld.open(t);
    const body = { local: '0.0.0.0:8080', remote: ':8080', protocol: 'tcp' };
    assert.equal(await world.asGuest(GUEST, 'POST', EXPOSE, body), '200 ');
    const [forward] = world.forwards.list();
    assert.deepEqual(forward?.spec.guest, { kind: 'port', address: GUEST, port: 8080 });
    assert.equal(forward?.spec.owner, 'guest vm3');
    assert.equal(forward?.spec.persistent, false);
    assert.equal(
      await world.asGuest(GUEST, 'POST', EXPOSE, body),
      '500 proxy already running for tcp on 0.0.0.0:8080\n',
    );
    assert.equal(await world.asGuest(GUEST, 'POST', UNEXPOSE, body), '200 ');
    assert.deepEqual(world.forwards.list(), []);
  });

  test('a guest sees and removes nothing but its own', async (t) => {
    const world = await CompatWorld.open(t);
    await world.world.add('127.0.0.1:22:22', { owner: 'config' });
    await world.expose({ local: ':81', remote: '192.168.65.3:81' });
    await world.asGuest(GUEST, 'POST', EXPOSE, { local: ':82', remote: ':82' });
    await world.asGuest(OTHER_GUEST, 'POST', EXPOSE, { local: ':83', remote: ':83' });
    assert.equal(
      await world.asGuest(GUEST, 'GET', ALL),
      '200 [{"local":":82","remote":"192.168.65.3:82","protocol":"tcp"}]\n',
    );
    for (const local of ['127.0.0.1:22', ':81', ':83']) {
      assert.equal(await world.asGuest(GUEST, 'POST', UNEXPOSE, { local }), '500 proxy not found\n');
    }
    assert.equal(((await world.all()) as unknown[]).length, 4);
    assert.equal(await world.unexpose({ local: ':82' }), '200 ', 'who reaches the control socket may');
  });

  test('a guest neither takes over another’s port nor leads to another guest', async (t) => {
    const world = await CompatWorld.open(t);
    await world.asGuest(OTHER_GUEST, 'POST', EXPOSE, { local: ':83', remote: ':83' });
    for (const local of [':83', '0.0.0.0:83', '[::]:83', '127.0.0.1:83']) {
      const answer = await world.asGuest(GUEST, 'POST', EXPOSE, { local, remote: ':83' });
      assert.match(answer, /^500 (?:proxy already running|listen tcp .*: bind: address already in use)/);
    }
    for (const remote of ['192.168.65.4:84', '192.168.65.1:80', '127.0.0.1:22', '8.8.8.8:53', '[::1]:1', 'host:1']) {
      const answer = await world.asGuest(GUEST, 'POST', EXPOSE, { local: ':84', remote });
      assert.match(answer, /^500 invalid remote addr/);
    }
    assert.equal(world.forwards.list().length, 1);
  });

  test('a conflict says nothing to a guest of who is on this computer, and nobody is looked for', async (t) => {
    const world = await CompatWorld.open(t);
    const { refused, bound } = world.world;
    refused.set(8000, 'ERR_PORT_IN_USE').set(80, 'ERR_HELPER_DENIED').set(81, 'ERR_PORT_DENIED');
    refused.set(82, 'ERR_HELPER_UNAVAILABLE').set('192.0.2.1', 'ERR_PORT_ADDRESS').set(83, 'ERR_PORT_LIMIT');
    refused.set(84, 'ERR_PORT_FAILED');
    await world.world.add('127.0.0.1:9000:22', { owner: 'config' });
    for (const [local, why] of [
      ['127.0.0.1:8000', 'address already in use'],
      [':8000', 'address already in use'],
      ['[::1]:80', 'permission denied'],
      [':81', 'permission denied'],
      [':82', 'permission denied'],
      ['192.0.2.1:90', 'cannot assign requested address'],
      [':83', 'too many open files'],
      [':84', 'input/output error'],
      ['0.0.0.0:9000', 'address already in use'],
    ] as const) {
      const answer = await world.asGuest(GUEST, 'POST', EXPOSE, { local, remote: ':80' });
      assert.equal(answer, `500 listen tcp ${local}: bind: ${why}\n`);
    }
    await world.asGuest(GUEST, 'POST', EXPOSE, { local: ':85', remote: ':80' });
    assert.deepEqual(
      bound.map(({ terse = false }) => terse),
      [false, true],
    );
  });

  test('a guest may expose 1,024 ports at once, and others are not held up', async (t) => {
    const world = await CompatWorld.open(t);
    const expose = (guest: number): Promise<string> =>
      world.asGuest(guest, 'POST', EXPOSE, { local: 'nonsense', remote: ':80' });
    const answers = new Set<string>();
    while (world.counters.get('guest-api-expose-limit') === 0) answers.add(await expose(GUEST));
    assert.deepEqual(
      [...answers],
      [
        '500 local: expected an address and a port such as 127.0.0.1:8080, found "nonsense"\n',
        '429 too many requests: a guest may expose 1024 ports at once and 50 a second after that\n',
      ],
    );
    assert.match(await expose(OTHER_GUEST), /^500 /);
    assert.equal(await world.asGuest(GUEST, 'GET', ALL), '200 []\n');
  });

  test('no sockets, pipes or keys of this computer', async (t) => {
    const world = await CompatWorld.open(t);
    for (const [protocol, remote] of [
      ['unix', 'tcp://192.168.65.3:80'],
      ['unix', 'ssh-tunnel://u@192.168.65.3/p?key=/root/.ssh/id_rsa'],
      ['npipe', 'tcp://192.168.65.3:80'],
    ]) {
      const answer = await world.asGuest(GUEST, 'POST', EXPOSE, { local: '/etc/passwd', remote, protocol });
      assert.equal(answer, `500 protocol ${protocol} is not available to guests\n`);
    }
    assert.equal(world.world.files.size, 0);
  });

  test('everything else of gvproxy is not there', async (t) => {
    const world = await CompatWorld.open(t);
    for (const path of [
      '/',
      '/leases',
      '/cam',
      '/stats',
      '/tunnel?ip=192.168.65.4&port=22',
      '/connect',
      '/v1/status',
    ]) {
      assert.equal(await world.asGuest(GUEST, 'POST', path), '404 404 page not found\n');
    }
    for (const path of ['/services/dns/all', '/services/dns/add', '/services/dhcp/leases', '/debug/pprof/']) {
      assert.equal(await world.asGuest(GUEST, 'POST', path), '404 404 page not found\n');
    }
    assert.equal(await world.asGuest(GUEST, 'GET', EXPOSE), '400 post only\n');
  });

  test('a guest has 512 forwards at most, and others still have theirs', async (t) => {
    const world = await CompatWorld.open(t);
    const expose = (guest: number, port: number): Promise<string> =>
      world.asGuest(guest, 'POST', EXPOSE, { local: `:${port}`, remote: `:${port}` });
    for (let port = 1000; port < 1512; port++) assert.equal(await expose(GUEST, port), '200 ');
    assert.equal(await expose(GUEST, 1512), '500 too many forwards: a guest may have 512\n');
    assert.equal(await expose(OTHER_GUEST, 1512), '200 ');
    assert.equal(await world.asGuest(GUEST, 'POST', UNEXPOSE, { local: ':1000' }), '200 ');
    assert.equal(await expose(GUEST, 1513), '200 ');
  });

  test('a guest with many addresses has one share of forwards and connections', async (t) => {
    const world = await CompatWorld.open(t);
    const expose = (guest: number, port: number): Promise<string> =>
      world.asGuest(guest, 'POST', EXPOSE, { local: `:${port}`, remote: `:${port}` }, 'tap0');
    for (let port = 1000; port < 1512; port++) assert.equal(await expose(GUEST + (port & 3), port), '200 ');
    assert.equal(await expose(GUEST + 9, 1512), '500 too many forwards: a guest may have 512\n');
    assert.equal(world.owned('guest tap0').length, 512);
    assert.equal(JSON.parse((await world.asGuest(GUEST + 9, 'GET', ALL, '', 'tap0')).slice(4)).length, 512);
    const sockets = Array.from({ length: 33 }, (_, i) => world.dialAsGuest(GUEST + i, 'tap0'));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    await Promise.race(sockets.map((socket) => once(socket.resume(), 'close')));
    assert.equal(world.counters.get('guest-api-connection-limit-of-guest'), 1);
  });

  test('a guest that takes another’s address is not that guest', async (t) => {
    const world = await CompatWorld.open(t);
    await world.asGuest(GUEST, 'POST', EXPOSE, { local: ':82', remote: ':82' }, 'qemu+unix:///a.sock');
    assert.equal(await world.asGuest(GUEST, 'GET', ALL, '', 'qemu+unix:///b.sock'), '200 []\n');
    assert.equal(
      await world.asGuest(GUEST, 'POST', UNEXPOSE, { local: ':82' }, 'qemu+unix:///b.sock'),
      '500 proxy not found\n',
    );
  });

  test('guests of one listener that come back in another order still manage what leads to them', async (t) => {
    const world = await CompatWorld.open(t);
    const [first, second] = ['qemu+unix:///vm.sock', 'qemu+unix:///vm.sock #2'];
    await world.asGuest(GUEST, 'POST', EXPOSE, { local: ':82', remote: ':82' }, first);
    await world.asGuest(OTHER_GUEST, 'POST', EXPOSE, { local: ':83', remote: ':83' }, second);
    assert.match(await world.asGuest(GUEST, 'GET', ALL, '', second), /":82"/);
    assert.equal(await world.asGuest(GUEST, 'POST', UNEXPOSE, { local: ':82' }, second), '200 ');
    assert.equal(await world.asGuest(OTHER_GUEST, 'POST', UNEXPOSE, { local: ':83' }, first), '200 ');
  });

  test('a page in a guest’s browser opens no ports', async (t) => {
    const world = await CompatWorld.open(t);
    const body = JSON.stringify({ local: ':82', remote: ':82' });
    const socket = world.dialAsGuest(GUEST);
    socket.end(
      `POST ${EXPOSE} HTTP/1.1\r\nHost: 192.168.65.1\r\nOrigin: https://page.example\r\nContent-Type: text/plain\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    let text = '';
    for await (const part of socket.setEncoding('latin1')) text += String(part);
    assert.match(
      text,
      /^HTTP\/1\.1 403 [\s\S]*\r\n\r\nrequests of web pages are not served: this one has an Origin header\n$/,
    );
    assert.equal(world.counters.get('guest-api-web-page'), 1);
    assert.deepEqual(world.forwards.list(), []);
  });

  test('a body of more than 64 KiB is refused and the connection closed', async (t) => {
    const world = await CompatWorld.open(t);
    const body = JSON.stringify({ local: ':1', remote: ':1', more: 'x'.repeat(64 * 1024) });
    assert.equal(await world.asGuest(GUEST, 'POST', EXPOSE, body), '413 http: request body too large\n');
    assert.deepEqual(world.forwards.list(), []);
  });

  test('a guest has 32 connections at most', async (t) => {
    const world = await CompatWorld.open(t);
    const sockets = Array.from({ length: 33 }, () => world.dialAsGuest(GUEST));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    const closed = await Promise.race(sockets.map(async (socket) => once(socket.resume(), 'close').then(() => socket)));
    assert.ok(sockets.includes(closed));
    assert.equal(world.counters.get('guest-api-connection-limit-of-guest'), 1);
    assert.equal(await world.asGuest(OTHER_GUEST, 'GET', ALL), '200 []\n');
  });

  test('who does not say all of a request within 10 s is sent away', async (t) => {
    const world = await CompatWorld.open(t);
    const slow = world.dialAsGuest(GUEST);
    t.after(() => slow.destroy());
    const closed = once(slow.resume(), 'close');
    slow.write(`POST ${EXPOSE} HTTP/1.1\r\nHost: any\r\nContent-Length: 100\r\n\r\n{`);
    await closed;
    assert.equal(world.counters.get('guest-api-slow'), 1);
    assert.deepEqual(world.forwards.list(), []);
  });

  test('a guest that closes its side behind its request gets the answer', async (t) => {
    const world = await CompatWorld.open(t);
    const socket = world.dialAsGuest(GUEST);
    socket.end(`GET ${ALL} HTTP/1.1\r\nHost: any\r\n\r\n`);
    let text = '';
    for await (const part of socket.setEncoding('latin1')) text += String(part);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n\[\]\n$/);
  });

  test('a connection without the header that names the guest is closed', async (t) => {
    const world = await CompatWorld.open(t);
    const socket = connect(world.guestSocket);
    socket.write(`GET ${ALL} HTTP/1.1\r\nHost: any\r\n\r\n`);
    await once(socket.resume(), 'close');
    assert.equal(world.counters.get('guest-api-fault'), 1);
  });

  test('whatever a guest sends as a body, it gets an answer and changes only what is its own', async (t) => {
    const world = await CompatWorld.open(t);
    await world.world.add('127.0.0.1:22:22', { owner: 'config' });
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(':80', '192.168.65.3:80', '192.168.65.4:1', '/etc/passwd', 'unix'),
    );
    const body = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.record({ local: word, remote: word, protocol: word }, { requiredKeys: [] }).map((one) => JSON.stringify(one)),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(EXPOSE, UNEXPOSE, ALL), body, async (path, text) => {
        assert.match(await world.asGuest(GUEST, 'POST', path, text), /^(?:200|400|500) [\s\S]*$/);
      }),
      { numRuns: 300 },
    );
    const others = world.forwards.list().filter(({ spec }) => spec.owner !== 'guest vm3');
    assert.deepEqual(
      others.map(({ id }) => id),
      ['tcp:127.0.0.1:22'],
    );
    assert.equal(world.world.files.size, 0);
  });
});
