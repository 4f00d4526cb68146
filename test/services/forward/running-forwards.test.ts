import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConfigInput, resolveConfig } from '../../../src/config/config.ts';
import type { ForwardStatus } from '../../../src/config/forward.ts';
import { type RunningNetwork, startNetwork } from '../../../src/control/start-network.ts';
import { describeMessage } from '../../../src/services/dns/described-message.ts';
import { DNS_TYPE_A } from '../../../src/wire/dns-message.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { at, refusal, socketSpec, spec } from './table-world.ts';

const ENGINES = process.platform === 'linux' ? (['epoll', 'node'] as const) : (['node'] as const);

interface Running extends RunningNetwork {
  readonly lines: string[];
}

async function running(t: TestContext, input: ConfigInput): Promise<Running> {
  const lines: string[] = [];
  const note = (message: string): void => void lines.push(message);
  const config = resolveConfig({ helper: 'none', ...input });
  const network = await startNetwork(config, { info: note, warn: note, error: note }, assert.fail);
  t.after(() => network.stop());
  return { ...network, lines };
}

async function listening(t: TestContext, host: string, port = 0): Promise<Server> {
  const server = createServer();
  server.listen({ host, port, exclusive: true });
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** 'connected', or the errno's name. */
async function attempt(t: TestContext, port: number, host = '127.0.0.1'): Promise<string> {
  const client = connect(port, host);
  t.after(() => client.destroy());
  return outcome(client);
}

function outcome(client: Socket): Promise<string> {
  return new Promise((resolve) => {
    client.once('connect', () => resolve('connected'));
    client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
  });
}

/** The next change of the forward to `state`. */
function change({ forwards }: RunningNetwork, state: string): Promise<ForwardStatus> {
  return new Promise((resolve) => {
    const end = forwards.onChange((status) => {
      if (status.state !== state) return;
      end();
      resolve(status);
    });
  });
}

/** 0 where the system does not tell. */
function openDescriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

for (const engine of ENGINES) {
  test(`a port that another program holds is refused with its owner (${engine})`, async (t) => {
    const { forwards } = await running(t, { engine });
    const port = portOf(await listening(t, '127.0.0.1'));
    for (const text of [`${port}:80`, `127.0.0.1:${port}:80`, `0.0.0.0:${port}:80`]) {
      const error = await refusal('ERR_PORT_IN_USE', forwards.open(spec(text)));
      if (process.platform === 'linux') assert.match(error.message, new RegExp(`pid ${process.pid}`));
    }
    assert.deepEqual(forwards.list(), []);
  });

  test(`one whose guest is not there is bound, not listening, and nobody else gets the port (${engine})`, async (t) => {
    const { forwards } = await running(t, { engine });
    const { boundPort, state, why } = await forwards.open(spec('127.0.0.1::80'));
    assert.deepEqual([state, why], ['waiting', 'no guest is there']);
    // The portable engine cannot refuse: it accepts and resets, sooner or later than the client looks.
    const ends = engine === 'epoll' ? ['ECONNREFUSED'] : ['connected', 'ECONNRESET'];
    assert.ok(ends.includes(await attempt(t, boundPort)));
    await assert.rejects(listening(t, '127.0.0.1', boundPort), { code: 'EADDRINUSE' });
    await forwards.close(`tcp:127.0.0.1:${boundPort}`);
    await listening(t, '127.0.0.1', boundPort);
  });

  test(`a forward of the configuration waits for its port and takes it (${engine})`, async (t) => {
    const server = await listening(t, '127.0.0.1');
    const port = portOf(server);
    const guest = { kind: 'port', address: undefined, port: 80 } as const;
    const network = await running(t, { engine, forwards: [spec(`127.0.0.1:${port}:80`, { guest, owner: 'config' })] });
    const [failed] = network.forwards.list();
    assert.deepEqual([failed?.state, failed?.code], ['failed', 'ERR_PORT_IN_USE']);
    assert.match(
      network.lines.join('\n'),
      new RegExp(`the forward tcp:127.0.0.1:${port} is failed: listen tcp .*in use`),
    );
    const bound = change(network, 'waiting');
    server.close();
    assert.equal((await bound).boundPort, port);
  });

  test(`after the death of a network thread its forwards take clients again (${engine})`, async (t) => {
    const network = await running(t, { engine });
    const { boundPort } = await network.forwards.open(spec('127.0.0.1::80', { waitSeconds: 60 }));
    const wanted = socketSpec(path.join(temporaryFolder('forwards'), 'web.sock'), { waitSeconds: 60 });
    await network.forwards.open(wanted);
    assert.equal(await attempt(t, boundPort), 'connected');
    network.control.fault('throw');
    await network.control.ask('status').catch(() => {});
    await network.forwards.refresh();
    assert.equal(await attempt(t, boundPort), 'connected');
    if (wanted.host.kind === 'unix') {
      const client = connect(wanted.host.path);
      t.after(() => client.destroy());
      assert.equal(await outcome(client), 'connected');
    }
    assert.equal(network.forwards.list().length, 2);
  });

  test(`what is asked while a thread dies in the middle of a recovery waits for the next one (${engine})`, async (t) => {
    const network = await running(t, { engine });
    const { id } = await network.forwards.open(spec('127.0.0.1::80', { waitSeconds: 60 }));
    network.control.fault('throw');
    await network.control.ask('status').catch(() => {});
    network.control.fault('throw');
    const [added, removed] = await Promise.all([
      network.forwards.open(spec('127.0.0.1::81', { waitSeconds: 60 })),
      network.forwards.close(id),
    ]);
    assert.equal(removed, true);
    assert.deepEqual([added.code, await attempt(t, added.boundPort)], ['', 'connected']);
    assert.equal(network.lines.filter((line) => line.includes('network thread died')).length, 2);
    assert.deepEqual((await network.control.forwards.list()).length, 1);
  });

  test(`a socket is this user's alone and gone with the network (${engine})`, async (t) => {
    const file = path.join(temporaryFolder('forwards'), 'web.sock');
    const network = await running(t, { engine });
    await network.forwards.open(socketSpec(file, { waitSeconds: 60 }));
    const client = connect(file);
    t.after(() => client.destroy());
    assert.equal(await outcome(client), 'connected');
    assert.equal(statSync(file).mode & 0o077, 0);
    await refusal('ERR_FORWARD_EXISTS', network.forwards.open(socketSpec(file)));
    const other = await running(t, { engine });
    await assert.rejects(other.forwards.open(socketSpec(file)), { code: /^ERR_(PORT|LISTEN)_IN_USE$/ });
    await network.stop();
    assert.equal(existsSync(file), false);
  });

  test(`a stream to a guest that is not there is refused and leaves no descriptor (${engine})`, {
    timeout: 30_000,
  }, async (t) => {
    const { control } = await running(t, { engine });
    await refusal('ERR_GUEST_UNREACHABLE', control.guests.dial(0, 80));
    const before = openDescriptors();
    for (let i = 0; i < 5; i++) await refusal('ERR_GUEST_UNREACHABLE', control.guests.dial(0, 80));
    // The network thread closes at the end of its turn; the test's own time limit makes a leak fail.
    while (openDescriptors() > before) await delay(5);
    assert.deepEqual(await control.ask('flows', { limit: 10 }), []);
    const flow = { guestAddress: at('192.168.65.3'), guestPort: 1, remoteAddress: at('192.168.65.254'), remotePort: 1 };
    assert.equal(await control.ask('killFlow', flow), false);
  });

  test(`persistent forwards come back with the state folder (${engine})`, async (t) => {
    const state = temporaryFolder('forwards');
    const first = await running(t, { engine, state });
    const { id } = await first.forwards.open(spec('127.0.0.1::80', { persistent: true }));
    await first.stop();
    const second = await running(t, { engine, state });
    assert.equal(second.forwards.get(id)?.state, 'waiting');
    assert.deepEqual(second.lines, []);
  });
}

test('a virtual address has its name while the service is there', async (t) => {
  const { dns, forwards } = await running(t, { engine: 'node' });
  const lookup = async (name: string): Promise<readonly string[]> =>
    describeMessage(await dns.lookup({ name, type: DNS_TYPE_A, server: 'internal' })).answer.map(({ data }) => data);
  for (const name of ['db.docker.internal', 'db.corp.example']) {
    const target = { kind: 'port', address: at('127.0.0.1'), port: 0 } as const;
    const service = { protocol: 'tcp', address: at('192.168.65.10'), port: 0, name, target } as const;
    await forwards.addService(service);
    assert.deepEqual(await lookup(name), ['192.168.65.10']);
    await forwards.removeService(service);
    assert.deepEqual(await lookup(name), []);
  }
  assert.equal(
    dns.zones.list().some(({ name }) => name.endsWith('example')),
    false,
  );
});

test('8,192 ports are one forward, open well within a second or refused before the first is bound', async (t) => {
  if (process.platform !== 'linux') return t.skip('the portable engine opens them one by one');
  const { forwards, descriptors } = await running(t, { engine: 'epoll' });
  const before = readdirSync('/proc/self/fd').length;
  const wanted = spec('127.0.0.1:20000-28191:20000-28191');
  if (descriptors < 10_000) {
    const error = await refusal('ERR_PORT_LIMIT', forwards.open(wanted));
    assert.match(error.message, /8192 ports take 8192 descriptors/);
    assert.equal(readdirSync('/proc/self/fd').length, before);
    return;
  }
  const added = await forwards.open(wanted).catch((error: { readonly code: string }) => error.code);
  // Some program of the computer may hold one of so many ports.
  if (typeof added === 'string') assert.equal(added, 'ERR_PORT_IN_USE');
  else assert.equal(added.descriptors, 8192);
});
