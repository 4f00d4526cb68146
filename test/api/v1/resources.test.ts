import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControlWorld, refusal } from '../control-world.ts';

test('status says what the daemon is, how many of each there are and what was counted', async (t) => {
  const world = await ControlWorld.open(t);
  const { status, json } = await world.ask('GET', '/v1/status');
  assert.equal(status, 200);
  const { version, pid, engine, network, gauges, counters, attachments } = json as Record<string, unknown>;
  assert.deepEqual({ version, pid, engine }, { version: '1.2.3', pid: 4711, engine: 'node' });
  assert.deepEqual(network, {
    subnet: '192.168.65.0/24',
    gateway: '192.168.65.1',
    hostAddress: '192.168.65.254',
    hostLoopback: true,
    mtu: 1500,
  });
  assert.deepEqual(gauges, { guests: 1, leases: 2, flows: 1, forwards: 0, forwardedConnections: 0 });
  assert.deepEqual(counters, { 'udp-bad-length': 3 });
  assert.deepEqual(attachments, ['qemu+unix:///vm.sock']);
});

test('guests come with their leases, and a lease without end has no time left to say', async (t) => {
  const world = await ControlWorld.open(t);
  const lease = { address: '192.168.65.3', mac: '5a:94:ef:00:00:01', name: 'web', remainingSeconds: 3600 };
  assert.deepEqual((await world.ask('GET', '/v1/guests')).json, [
    { name: 'qemu-1', address: '192.168.65.3', mac: '5a:94:ef:00:00:01', leases: [lease] },
  ]);
  assert.deepEqual((await world.ask('GET', '/v1/leases')).json, [
    lease,
    { address: '192.168.65.4', mac: '5a:94:ef:00:00:02', name: '', remainingSeconds: null },
  ]);
});

test('a flow is listed under the id that ends it', async (t) => {
  const world = await ControlWorld.open(t);
  const [flow] = (await world.ask('GET', '/v1/flows?limit=5')).json as { readonly id: string }[];
  assert.equal(flow!.id, 'tcp-192.168.65.3:40000-192.0.2.1:443');
  assert.equal((await world.ask('DELETE', `/v1/flows/${flow!.id}`)).status, 204);
  assert.deepEqual(world.killed, [
    { protocol: 'tcp', guestAddress: 0xc0a84103, guestPort: 40_000, remoteAddress: 0xc0000201, remotePort: 443 },
  ]);
  const gone = await world.ask('DELETE', '/v1/flows/tcp-192.168.65.3:1-192.0.2.1:443');
  assert.equal(refusal(gone).code, 'ERR_CONTROL_NOT_FOUND');
  assert.match(refusal(await world.ask('DELETE', '/v1/flows/x')).message, /^path\.id: expected a flow such as/);
  assert.match(refusal(await world.ask('GET', '/v1/flows?limit=0')).message, /^query\.limit: /);
});

test('a port is published in the words of docker run -p, shown and closed', async (t) => {
  const world = await ControlWorld.open(t);
  const made = await world.ask('POST', '/v1/forwards', {
    json: { publish: '127.0.0.1:8080:80', guestAddress: '192.168.65.9', proxy: 'v2', waitSeconds: 3, persistent: true },
  });
  assert.equal(made.status, 201);
  const expected = {
    id: 'tcp:127.0.0.1:8080',
    protocol: 'tcp',
    host: '127.0.0.1:8080',
    guest: '192.168.65.9:80',
    count: 1,
    ipv4Only: false,
    source: 'client',
    proxy: 'v2',
    waitSeconds: 3,
    persistent: true,
    owner: 'api',
    state: 'listening',
    why: '',
    code: '',
    reaches: '',
    guestListens: 'unseen',
    note: '',
    boundPort: 8080,
    connections: 0,
    descriptors: 2,
  };
  assert.deepEqual(made.json, [expected]);
  assert.deepEqual((await world.ask('GET', '/v1/forwards')).json, [expected]);
  const path = `/v1/forwards/${encodeURIComponent('tcp:127.0.0.1:8080')}`;
  assert.deepEqual((await world.ask('GET', path)).json, expected);
  assert.equal((await world.ask('DELETE', `${path}?connections=reset`)).status, 204);
  assert.deepEqual(refusal(await world.ask('DELETE', path)), {
    status: 404,
    code: 'ERR_FORWARD_NOT_FOUND',
    message: 'there is no forward tcp:127.0.0.1:8080',
  });
  assert.equal((await world.ask('GET', path)).status, 404);
});

