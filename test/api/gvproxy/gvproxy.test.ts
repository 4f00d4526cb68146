import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { at } from '../../services/forward/table-world.ts';
import { CompatWorld } from '../compat-world.ts';

/** Rows of the reference's tables: what is asked, what is answered. */
interface Row {
  readonly row: string;
  readonly body: unknown;
  readonly answer: string;
}

const WEB = { local: ':6443', remote: '192.168.65.3:6443', protocol: 'tcp' };

describe('gvproxy: /services/forwarder/all', () => {
  test('says [] when there is nothing, as sniffed text', async (t) => {
    const { status, text, headers } = await (await CompatWorld.open(t)).ask('GET', '/services/forwarder/all');
    assert.deepEqual([status, text], [200, '[]\n']);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(headers['content-length'], '3');
  });

  test('lists by local, then protocol, with the strings as they were given, whatever the method', async (t) => {
    const world = await CompatWorld.open(t);
    for (const body of [
      { local: '127.0.0.1:2222', remote: '192.168.65.3:22' },
      { local: ':1053', remote: '192.168.65.3:53', protocol: 'udp' },
      { local: ':1053', remote: '192.168.65.3:53', protocol: 'tcp' },
      { local: '/tmp/a.sock', remote: 'tcp://192.168.65.3:80', protocol: 'unix' },
    ]) {
      assert.equal(await world.expose(body), '200 ');
    }
    for (const method of ['GET', 'POST', 'DELETE']) {
      assert.equal(
        await world.said(method, '/services/forwarder/all'),
        '200 [{"local":"/tmp/a.sock","remote":"tcp://192.168.65.3:80","protocol":"unix"},' +
          '{"local":"127.0.0.1:2222","remote":"192.168.65.3:22","protocol":"tcp"},' +
          '{"local":":1053","remote":"192.168.65.3:53","protocol":"tcp"},' +
          '{"local":":1053","remote":"192.168.65.3:53","protocol":"udp"}]\n',
      );
    }
  });

  test('shows forwards of others, a range port by port, and removes those of one port', async (t) => {
    const world = await CompatWorld.open(t);
    await world.world.add('127.0.0.1:80:80');
    await world.world.add('8000-8002:9000-9002');
    assert.deepEqual(await world.all(), [
      { local: '127.0.0.1:80', remote: ':80', protocol: 'tcp' },
      { local: ':8000', remote: ':9000', protocol: 'tcp' },
      { local: ':8001', remote: ':9001', protocol: 'tcp' },
      { local: ':8002', remote: ':9002', protocol: 'tcp' },
    ]);
    assert.equal(await world.unexpose({ local: ':8001' }), '500 proxy not found\n');
    assert.equal(await world.unexpose({ local: '127.0.0.1:80' }), '200 ');
    assert.equal(world.forwards.list().length, 1);
  });
});

