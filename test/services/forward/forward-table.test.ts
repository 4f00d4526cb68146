import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../support/deferred.ts';
import { at, refusal, settled, socketSpec, spec, TableWorld, UP } from './table-world.ts';

test('a forward is bound, handed to the network and listed', async () => {
  const world = new TableWorld();
  const status = await world.add('127.0.0.1:8080:80', { waitSeconds: 2, proxy: 'v1', source: 'gateway' });
  assert.deepEqual(status, {
    id: 'tcp:127.0.0.1:8080',
    spec: spec('127.0.0.1:8080:80', { waitSeconds: 2, proxy: 'v1', source: 'gateway' }),
    state: 'listening',
    why: '',
    code: '',
    reaches: at('192.168.65.3'),
    guestListens: 'unseen',
    note: '',
    boundPort: 8080,
    connections: 0,
    descriptors: 1,
  });
  assert.deepEqual(world.bound, [{ protocol: 'tcp', address: '127.0.0.1', port: 8080, count: 1, ipv4Only: false }]);
  const [request] = [...world.open.values()];
  assert.deepEqual(
    { ...request },
    {
      id: 1,
      protocol: 'tcp',
      sockets: { kind: 'descriptors', fds: [1000], index: [0] },
      guestAddress: 0,
      guestPort: 80,
      source: 'gateway',
      proxy: 'v1',
      waitMs: 2000,
      firstGuest: 0,
    },
  );
  assert.deepEqual(world.table.list(), [status]);
  assert.deepEqual(world.table.ownedBy('api'), [status]);
  assert.deepEqual(world.table.ownedBy('docker'), []);
  assert.deepEqual(world.changes, ['tcp:127.0.0.1:8080 listening']);
});

test('a forward without an address that gets another guest says so in the log and by an event', async () => {
  const world = new TableWorld();
  const { id } = await world.add('8080:80');
  const reaches = (guest: string): void => {
    world.table.changed([{ ...UP, id: world.number(id), guestAddress: at(guest) }]);
  };
  reaches('192.168.65.3');
  assert.deepEqual(world.lines, []);
  world.changes.length = 0;
  reaches('192.168.65.9');
  assert.match(
    world.lines.join('\n'),
    /^.*8080.* reaches another guest now: 192\.168\.65\.9, since 192\.168\.65\.3 is gone; .*$/,
  );
  assert.deepEqual(world.changes, [`${id} listening`]);
  assert.equal(world.table.get(id)?.reaches, at('192.168.65.9'));
});

test('a range is one forward and one request', async () => {
  const world = new TableWorld();
  const { id, descriptors } = await world.add('8000-8100:9000-9100/udp');
  assert.equal(id, 'udp:*:8000-8100');
  assert.equal(descriptors, 101);
  assert.equal(world.open.size, 1);
});

test('an equal forward is returned as it is, whoever asks, also while it is being opened', async () => {
  const world = new TableWorld();
  const [first, second] = await Promise.all([world.add('8080:80'), world.add('[::ffff:0.0.0.0]:9:9')]);
  assert.equal(second.id, 'tcp:0.0.0.0:9');
  const [again, same] = await Promise.all([world.add('8080:80', { owner: 'docker' }), world.add('[0::0]:7:7')]);
  assert.deepEqual(again, first);
  assert.equal(same.id, 'tcp:[::]:7');
  const twice = await Promise.all([world.add('1:1'), world.add('1:1')]);
  assert.deepEqual(twice[0], twice[1]);
  assert.equal(world.bound.length, 4);
});

test('a forward that our own is in the way of is refused, and names it', async () => {
  const world = new TableWorld();
  await world.add('8080:80');
  const cases = ['8080:81', '127.0.0.1:8080:80', '[::1]:8080:80', '8000-8100:8000-8100', '[::]:8080:80'];
  for (const text of cases) {
    const error = await refusal('ERR_FORWARD_EXISTS', world.add(text));
    assert.match(error.message, /conflicts with tcp:\*:8080 → the first guest:80 \(by api\)/);
    assert.equal(error.hint, 'Remove that first: slipway ports unexpose tcp:*:8080');
  }
  await refusal('ERR_FORWARD_EXISTS', world.add('8080:80', { source: 'gateway' }));
  await world.add('8080:80/udp');
  await world.add('8081:80');
});