test('the keys of the configuration publish, too: ranges, sockets, what lies behind sshd without its passphrase', async (t) => {
  const world = await ControlWorld.open(t);
  const forms = [
    [{ host: '[::1]:8000-8100', guest: '9000-9100' }, '[::1]:8000-8100', '9000-9100'],
    [{ host: 80, guest: '192.168.65.3:8080', protocol: 'udp' }, '*:80', '192.168.65.3:8080'],
    [{ host: '/run/web.sock', guest: 80 }, '/run/web.sock', '80'],
    [{ publish: '80', unixSocket: '/run/api.sock' }, '/run/api.sock', '80'],
  ] as const;
  for (const [json, host, guest] of forms) {
    const [made] = (await world.ask('POST', '/v1/forwards', { json })).json as { host: string; guest: string }[];
    assert.deepEqual([made!.host, made!.guest], [host, guest]);
  }
  const ssh = { user: 'core', path: '/run/podman.sock', keyFile: '/home/me/key', passphrase: 'secret' };
  const made = await world.ask('POST', '/v1/forwards', { json: { host: '/run/podman.sock', ssh, owner: 'cli' } });
  const [forward] = made.json as Record<string, unknown>[];
  assert.deepEqual(forward!.ssh, { user: 'core', path: '/run/podman.sock', keyFile: '/home/me/key', port: 22 });
  assert.equal(forward!.owner, 'cli');
  assert.doesNotMatch((await world.ask('GET', '/v1/forwards')).text, /secret/);
  const id = encodeURIComponent('unix:/run/podman.sock');
  assert.equal((await world.ask('DELETE', `/v1/forwards/${id}`)).status, 204);
});

test('a port in use is a conflict in the words of the table, and ports that came with it are closed again', async (t) => {
  const world = await ControlWorld.open(t);
  world.forwards.taken.add(81);
  const refused = await world.ask('POST', '/v1/forwards', { json: { publish: '80-81' } });
  assert.deepEqual(refusal(refused), {
    status: 409,
    code: 'ERR_PORT_IN_USE',
    message: 'listen tcp 0.0.0.0:81: bind: address already in use: held by nginx (pid 812)',
  });
  assert.deepEqual(world.forwards.list(), []);
});

test('what does not fit is refused by the name of its field', async (t) => {
  const world = await ControlWorld.open(t);
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{}, /^body\.host: expected a port of this computer/],
    [{ publish: 'x' }, /^body\.publish: expected a port of the guest .* found "x"$/],
    [{ publish: '80:80', waitSecond: 1 }, /^body\.waitSecond: unknown key/],
    [
      { publish: '80:80', waitSeconds: 'long' },
      /^body\.waitSeconds: expected an integer from 0 to 3600, found "long"$/,
    ],
    [
      { publish: '80:80', guestAddress: 'x', proxy: 3 },
      /^body\.proxy: expected one of none, v1, v2, found 3; body\.guestAddress: expected an IPv4/,
    ],
    [{ publish: '8080:80', unixSocket: '/run/x.sock' }, /^body\.publish: expected only the port of the guest/],
    [{ publish: '80', owner: 'docker' }, /^body\.owner: expected one of api, cli/],
    [{ host: 80 }, /^body: expected either guest or ssh/],
    [{ host: '/run/x', ssh: { user: 'a' } }, /^body\.ssh\.path: /],
    [null, /^body: expected keys with values, found nothing$/],
    [[], /^body: expected keys with values, found \[\]$/],
  ];
  for (const [json, message] of refused) {
    const { status, code, message: said } = refusal(await world.ask('POST', '/v1/forwards', { json }));
    assert.deepEqual({ status, code }, { status: 400, code: 'ERR_CONTROL_REQUEST' });
    assert.match(said, message);
  }
});

