import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Binding, bindingKey } from '../../src/docker/ports/binding.ts';
import type { InspectedContainer } from '../../src/docker/ports/inspected.ts';
import { type HostPorts, PortKeeper, PortRefusal } from '../../src/docker/ports/port-keeper.ts';

/** The host's ports in memory; those in `taken` are somebody else's. */
class FakePorts implements HostPorts {
  readonly bound = new Set<string>();
  readonly taken = new Set<number>();

  async publish(binding: Binding): Promise<void> {
    if (this.taken.has(binding.hostPort)) throw new PortRefusal(binding, 'somebody holds it');
    await this.insist(binding);
  }

  async insist(binding: Binding): Promise<void> {
    assert.ok(!this.bound.has(bindingKey(binding)), `${bindingKey(binding)} is bound twice`);
    this.bound.add(bindingKey(binding));
  }

  async withdraw(binding: Binding): Promise<void> {
    assert.ok(this.bound.delete(bindingKey(binding)), `${bindingKey(binding)} is not bound`);
  }
}

function container(
  id: string,
  hostPorts: readonly number[],
  state: Partial<InspectedContainer> = {},
): InspectedContainer {
  const bindings = hostPorts.map((port): Binding => {
    return { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: port, enginePort: port };
  });
  const published = state.running === false ? [] : bindings;
  return { id, name: id, running: true, restarting: false, autoRemove: false, wanted: bindings, published, ...state };
}

const STOPPED = { running: false };

test('ports are bound before the start, stay while it runs, and are given back when it has ended', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  assert.deepEqual(await keeper.claim(container('web', [80, 81], STOPPED)), []);
  assert.deepEqual([...ports.bound], ['tcp  80', 'tcp  81']);
  await keeper.settle(container('web', [80, 81]));
  assert.equal(ports.bound.size, 2);
  await keeper.settle(container('web', [80, 81], STOPPED));
  assert.equal(ports.bound.size, 0);
  assert.deepEqual(keeper.containers, []);
});

test('one port that is taken gives all of the others back', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  ports.taken.add(81);
  await assert.rejects(keeper.claim(container('web', [80, 81, 82], STOPPED)), PortRefusal);
  assert.equal(ports.bound.size, 0);
  ports.taken.clear();
  assert.deepEqual(await keeper.claim(container('web', [80, 81, 82], STOPPED)), []);
});

test('a port of another container is named, not taken, and comes over when that one has ended', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  await keeper.settle(container('old', [80]));
  assert.deepEqual(await keeper.claim(container('new', [80], STOPPED)), ['old']);
  await keeper.settle(container('new', [80]));
  assert.deepEqual(keeper.containers, ['old']);
  await keeper.settle(container('old', [80], STOPPED));
  await keeper.settle(container('other', []));
  assert.deepEqual(keeper.containers, ['new']);
  assert.equal(ports.bound.size, 1);
});

test('a container that is going to run again keeps its ports; one that the engine forgot gives them back', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  await keeper.settle(container('web', [80]));
  await keeper.settle(container('web', [80], { running: false, restarting: true }));
  assert.equal(ports.bound.size, 1);
  await keeper.forget('web');
  assert.equal(ports.bound.size, 0);
});

test('ports that move while it runs are exchanged', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  await keeper.settle(container('web', [4001]));
  await keeper.settle(container('web', [4002]));
  assert.deepEqual([...ports.bound], ['tcp  4002']);
});

test('what is asked for one container at the same time happens in its order', async () => {
  const ports = new FakePorts();
  const keeper = new PortKeeper(ports);
  await Promise.all([
    keeper.claim(container('web', [80], STOPPED)),
    keeper.settle(container('web', [80])),
    keeper.settle(container('web', [80], STOPPED)),
    keeper.claim(container('web', [80], STOPPED)),
    keeper.forget('web'),
  ]);
  assert.equal(ports.bound.size, 0);
});
