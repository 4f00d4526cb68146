import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createNamespace, nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { expose, forwardsOf, httpServer, isListening, isWaiting, publishing, unexpose } from '../support/published.ts';
import { canRunGuests } from '../support/slipway.ts';
import { dialled, drained, listen, start, udp } from '../support/sockets.ts';

/** A user of its own for Slipway, without any right. */
const NOBODY = 65_534;
const ORDINARY = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

async function refusal(publishing: Promise<unknown>): Promise<Refusal> {
  return await publishing.then(
    () => assert.fail('it was published'),
    (error: Refusal) => error,
  );
}

/** All ports of the namespace are free again for whoever wants them. */
async function isFree(t: TestContext, namespace: TestNamespace, port: number, host: string): Promise<void> {
  const { server } = await listen(t, namespace, { port, host });
  await new Promise((resolve) => server.close(resolve));
}

test('a port that is held is refused, with who holds it and which is free', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t, { guest: false });
  const held = `held by node (pid ${process.pid}, user root)`;

  await t.test('by a server at every address', async (t) => {
    await listen(t, home, { port: 8080 });
    const { code, message, hint } = await refusal(expose(slipway, '8080:80'));
    assert.equal(code, 'ERR_PORT_IN_USE');
    assert.equal(message, `listen tcp 0.0.0.0:8080: bind: address already in use: ${held}; next free port 8081`);
    assert.match(hint, /^Stop what holds it/);
    assert.equal((await forwardsOf(slipway)).length, 0, 'nothing is left of it');
    assert.equal((await expose(slipway, '[::1]:8080:80')).boundPort, 8080, 'its other family is free');
  });

  await t.test('by a server at [::] alone: nothing of the pair stays bound', async (t) => {
    await listen(t, home, { port: 8181, host: '::', ipv6Only: true });
    const { code, message } = await refusal(expose(slipway, '8181:80'));
    assert.equal(code, 'ERR_PORT_IN_USE');
    assert.equal(message, `listen tcp [::]:8181: bind: address already in use: ${held}; next free port 8182`);
    await isFree(t, home, 8181, '0.0.0.0');
  });

  await t.test('by a socket of UDP', async (t) => {
    await udp(t, home, '127.0.0.1', 5353);
    const { code, message } = await refusal(expose(slipway, '5353:53/udp'));
    assert.equal(code, 'ERR_PORT_IN_USE');
    assert.equal(message, `listen udp 0.0.0.0:5353: bind: address already in use: ${held}; next free port 5354`);
    assert.equal((await expose(slipway, '5353:53')).boundPort, 5353, 'TCP has ports of its own');
  });

  await t.test('one in the midst of a range: none of the range stays bound', async (t) => {
    await listen(t, home, { port: 9050 });
    const { code, message } = await refusal(expose(slipway, '9000-9099:9000-9099'));
    assert.equal(code, 'ERR_PORT_IN_USE');
    assert.match(
      message,
      /^listen tcp 0\.0\.0\.0:9050: bind: address already in use: held by node .*; next free range 9051-9150$/,
    );
    await isFree(t, home, 9000, '0.0.0.0');
    await isFree(t, home, 9049, '::');
  });

  await t.test('by a forward of our own: equal is the same, another target is told of it', async () => {
    const first = await expose(slipway, '7000:80');
    assert.deepEqual(await expose(slipway, '7000:80', { owner: 'cli' }), first);
    for (const other of ['7000:81', '127.0.0.1:7000:80', '6990-7010:6990-7010']) {
      const { code, message, hint } = await refusal(expose(slipway, other));
      assert.equal(code, 'ERR_FORWARD_EXISTS');
      assert.match(message, /tcp:\*:7000 → the first guest:80 \(by api\)/);
      assert.match(hint, /slipway ports unexpose tcp:\*:7000/);
    }
  });

  await t.test('by a server that ends: then it is published', async () => {
    const after: (() => void)[] = [];
    const { server } = await listen({ after: (hook) => void after.push(hook as () => void) }, home, { port: 7100 });
    assert.equal((await refusal(expose(slipway, '7100:80'))).code, 'ERR_PORT_IN_USE');
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await expose(slipway, '7100:80')).boundPort, 7100);
  });
});