test('a service at the gateway or at an address of its own is opened, listed and closed', async (t) => {
  const world = await ControlWorld.open(t);
  const made = await world.ask('POST', '/v1/services', { json: { port: 8000, target: '127.0.0.1:9000' } });
  assert.equal(made.status, 201);
  assert.deepEqual(made.json, {
    id: 'tcp-192.168.65.1:8000',
    protocol: 'tcp',
    address: '192.168.65.1',
    port: 8000,
    target: '127.0.0.1:9000',
    name: '',
  });
  const whole = { address: '192.168.65.10', name: 'db.docker.internal', target: '127.0.0.1', protocol: 'udp' };
  await world.ask('POST', '/v1/services', { json: whole });
  assert.deepEqual(
    ((await world.ask('GET', '/v1/services')).json as { id: string }[]).map(({ id }) => id),
    ['tcp-192.168.65.1:8000', 'udp-192.168.65.10:0'],
  );
  assert.equal((await world.ask('DELETE', '/v1/services/udp-192.168.65.10:0')).status, 204);
  assert.equal((await world.ask('DELETE', '/v1/services/udp-192.168.65.10:0')).status, 404);
  const dns = await world.ask('POST', '/v1/services', {
    json: { port: 53, protocol: 'udp', target: '127.0.0.1:5353' },
  });
  assert.equal(refusal(dns).status, 400);
  assert.match(refusal(dns).message, /^body\.port: the gateway's udp port 53 is the DNS of all guests/);
  const outside = await world.ask('POST', '/v1/services', { json: { ...whole, address: '10.0.0.1' } });
  assert.deepEqual([refusal(outside).status, refusal(outside).code], [400, 'ERR_ADDRESSES']);
  assert.match(refusal(outside).message, /^body\.address: 10\.0\.0\.1 is outside of the subnet/);
  const own = await world.ask('POST', '/v1/services', { json: { ...whole, name: 'host.docker.internal' } });
  assert.match(refusal(own).message, /^body\.name: host\.docker\.internal is one of/);
});

test('what GET shows of forwards and services can be sent back', async (t) => {
  const world = await ControlWorld.open(t);
  for (const json of [
    { publish: '127.0.0.1:8080:80', persistent: true, waitSeconds: 3, proxy: 'v1' },
    { publish: '8000-8010:9000-9010/udp', guestAddress: '192.168.65.3' },
    { publish: '80', unixSocket: '/run/web.sock' },
    { host: '/run/podman.sock', ssh: { user: 'core', path: '/run/guest.sock', keyFile: '/home/me/key' }, owner: 'cli' },
  ]) {
    assert.equal((await world.ask('POST', '/v1/forwards', { json })).status, 201);
  }
  const forwards = (await world.ask('GET', '/v1/forwards')).json as { id: string; owner: string }[];
  assert.equal(forwards.length, 4);
  for (const shown of forwards) {
    await world.forwards.close(shown.id);
    const back = await world.ask('POST', '/v1/forwards', { json: shown });
    assert.deepEqual([back.status, back.json], [201, [shown]], back.text);
    const ofOther = await world.ask('POST', '/v1/forwards', { json: { ...shown, owner: 'guest tap0' } });
    assert.deepEqual(ofOther.json, [{ ...shown, owner: 'api' }], ofOther.text);
  }
  for (const json of [
    { port: 8000, target: '127.0.0.1:9000' },
    { address: '192.168.65.10', target: '127.0.0.1', protocol: 'udp' },
  ]) {
    const shown = (await world.ask('POST', '/v1/services', { json })).json;
    const back = await world.ask('POST', '/v1/services', { json: shown });
    assert.deepEqual([back.status, back.json], [201, shown], back.text);
  }
  const unknown = refusal(await world.ask('POST', '/v1/forwards', { json: { ...forwards[0], owner: 'nobody' } }));
  assert.match(unknown.message, /^body\.owner: expected one of api, cli/);
});

test('what a query expects is said in words for people', async (t) => {
  const world = await ControlWorld.open(t);
  for (const [target, message] of [
    ['/v1/flows?limit=0', 'query.limit: expected at least 1, found "0"'],
    ['/v1/flows?limit=10001', 'query.limit: expected at most 10000, found "10001"'],
    ['/v1/flows?limit=1.5', 'query.limit: expected an integer, found "1.5"'],
    ['/v1/flows?limit=x', 'query.limit: expected a number, found "x"'],
    ['/v1/dns/lookup', 'query.name: expected a text, found nothing'],
    ['/v1/dns/lookup?name=x&server=y', 'query.server: expected one of all, internal, found "y"'],
    ['/v1/dns/lookup?name=x&explain=1', 'query.explain: expected one of true, false, nothing, found "1"'],
  ] as const) {
    assert.equal(refusal(await world.ask('GET', target)).message, message);
  }
  await world.ask('PUT', '/v1/dns/zones/dev.example', { json: {} });
  const none = await world.ask('POST', '/v1/dns/zones/dev.example/records', { json: { records: [] } });
  assert.equal(refusal(none).message, 'body.records: expected at least 1 entry, found []');
});

test('what is counted but not foreseen is a defect, told without its inside, and the daemon goes on', async (t) => {
  const world = await ControlWorld.open(t);
  const failed = await world.ask('GET', '/v1/dns/lookup?name=defect');
  assert.deepEqual(refusal(failed), { status: 500, code: 'ERR_CONTROL_DEFECT', message: 'the control API failed' });
  assert.deepEqual(world.defects, ['a request to the control API failed']);
  assert.equal(world.counters.get('control-defect'), 1);
  assert.equal((await world.ask('GET', '/v1/status')).status, 200);
});