test('families and addresses are held apart as the kernel holds them', async () => {
  const world = new TableWorld();
  for (const text of ['127.0.0.1:80:1', '127.0.0.2:80:2', '[::]:80:3', '0.0.0.0:81:4', '[::1]:81:5'])
    await world.add(text);
  await refusal('ERR_FORWARD_EXISTS', world.add('0.0.0.0:80:6'));
  await refusal('ERR_FORWARD_EXISTS', world.add('[::1]:80:6'));
  await refusal('ERR_FORWARD_EXISTS', world.add('80:6'));
  await world.add('[::]:82:7');
  await world.add('82:8', { ipv4Only: true });
});

test('a port that is in use is refused and leaves nothing behind', async () => {
  const world = new TableWorld();
  world.refused.set(8080, 'ERR_PORT_IN_USE');
  await refusal('ERR_PORT_IN_USE', world.add('8080:80'));
  assert.deepEqual([world.table.list(), world.alarms, world.changes], [[], [], []]);
  world.refused.clear();
  assert.equal((await world.add('8080:80')).state, 'listening');
});

test('what an engine says that binds by itself is told the same way', async () => {
  const world = new TableWorld();
  world.outcome = 'EADDRINUSE';
  const error = await refusal('ERR_PORT_IN_USE', world.add('8080:80'));
  assert.equal(error.message, '8080: EADDRINUSE');
  assert.deepEqual(world.table.list(), []);
});

test('an address that is not there yet is waited for, and is there when the network has changed', async () => {
  const world = new TableWorld();
  world.refused.set('10.8.0.1', 'ERR_PORT_ADDRESS');
  const { state, why, code, boundPort } = await world.add('10.8.0.1:80:80');
  assert.deepEqual(
    { state, why, code, boundPort },
    { state: 'waiting', why: '10.8.0.1:80 is refused', code: 'ERR_PORT_ADDRESS', boundPort: 0 },
  );
  assert.deepEqual(await world.pass(), [1000], 'a slow look for hosts that tell of no change');
  assert.equal(world.alarms.length, 1);
  world.refused.clear();
  world.table.networkChanged();
  await settled();
  assert.deepEqual(world.standing, ['tcp:10.8.0.1:80 listening']);
  assert.equal(world.alarms.length, 0);
  assert.deepEqual(world.changes, ['tcp:10.8.0.1:80 waiting', 'tcp:10.8.0.1:80 listening'], 'no change is no news');
});

test('a chosen port is chosen once, and two of them are two forwards', async () => {
  const world = new TableWorld();
  const [one, two] = [await world.add('80'), await world.add('80')];
  assert.deepEqual([one.id, two.id], ['tcp:*:40000', 'tcp:*:40001']);
  assert.deepEqual(one.spec.host, { kind: 'port', address: '', port: 40_000 });
  assert.deepEqual(await world.add('40000:80'), one, 'from then on it is a forward of that port');
  world.refused.set('10.8.0.1', 'ERR_PORT_ADDRESS');
  await refusal('ERR_PORT_ADDRESS', world.add('10.8.0.1::80'));
});

test('of a choice of ports the first free one is taken', async () => {
  const world = new TableWorld();
  world.refused.set(8000, 'ERR_PORT_IN_USE').set(8001, 'ERR_PORT_IN_USE');
  assert.equal((await world.add('8000-8003:80')).id, 'tcp:*:8002');
  world.refused.set(8002, 'ERR_PORT_IN_USE').set(8003, 'ERR_PORT_IN_USE');
  await refusal('ERR_PORT_IN_USE', world.add('8000-8003:81'));
  world.refused.set(8001, 'ERR_PORT_DENIED');
  await refusal('ERR_PORT_DENIED', world.add('8000-8003:81'));
});

test('what is kept is tried again, slower and slower, until it works', async () => {
  const world = new TableWorld();
  world.refused.set(8080, 'ERR_PORT_IN_USE');
  await world.table.start([spec('8080:80')], []);
  assert.deepEqual(world.standing, ['tcp:*:8080 failed ERR_PORT_IN_USE']);
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) waits.push(...(await world.pass()));
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal((await world.add('8080:80')).state, 'failed', 'who asks for it gets what there is');
  world.refused.clear();
  await world.pass();
  assert.deepEqual(world.changes, ['tcp:*:8080 failed', 'tcp:*:8080 listening']);
});