describe('gvproxy: /services/forwarder/expose takes', () => {
  const rows: Row[] = [
    { row: ':6443, all addresses', body: WEB, answer: 'tcp:*:6443 192.168.65.3:6443' },
    { row: 'tcp by default', body: { ...WEB, protocol: undefined }, answer: 'tcp:*:6443 192.168.65.3:6443' },
    { row: '127.0.0.1:80', body: { ...WEB, local: '127.0.0.1:80' }, answer: 'tcp:127.0.0.1:80 192.168.65.3:6443' },
    { row: '0.0.0.0:80', body: { ...WEB, local: '0.0.0.0:80' }, answer: 'tcp:0.0.0.0:80 192.168.65.3:6443' },
    { row: '[::1]:80', body: { ...WEB, local: '[::1]:80' }, answer: 'tcp:[::1]:80 192.168.65.3:6443' },
    { row: 'localhost:80', body: { ...WEB, local: 'localhost:80' }, answer: 'tcp:127.0.0.1:80 192.168.65.3:6443' },
    { row: 'udp', body: { ...WEB, protocol: 'udp' }, answer: 'udp:*:6443 192.168.65.3:6443' },
    {
      row: 'keys in any case, null, and what it does not know',
      body: '{"LOCAL":":1","Remote":"192.168.65.3:2","protocol":null,"more":[{}]}',
      answer: 'tcp:*:1 192.168.65.3:2',
    },
  ];
  for (const { row, body, answer } of rows) {
    test(`${row}: 200 and nothing else`, async (t) => {
      const world = await CompatWorld.open(t);
      const { status, text, headers } = await world.post('/services/forwarder/expose', body);
      assert.deepEqual([status, text, headers['content-type']], [200, '', undefined]);
      const [forward] = world.forwards.list();
      assert.equal(forward?.spec.owner, 'gvproxy');
      const { guest } = forward!.spec;
      assert.equal(
        `${forward?.id} ${guest.address === at('192.168.65.3') ? '192.168.65.3' : ''}:${guest.port}`,
        answer,
      );
    });
  }

  test('a unix socket for a TCP port', async (t) => {
    const world = await CompatWorld.open(t);
    const body = { local: '/run/x/web.sock', remote: 'tcp://192.168.65.3:80', protocol: 'unix' };
    assert.equal(await world.expose(body), '200 ');
    assert.deepEqual([...world.world.files], ['/run/x/web.sock']);
  });

  test('a unix socket for a socket behind the guest’s sshd, with port 22 by default', async (t) => {
    const world = await CompatWorld.open(t);
    const expose = (remote: string, local: string): Promise<string> =>
      world.expose({ local, remote, protocol: 'unix' });
    const path = '192.168.65.3/run/user/1000/podman/podman.sock?key=/home/me/.ssh/id';
    assert.equal(await expose(`ssh-tunnel://core@${path}`, '/tmp/one.sock'), '200 ');
    assert.equal(
      await expose('ssh-tunnel://root@192.168.65.3:2222/p.sock?key=/k&passphrase=s%20e', '/tmp/two.sock'),
      '200 ',
    );
    const guests = world.forwards.list().map(({ spec }) => spec.guest);
    const address = at('192.168.65.3');
    assert.deepEqual(guests, [
      {
        kind: 'ssh',
        address,
        port: 22,
        user: 'core',
        path: '/run/user/1000/podman/podman.sock',
        keyFile: '/home/me/.ssh/id',
      },
      { kind: 'ssh', address, port: 2222, user: 'root', path: '/p.sock', keyFile: '/k', passphrase: 's e' },
    ]);
  });

  test('the same place under another key only if the host lets it', async (t) => {
    const world = await CompatWorld.open(t);
    await world.expose({ local: ':80', remote: '192.168.65.3:80' });
    assert.match(
      await world.expose({ local: '0.0.0.0:80', remote: '192.168.65.3:80' }),
      /^500 listen tcp 0\.0\.0\.0:80: bind: address already in use: .*\n$/,
    );
    assert.match(
      await world.expose({ local: '[::]:80', remote: '192.168.65.3:81' }),
      /^500 listen tcp \[::\]:80: bind: address already in use: .*\n$/,
    );
  });

  test('what someone else forwards already to the same port is in use, too', async (t) => {
    const world = await CompatWorld.open(t);
    const before = await world.world.add('127.0.0.1:80:80', {
      guest: { kind: 'port', address: at('192.168.65.3'), port: 80 },
    });
    const answer = await world.expose({ local: 'localhost:80', remote: '192.168.65.3:80' });
    assert.match(answer, /^500 listen tcp 127\.0\.0\.1:80: bind: address already in use: /);
    assert.deepEqual(world.forwards.list(), [before]);
  });
});

