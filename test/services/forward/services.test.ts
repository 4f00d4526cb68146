import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceForward } from '../../../src/config/forward.ts';
import { at, refusal, TableWorld } from './table-world.ts';

const DATABASE: ServiceForward = {
  protocol: 'tcp',
  address: at('192.168.65.10'),
  port: 5432,
  name: 'db.docker.internal',
  target: { kind: 'port', address: at('127.0.0.1'), port: 5432 },
};

test('services are in the network and their names in the DNS', async () => {
  const world = new TableWorld();
  const { table } = world;
  await table.addService(DATABASE);
  await table.addService({ ...DATABASE });
  await table.addService({ ...DATABASE, port: 80, target: { kind: 'unix', path: '/run/x' } });
  assert.deepEqual(
    table.services().map(({ port }) => port),
    [80, 5432],
  );
  assert.deepEqual(world.inNetwork.length, 2);
  assert.equal(world.names.get('db.docker.internal'), at('192.168.65.10'));
  assert.equal(await table.removeService(DATABASE), true);
  assert.equal(world.names.size, 1, 'another service of the address has the name');
  assert.equal(await table.removeService({ ...DATABASE, port: 80 }), true);
  assert.equal(await table.removeService(DATABASE), false);
  assert.equal(world.names.size, 0);
  assert.deepEqual(world.inNetwork, []);
});

test('one port leads to one target', async () => {
  const world = new TableWorld();
  await world.table.addService(DATABASE);
  const other = { ...DATABASE, target: { kind: 'port', address: at('127.0.0.1'), port: 1 } } as const;
  const error = await refusal('ERR_FORWARD_EXISTS', world.table.addService(other));
  assert.equal(error.message, 'tcp 192.168.65.10:5432 leads to 127.0.0.1:5432 already');
  await world.table.addService({ ...other, protocol: 'udp' });
});

test('an address that a guest has is refused; one that is a service’s already is not asked for again', async () => {
  const world = new TableWorld();
  world.guestAddresses.add(DATABASE.address);
  const error = await refusal('ERR_FORWARD_EXISTS', world.table.addService(DATABASE));
  assert.equal(error.message, 'no service can be at tcp 192.168.65.10:5432: a guest has the address');
  assert.deepEqual([world.inNetwork, world.names.size], [[], 0]);
  world.guestAddresses.clear();
  await world.table.addService(DATABASE);
  world.guestAddresses.add(DATABASE.address);
  await world.table.addService({ ...DATABASE, port: 80 });
  assert.equal(world.inNetwork.length, 2);
});

test('what fails is in neither', async () => {
  const world = new TableWorld();
  await refusal('ERR_DNS_ZONE', world.table.addService({ ...DATABASE, name: 'no.name' }));
  assert.deepEqual(world.inNetwork, []);
  world.outcome = 'EIO';
  await refusal('ERR_NETWORK_THREAD', world.table.addService(DATABASE));
  assert.deepEqual([world.names.size, world.table.services()], [0, []]);
});

test('a service that cannot be is refused', async () => {
  const world = new TableWorld();
  const local = at('127.0.0.1');
  const cases: Partial<ServiceForward>[] = [
    { address: at('10.0.0.1') },
    { address: at('192.168.65.254') },
    { port: -1 },
    { port: 70_000 },
    { port: 0 },
    { target: { kind: 'port', address: local, port: 70_000 } },
    { target: { kind: 'unix', path: 'x' } },
    { target: { kind: 'unix', path: '/x' }, protocol: 'udp' },
    { target: { kind: 'unix', path: '/x' }, port: 0 },
  ];
  for (const one of cases) await refusal('ERR_FORWARD_INVALID', world.table.addService({ ...DATABASE, ...one }));
  await world.table.addService({ ...DATABASE, port: 0, target: { kind: 'port', address: local, port: 0 } });
});

test('a name means one address, and no service takes one of Slipway’s own', async () => {
  const world = new TableWorld();
  await world.table.addService(DATABASE);
  const elsewhere = { ...DATABASE, address: at('192.168.65.11') };
  const error = await refusal('ERR_FORWARD_EXISTS', world.table.addService(elsewhere));
  assert.match(error.message, /db\.docker\.internal is the name of 192\.168\.65\.10 already/);
  for (const name of ['host.docker.internal', 'web.vm.docker.internal']) {
    await refusal('ERR_FORWARD_INVALID', world.table.addService({ ...elsewhere, name }));
  }
  assert.equal(world.inNetwork.length, 1);
  assert.deepEqual([...world.names], [['db.docker.internal', at('192.168.65.10')]]);
  await world.table.removeService(DATABASE);
  await world.table.addService(elsewhere);
});
