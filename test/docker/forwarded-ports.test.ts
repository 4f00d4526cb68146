import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Binding } from '../../src/docker/ports/binding.ts';
import { ForwardedPorts } from '../../src/docker/ports/forwarded-ports.ts';
import { at, TableWorld } from '../services/forward/table-world.ts';

const binding = (hostIp: string, port: number): Binding => {
  return { protocol: 'tcp', containerPort: 80, hostIp, hostPort: port, enginePort: port };
};

test('published ports are forwards to the engine’s guest, at the address that the setting says', async () => {
  const { table } = new TableWorld();
  const ports = new ForwardedPorts(table, { guest: at('192.168.65.9'), bind: 'local-only' });
  const bindings = [binding('', 8080), binding('0.0.0.0', 8081), binding('192.0.2.7', 8082)];
  for (const one of bindings) await ports.publish(one);
  assert.deepEqual(
    table.list().map(({ spec }) => [spec.host, spec.guest]),
    [
      ['127.0.0.1', 8080],
      ['127.0.0.1', 8081],
      ['192.0.2.7', 8082],
    ].map(([address, port]) => [
      { kind: 'port', address, port },
      { kind: 'port', address: at('192.168.65.9'), port },
    ]),
  );
  for (const one of bindings) await ports.withdraw(one);
  assert.deepEqual(table.list(), []);
});

test('a port that somebody closed by hand is withdrawn without a word', async () => {
  const { table } = new TableWorld();
  const ports = new ForwardedPorts(table, { guest: undefined, bind: 'all' });
  await ports.publish(binding('', 8080));
  await table.close(table.list()[0]!.id);
  await ports.withdraw(binding('', 8080));
});