test('an ordinary user is told of his own process, and of another’s only whose it is', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv', 'nc')) return;
  const home = createNamespace(t, 'home');
  const nobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, ...ORDINARY];
  const enter = ['nsenter', `--net=${home.path}`, '--', ...nobody];
  const { slipway } = await publishing(t, { namespace: home, enter, guest: false });

  await t.test('his own', async (t) => {
    const server = start(t, home, ...nobody, 'nc', '-v', '-l', '127.0.0.1', '8080');
    await new Promise((resolve) => server.stderr!.once('data', resolve));
    const { message } = await refusal(expose(slipway, '8080:80'));
    assert.equal(
      message,
      `listen tcp 0.0.0.0:8080: bind: address already in use: held by nc.openbsd (pid ${server.pid}, user nobody); next free port 8081`,
    );
  });

  await t.test('another’s', async (t) => {
    await listen(t, home, { port: 8090 });
    const { message } = await refusal(expose(slipway, '8090:80'));
    assert.equal(
      message,
      'listen tcp 0.0.0.0:8090: bind: address already in use: held by another user’s process (user root; only root sees which); next free port 8091'.replace(
        '’',
        "'",
      ),
    );
  });

  await t.test('a port that is privileged', async () => {
    const { code, message, hint } = await refusal(expose(slipway, '80:80'));
    assert.equal(code, 'ERR_PORT_DENIED');
    assert.match(message, /^listen tcp 0\.0\.0\.0:80: bind: permission denied/);
    assert.match(hint, /slipway helper install --yes --allow-user nobody/);
  });
});

test('while its guest refuses, a forward keeps its port from others and its clients are refused', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  const forward = await expose(slipway, '8080:80');
  await isWaiting(slipway, forward, /^nobody listens at port 80 of the guest$/);
  for (const host of ['0.0.0.0', '127.0.0.1', '::']) {
    await assert.rejects(listen(t, home, { port: 8080, host }), { code: 'EADDRINUSE' });
  }
  for (const host of ['127.0.0.1', '::1']) {
    await assert.rejects(dialled(t, home, 8080, host), { code: 'ECONNREFUSED' });
  }
  await httpServer(t, slipway.guest, 80, 'now');
  await isListening(slipway, forward);
  await assert.rejects(listen(t, home, { port: 8080 }), { code: 'EADDRINUSE' });
  assert.match(await said(t, home, 8080), /now 192\.168\.65\.254$/);

  await t.test('and gives it free when it is removed', async (t) => {
    assert.equal(await unexpose(slipway, forward.id), true);
    assert.equal(await unexpose(slipway, forward.id), false);
    await isFree(t, home, 8080, '0.0.0.0');
    await isFree(t, home, 8080, '::');
  });
});

test('an address of the host that comes later is waited for, and one that goes is waited for again', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t)) return;
  const { home, slipway } = await publishing(t);
  await httpServer(t, slipway.guest, 80, 'hello');
  const tcp = await expose(slipway, '10.9.0.1:8080:80');
  const datagrams = await expose(slipway, '10.9.0.1:8080:80/udp');
  for (const { state, code, why } of [tcp, datagrams]) {
    assert.deepEqual([state, code], ['waiting', 'ERR_PORT_ADDRESS']);
    assert.match(why, /10\.9\.0\.1:8080: bind: cannot assign requested address/);
  }
  for (const _ of ['it comes', 'it comes again']) {
    nsExec(home, 'ip', 'address', 'add', '10.9.0.1/24', 'dev', 'lo');
    await isListening(slipway, tcp);
    await isListening(slipway, datagrams);
    assert.match(await said(t, home, 8080, '10.9.0.1'), /hello/);
    nsExec(home, 'ip', 'address', 'del', '10.9.0.1/24', 'dev', 'lo');
  }
});

async function said(t: TestContext, namespace: TestNamespace, port: number, host = '127.0.0.1'): Promise<string> {
  const client = await dialled(t, namespace, port, host);
  client.end('GET / HTTP/1.0\r\n\r\n');
  return String((await drained(client)).bytes);
}