test('a guest that is down makes a forward wait, and listen when it is up', async () => {
  const world = new TableWorld();
  world.reach = { state: 'down', why: 'no guest is there' };
  const status = await world.add('8080:80');
  assert.deepEqual([status.state, status.why, status.boundPort], ['waiting', 'no guest is there', 8080]);
  const id = world.number('tcp:*:8080');
  world.table.changed([{ ...UP, id }]);
  assert.equal(world.table.get('tcp:*:8080')?.state, 'listening');
  world.table.changed([
    { ...UP, id, state: 'down', why: 'nobody listens at 192.168.65.3:80', guestListens: 'no' },
    { ...UP, id: 99 },
  ]);
  assert.equal(world.table.get('tcp:*:8080')?.why, 'nobody listens at 192.168.65.3:80');
  assert.deepEqual(world.changes, ['tcp:*:8080 waiting', 'tcp:*:8080 listening', 'tcp:*:8080 waiting']);
});

test('a forward that a new network thread cannot have is bound again', async () => {
  const world = new TableWorld();
  await world.add('8080:80');
  world.refused.set(8080, 'ERR_PORT_IN_USE');
  world.table.lost(world.number('tcp:*:8080'), 'EADDRINUSE');
  await settled();
  assert.deepEqual(world.standing, ['tcp:*:8080 failed ERR_PORT_IN_USE']);
  await world.pass();
  world.refused.clear();
  await world.pass();
  assert.deepEqual(world.standing, ['tcp:*:8080 listening']);
});

test('a removed forward is closed, its connections only if that is asked for', async () => {
  const world = new TableWorld();
  await world.add('8080:80');
  await world.add('8081:81');
  assert.equal(await world.table.close('tcp:*:8080'), true);
  assert.equal(await world.table.close('tcp:*:8081', { connections: true }), true);
  assert.equal(await world.table.close('tcp:*:8081'), false);
  assert.deepEqual(
    world.ended.map(({ connections }) => connections),
    [false, true],
  );
  assert.equal(world.open.size, 0);
  assert.deepEqual(world.changes.slice(2), ['tcp:*:8080 removed', 'tcp:*:8081 removed']);
  await world.add('8080:99');
});

test('a port that is just being closed is waited for by who wants it next', async () => {
  const world = new TableWorld();
  await world.add('8080:80');
  const ready = deferred();
  world.closeReady = ready.promise;
  // As long as it is bound, it is in use.
  world.refused.set(8080, 'ERR_PORT_IN_USE');
  const removing = world.table.close('tcp:*:8080');
  const adding = [world.add('127.0.0.1:8080:81'), world.add('127.0.0.1:8080:81')];
  assert.equal((await world.add('8081:80')).state, 'listening', 'others are not held up');
  world.refused.clear();
  ready.resolve();
  assert.equal(await removing, true);
  const [one, two] = await Promise.all(adding);
  assert.deepEqual([one, two?.state], [two, 'listening']);
});

test('one that is removed while it waits is tried no more', async () => {
  const world = new TableWorld();
  world.refused.set(8080, 'ERR_PORT_IN_USE');
  await world.table.start([spec('8080:80')], []);
  await world.table.close('tcp:*:8080');
  assert.deepEqual(world.alarms, []);
  assert.deepEqual(world.ended, []);
});

test('a socket is removed with its forward, and when the process ends', async () => {
  const world = new TableWorld();
  const { id, spec: wanted } = await world.table.open(socketSpec('/run/a.sock'));
  assert.equal(id, 'unix:/run/a.sock');
  assert.equal(wanted.protocol, 'unix');
  await world.table.open(socketSpec('/run/b.sock'));
  await refusal('ERR_FORWARD_EXISTS', world.table.open(socketSpec('/run/a.sock', { proxy: 'v2' })));
  await world.table.close(id);
  assert.deepEqual([...world.files], ['/run/b.sock']);
  await world.table.stop();
  assert.deepEqual([...world.files], []);
});