describe('gvproxy: /services/forwarder/expose refuses', () => {
  const expose: Row[] = [
    { row: 'no body', body: undefined, answer: '400 the request has no body' },
    { row: 'a list', body: '[]', answer: '400 expected keys with values, found []' },
    { row: 'a number for a string', body: '{"local":1}', answer: '400 local: expected a text, found 1' },
    { row: 'a word for the protocol', body: '{"protocol":true}', answer: '400 protocol: expected a text, found true' },
    {
      row: 'bad remote',
      body: { ...WEB, remote: 'X' },
      answer: '400 remote: expected an address and a port such as 192.168.65.3:80, found "X"',
    },
    {
      row: 'no remote',
      body: { ...WEB, remote: '' },
      answer: '400 remote: expected an address and a port such as 192.168.65.3:80, found ""',
    },
    {
      row: ':port from a unix socket',
      body: { ...WEB, remote: ':80' },
      answer: '400 remote: expected an address and a port such as 192.168.65.3:80, found ":80"',
    },
    {
      row: 'too many colons',
      body: { ...WEB, remote: '::1:80' },
      answer: '400 remote: expected an address and a port such as 192.168.65.3:80, found "::1:80"',
    },
    {
      row: 'IPv6 remote',
      body: { ...WEB, remote: '[::1]:80' },
      answer: '500 remote: expected an address and a port such as 192.168.65.3:80, found "[::1]:80"',
    },
    {
      row: 'a name (gvproxy panics)',
      body: { ...WEB, remote: 'web:80' },
      answer: '500 remote: expected an address and a port such as 192.168.65.3:80, found "web:80"',
    },
    {
      row: 'port parse error',
      body: { ...WEB, remote: '192.168.65.3:x' },
      answer: '500 remote: expected an address and a port such as 192.168.65.3:80, found "192.168.65.3:x"',
    },
    {
      row: 'port out of range',
      body: { ...WEB, remote: '192.168.65.3:65536' },
      answer: '500 remote: expected an address and a port such as 192.168.65.3:80, found "192.168.65.3:65536"',
    },
    { row: 'unknown protocol', body: { ...WEB, protocol: 'sctp' }, answer: '500 unknown protocol sctp' },
    { row: 'npipe', body: { ...WEB, protocol: 'npipe' }, answer: '500 named pipes are not supported by this platform' },
    {
      row: 'ssh without key',
      body: { local: '/a', remote: 'ssh-tunnel://u@192.168.65.3/p', protocol: 'unix' },
      answer: '500 key not provided for unix-ssh connection',
    },
    {
      row: 'ssh without path',
      body: { local: '/a', remote: 'ssh-tunnel://u@192.168.65.3/?key=/k', protocol: 'unix' },
      answer: '500 remote uri must contain a path to a socket file',
    },
    {
      row: 'another scheme',
      body: { local: '/a', remote: 'http://192.168.65.3:80', protocol: 'unix' },
      answer: '500 remote: expected tcp:// or ssh-tunnel:// for a unix socket, found "http://192.168.65.3:80"',
    },
    {
      row: 'no URL',
      body: { local: '/a', remote: ':', protocol: 'unix' },
      answer: '500 remote: expected a URL such as tcp://192.168.65.3:80, found ":"',
    },
    {
      row: 'tcp:// without port',
      body: { local: '/a', remote: 'tcp://192.168.65.3', protocol: 'unix' },
      answer: '500 remote: expected an address and a port such as 192.168.65.3:80, found "192.168.65.3"',
    },
    {
      row: 'local without port',
      body: { ...WEB, local: 'X' },
      answer: '500 local: expected an address and a port such as 127.0.0.1:8080, found "X"',
    },
    {
      row: 'local port out of range',
      body: { ...WEB, local: ':65536' },
      answer: '500 local: expected an address and a port such as 127.0.0.1:8080, found ":65536"',
    },
    {
      row: 'a local name',
      body: { ...WEB, local: 'nobody:1' },
      answer: '500 local: expected an address and a port such as 127.0.0.1:8080, found "nobody:1"',
    },
  ];
  for (const { row, body, answer } of expose) {
    test(`${row}: ${answer}`, async (t) => {
      const world = await CompatWorld.open(t);
      const asked = await world.ask('POST', '/services/forwarder/expose', body);
      assert.equal(`${asked.status} ${asked.text}`, `${answer}\n`);
      assert.equal(asked.headers['content-type'], 'text/plain; charset=utf-8');
      assert.equal(asked.headers['x-content-type-options'], 'nosniff');
      assert.deepEqual(world.forwards.list(), []);
    });
  }

  test('another method: post only', async (t) => {
    const world = await CompatWorld.open(t);
    for (const path of ['/services/forwarder/expose', '/services/forwarder/unexpose', '/services/dns/add']) {
      for (const method of ['GET', 'PUT', 'DELETE']) assert.equal(await world.said(method, path), '400 post only\n');
    }
  });

  test('a second one under the same key, also while the first is being opened', async (t) => {
    const world = await CompatWorld.open(t);
    const answers = await Promise.all(
      [1, 2, 3].map(() => world.expose({ local: ':9090', remote: '192.168.65.3:8080' })),
    );
    const running = '500 proxy already running for tcp on :9090\n';
    assert.deepEqual(answers.sort(), ['200 ', running, running]);
    assert.equal(await world.expose({ local: ':9090', remote: '192.168.65.3:1' }), running);
    assert.equal(await world.expose({ local: ':9090', remote: '192.168.65.3:1', protocol: 'udp' }), '200 ');
  });

  test('what the host refuses, in its words', async (t) => {
    const world = await CompatWorld.open(t);
    world.world.refused.set(80, 'ERR_PORT_DENIED').set('192.0.2.1', 'ERR_PORT_ADDRESS');
    assert.equal(
      await world.expose({ local: '127.0.0.1:80', remote: '192.168.65.3:80' }),
      '500 127.0.0.1:80 is refused\n',
    );
    assert.equal(
      await world.expose({ local: '192.0.2.1:81', remote: '192.168.65.3:80' }),
      '500 192.0.2.1:81 is refused\n',
    );
    assert.deepEqual(world.forwards.list(), [], 'an address that is not there is not waited for');
    world.world.refused.clear();
    assert.equal(await world.expose({ local: '127.0.0.1:80', remote: '192.168.65.3:80' }), '200 ');
  });

  test('an address that no guest can have', async (t) => {
    const answer = await (await CompatWorld.open(t)).expose({ local: ':80', remote: '10.0.0.1:80' });
    assert.match(answer, /^500 .*10\.0\.0\.1 is not a guest's address in 192\.168\.65\.0\/24/);
  });
});

describe('gvproxy: /services/forwarder/unexpose', () => {
  test('200 and nothing else, and the port is free again', async (t) => {
    const world = await CompatWorld.open(t);
    await world.expose(WEB);
    assert.equal(await world.unexpose({ ...WEB, remote: 'anything' }), '200 ');
    assert.deepEqual(world.forwards.list(), []);
    assert.equal(await world.unexpose(WEB), '500 proxy not found\n');
    assert.equal(await world.expose(WEB), '200 ');
  });

  test('another local string or protocol is another proxy', async (t) => {
    const world = await CompatWorld.open(t);
    await world.expose(WEB);
    for (const body of [{ local: '0.0.0.0:6443' }, { local: ':6443', protocol: 'udp' }, {}]) {
      assert.equal(await world.unexpose(body), '500 proxy not found\n');
    }
  });

  test('decode errors', async (t) => {
    const world = await CompatWorld.open(t);
    for (const body of ['{"local"}', ' \n', '{"local":', 'local']) {
      assert.match(await world.unexpose(body), /^400 the body is not JSON: .+\n$/);
    }
  });

  test('closes the listener of TCP alone, all flows of UDP, and the client of ssh', async (t) => {
    const world = await CompatWorld.open(t);
    const remote = '192.168.65.3:1';
    const all = [
      { local: ':1', remote, protocol: 'tcp' },
      { local: ':1', remote, protocol: 'udp' },
      { local: '/s', remote: 'ssh-tunnel://u@192.168.65.3/p?key=/k', protocol: 'unix' },
    ];
    for (const body of all) assert.equal(await world.expose(body), '200 ');
    for (const body of all) assert.equal(await world.unexpose(body), '200 ');
    assert.deepEqual(
      world.world.ended.map(({ connections }) => connections),
      [false, true, true],
    );
  });

  test('what the command line removed is gone here, too', async (t) => {
    const world = await CompatWorld.open(t);
    await world.expose(WEB);
    await world.forwards.close('tcp:*:6443');
    assert.deepEqual(await world.all(), []);
    assert.equal(await world.unexpose(WEB), '500 proxy not found\n');
    assert.equal(await world.expose(WEB), '200 ');
  });
});

describe('gvproxy: the rest', () => {
  test('an unknown path: 404 page not found', async (t) => {
    const world = await CompatWorld.open(t);
    for (const path of ['/services/', '/services/nothing', '/services/forwarder/all/', '/debug/pprof/']) {
      assert.equal(await world.said('GET', path), '404 404 page not found\n');
    }
  });

  test('leases: addresses and MACs in order, with the gateway’s and those that are reserved', async (t) => {
    const reservations = [{ mac: 0x020000000001, address: at('192.168.65.50') }];
    const world = await CompatWorld.open(t, { config: { dhcp: { reservations } } });
    for (const path of ['/leases', '/services/dhcp/leases']) {
      assert.equal(
        await world.said('GET', path),
        '200 {"192.168.65.1":"5a:94:ef:e4:0c:dd","192.168.65.3":"5a:94:ef:00:00:01","192.168.65.4":"5a:94:ef:00:00:02",' +
          '"192.168.65.50":"02:00:00:00:00:01"}\n',
      );
    }
  });

  test('cam: MAC and number of the connection', async (t) => {
    const world = await CompatWorld.open(t);
    assert.equal(await world.said('GET', '/cam'), '200 {"5a:94:ef:00:00:01":0}\n');
    world.status = { ...world.status, guests: [{ name: 'silent' }, { name: 'b', mac: 2 }, { name: 'c', mac: 1 }] };
    assert.equal(await world.said('GET', '/cam'), '200 {"00:00:00:00:00:01":2,"00:00:00:00:00:02":1}\n');
    world.status = { ...world.status, guests: [] };
    assert.equal(await world.said('GET', '/cam'), '200 {}\n');
  });

  test('stats: bytes first, then what Slipway counts too, nested as gvproxy nests it, and numbers', async (t) => {
    const world = await CompatWorld.open(t);
    const counters = { 'guest-bytes-sent': 1000, 'guest-bytes-received': 2000, 'tcp-retransmitted': 3 };
    world.status = { ...world.status, counters };
    const { text } = await world.ask('GET', '/stats');
    assert.match(text, /^\{"BytesSent":1000,"BytesReceived":2000,.*\}\n$/);
    const stats = JSON.parse(text);
    assert.equal(stats.TCP.Retransmits, 3);
    assert.deepEqual(stats.NICs.Tx, { Packets: 0, Bytes: 1000 });
    assert.equal(stats.ICMP.V4.PacketsSent.ICMPv4PacketStats.EchoReply, 0);
    const leaves = (value: unknown): unknown[] =>
      typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value];
    assert.ok(leaves(stats).every((leaf) => typeof leaf === 'number'));
    for (const name of ['DroppedPackets', 'NICs', 'ICMP', 'IP', 'ARP', 'TCP', 'UDP']) assert.ok(name in stats);
  });
});