test('a socket whose file was removed is made again: within seconds by itself, at once for who exposes it', async () => {
  const world = new TableWorld();
  const { id } = await world.table.open(socketSpec('/run/a.sock'));
  assert.deepEqual(await world.pass(), [5_000], 'its file is looked at');
  world.files.clear();
  await world.pass();
  assert.deepEqual([[...world.files], world.table.get(id)?.state], [['/run/a.sock'], 'listening']);
  world.files.clear();
  assert.equal((await world.table.open(socketSpec('/run/a.sock'))).state, 'listening');
  assert.deepEqual([...world.files], ['/run/a.sock']);
  assert.deepEqual(
    world.ended.map(({ connections }) => connections),
    [false, false],
    'those who are connected stay',
  );
  assert.equal(world.open.size, 1);
  // Another program's file is left alone, and the forward says so.
  world.files.clear();
  world.refused.set('/run/a.sock', 'ERR_PORT_IN_USE');
  await world.pass();
  assert.deepEqual(world.standing, ['unix:/run/a.sock failed ERR_PORT_IN_USE']);
  await world.table.close(id);
  assert.deepEqual(world.alarms, []);
});

test('a socket behind an sshd needs no network thread', async () => {
  const world = new TableWorld();
  const guest = { kind: 'ssh', address: undefined, port: 22, user: 'core', path: '/run/x', keyFile: '/key' } as const;
  const { id, connections } = await world.table.open(socketSpec('/run/ssh.sock', { guest }));
  assert.equal(connections, 7);
  assert.equal(world.open.size, 0);
  await world.table.close(id, { connections: true });
  assert.deepEqual(world.ended, [{ id: -1, connections: true }]);
  assert.deepEqual([...world.files], []);
});

test('a socket whose forward is still starting is removed when the process ends, and its relay when it comes', async () => {
  const world = new TableWorld();
  const ready = deferred<void>();
  world.sshReady = ready.promise;
  const guest = { kind: 'ssh', address: undefined, port: 22, user: 'core', path: '/run/x', keyFile: '/key' } as const;
  const adding = world.table.open(socketSpec('/run/ssh.sock', { guest }));
  await settled();
  assert.deepEqual([...world.files], ['/run/ssh.sock']);
  world.table.abort();
  assert.deepEqual([...world.files], []);
  ready.resolve();
  await adding;
  await settled();
  assert.deepEqual(world.ended, [{ id: -1, connections: true }]);
});

test('connections are counted by the network', async () => {
  const world = new TableWorld();
  await world.add('8080:80');
  await world.table.refresh();
  assert.equal(world.table.get('tcp:*:8080')?.connections, 10);
});

test('nobody hears of changes who does not want to any more', async () => {
  const world = new TableWorld();
  const heard: string[] = [];
  const end = world.table.onChange(({ id }) => heard.push(id));
  await world.add('1:1');
  end();
  await world.add('2:2');
  assert.deepEqual(heard, ['tcp:*:1']);
});

test('what cannot be is refused before anything is bound', async () => {
  const world = new TableWorld();
  const guest = { kind: 'ssh', address: undefined, port: 22, user: 'u', path: '/x', keyFile: '/k' } as const;
  const cases = [
    spec('80:80', { host: { kind: 'port', address: 'localhost', port: 80 } }),
    spec('80:80', { host: { kind: 'port', address: '', port: 65_536 } }),
    spec('80:80', { count: 0 }),
    spec('65535:80', { count: 2 }),
    spec('80:65535', { count: 2 }),
    spec('0:80', { count: 2 }),
    spec('80:80', { waitSeconds: -1 }),
    spec('80:80', { waitSeconds: 1.5 }),
    spec('80:80/udp', { proxy: 'v1' }),
    spec('80:80', { protocol: 'unix' }),
    spec('80:80', { guest }),
    spec('80:80', { guest: { kind: 'port', address: at('10.0.0.1'), port: 80 } }),
    spec('80:80', { guest: { kind: 'port', address: at('192.168.65.1'), port: 80 } }),
    spec('80:80', { guest: { kind: 'port', address: undefined, port: 0 } }),
    socketSpec('run/a.sock'),
    socketSpec(`/run/${'a'.repeat(120)}`),
    socketSpec('/run/a.sock', { count: 2 }),
    socketSpec('/run/a.sock', { protocol: 'tcp' }),
    socketSpec('/run/a.sock', { guest: { ...guest, passphrase: 'x' }, persistent: true }),
    socketSpec('/run/a.sock', { guest: { ...guest, keyFile: 'id' } }),
  ];
  for (const wanted of cases) {
    const error = await refusal('ERR_FORWARD_INVALID', world.table.open(wanted));
    assert.match(error.message, /^cannot forward (tcp|udp|unix):/);
    assert.notEqual(error.hint, '');
  }
  assert.deepEqual(world.bound, []);
});
