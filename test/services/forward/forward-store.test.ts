import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ForwardStore } from '../../../src/services/forward/forward-store.ts';
import { formatForwards, parseForwards } from '../../../src/services/forward/forward-text.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { at, GUESTS, refusal, socketSpec, spec, TableWorld } from './table-world.ts';

const { subnet } = GUESTS;

interface Daemon {
  readonly world: TableWorld;
  readonly lines: string[];
  stop(): Promise<void>;
}

function daemon(t: TestContext, folder: string): Daemon {
  const lines: string[] = [];
  const note = (message: string): void => void lines.push(message);
  const store = new ForwardStore({ folder, subnet, log: { info: note, warn: note } });
  const world = new TableWorld(store);
  t.after(() => world.table.stop());
  return { world, lines, stop: () => world.table.stop() };
}

test('persistent forwards come back as they were, and others do not', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  const guest = {
    kind: 'ssh',
    address: at('192.168.65.7'),
    port: 22,
    user: 'core',
    path: '/x',
    keyFile: '/k',
  } as const;
  await first.world.add('127.0.0.1:8000-8010:80-90', { persistent: true, owner: 'docker', waitSeconds: 9 });
  await first.world.add('53:53/udp', { persistent: true, source: 'gateway' });
  await first.world.add('80', { persistent: true });
  await first.world.add('9:9');
  await first.world.table.add(socketSpec('/run/a.sock', { persistent: true, guest }));
  const listed = first.world.table.list().filter(({ spec: { persistent } }) => persistent);
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  assert.deepEqual(
    second.world.table.list().map(({ spec: wanted }) => wanted),
    listed.map(({ spec: wanted }) => wanted),
  );
  assert.ok(second.world.table.get('tcp:*:40000'), 'a chosen port is the same one');
  await second.world.table.remove('tcp:*:40000');
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.equal(third.world.table.list().length, 3);
  assert.deepEqual([...first.lines, ...second.lines, ...third.lines], []);
  const file = path.join(folder, 'forwards-192.168.65.0-24.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /"address": "192.168.65.7"/);
});

test('one whose port is taken when the daemon comes back is tried again and stays kept', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  await first.world.add('8080:80', { persistent: true });
  await first.stop();
  const second = daemon(t, folder);
  second.world.refused.set(8080, 'ERR_PORT_IN_USE');
  await second.world.table.start([], []);
  assert.deepEqual(second.world.lines, ['the forward tcp:*:8080 is failed: :8080 is refused']);
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.deepEqual(third.world.standing, ['tcp:*:8080 listening']);
});

test('the configuration goes before what was kept, and what stands in the way is logged', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  await first.world.add('8080:80', { persistent: true });
  await first.world.add('8081:81', { persistent: true });
  await first.stop();
  const second = daemon(t, folder);
  const service = {
    protocol: 'tcp',
    address: at('10.0.0.1'),
    port: 1,
    name: '',
    target: { kind: 'unix', path: '/x' },
  } as const;
  await second.world.table.start(
    [spec('8080:90', { owner: 'config' }), spec('8081:81', { owner: 'config' })],
    [service],
  );
  assert.deepEqual(second.world.standing, ['tcp:*:8080 listening', 'tcp:*:8081 listening']);
  assert.equal(second.world.table.ownedBy('config').length, 2);
  assert.match(second.world.lines[0]!, /no service can be at tcp 10.0.0.1:1/);
  assert.equal(
    second.world.lines[1],
    'the forward tcp:*:8080 → the first guest:80, kept by an earlier process, is left out beside tcp:*:8080 → the first guest:90',
  );
  assert.equal(second.world.lines.length, 2);
});

test('what is about to be published goes before what was kept, which is still kept for a start without it', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  await first.world.add('8080:80', { persistent: true });
  await first.world.add('8081:81', { persistent: true });
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([], [], [spec('[::ffff:127.0.0.1]:8080:90'), spec('8081:81'), spec('8000-9000:7')]);
  assert.deepEqual(second.world.standing, ['tcp:*:8081 listening']);
  assert.match(second.world.lines[0]!, /^the forward tcp:\*:8080 → the first guest:80, kept by an earlier process/);
  assert.equal((await second.world.add('127.0.0.1:8080:90')).state, 'listening');
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], [], [spec('8080:90')]);
  await third.world.add('8080:90');
  await third.world.table.remove('tcp:*:8080');
  await third.stop();
  const fourth = daemon(t, folder);
  await fourth.world.table.start([], []);
  assert.deepEqual(fourth.world.standing, ['tcp:*:8081 listening'], 'who removes the port means the kept one, too');
});

test('a forward that stands is kept from when that is asked for, and one of the configuration stays kept', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  await first.world.add('8080:80');
  assert.equal((await first.world.add('8080:80', { persistent: true })).spec.persistent, true);
  assert.equal((await first.world.add('8080:80')).spec.persistent, true, 'nobody asked to forget it');
  assert.deepEqual(first.world.changes, ['tcp:*:8080 listening', 'tcp:*:8080 listening']);
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([spec('8080:80', { owner: 'config' })], []);
  assert.equal(second.world.table.get('tcp:*:8080')?.spec.persistent, true);
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.deepEqual(third.world.standing, ['tcp:*:8080 listening']);
});

test('a forward that cannot be kept is refused as a persistent one, and one that stands stays as it was', async (t) => {
  const folder = path.join(temporaryFolder('forwards'), 'state');
  writeFileSync(folder, 'a file stands here');
  const { world } = daemon(t, folder);
  const error = await refusal('ERR_FORWARD_NOT_KEPT', world.add('8080:80', { persistent: true }));
  assert.match(error.message, /^tcp:\*:8080 → the first guest:80 cannot be kept for the next start: E\w+: /);
  assert.deepEqual([world.table.list(), [...world.open]], [[], []]);
  await world.add('8080:80');
  await refusal('ERR_FORWARD_NOT_KEPT', world.add('8080:80', { persistent: true }));
  assert.equal(world.table.get('tcp:*:8080')?.spec.persistent, false);
  rmSync(folder);
  assert.equal((await world.add('8080:80', { persistent: true })).spec.persistent, true);
  assert.match(readFileSync(path.join(folder, 'forwards-192.168.65.0-24.json'), 'utf8'), /8080/, 'it is on disk');
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  const other = await refusal('ERR_FORWARD_NOT_KEPT', second.world.add('8081:80', { persistent: true }));
  assert.match(other.message, new RegExp(`process ${process.pid} keeps its forwards in`));
  await refusal('ERR_FORWARD_NOT_KEPT', new TableWorld().add('80:80', { persistent: true }));
});

test('a file that is none of ours is set aside', async (t) => {
  const folder = temporaryFolder('forwards');
  const file = path.join(folder, 'forwards-192.168.65.0-24.json');
  writeFileSync(file, '{"version":1}');
  const { lines, world } = daemon(t, folder);
  await world.table.start([], []);
  assert.match(
    lines[0]!,
    /^the forwards in .* cannot be used \(it is of the subnet undefined\); the file is now ….damaged$/,
  );
  assert.ok(existsSync(`${file}.damaged`));
});

test('nothing that a port forward must not have is kept: a passphrase is refused', async (t) => {
  const { world } = daemon(t, temporaryFolder('forwards'));
  const guest = {
    kind: 'ssh',
    address: undefined,
    port: 22,
    user: 'u',
    path: '/x',
    keyFile: '/k',
    passphrase: 'p',
  } as const;
  const error = await refusal(
    'ERR_FORWARD_INVALID',
    world.table.add(socketSpec('/run/a', { guest, persistent: true })),
  );
  assert.match(error.message, /a passphrase is not kept on disk/);
});

test('any text is read or refused, never thrown over', () => {
  const good = formatForwards(subnet, [spec('80:80', { persistent: true })]);
  assert.equal(parseForwards('[]', subnet), 'it is not a list of forwards');
  assert.equal(parseForwards(good.replace('"tcp"', '"sctp"'), subnet), 'entry 0 of its forwards cannot be used');
  assert.equal(parseForwards(good.replace('"version": 1', '"version": 2'), subnet), 'its version is 2, not 1');
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom('protocol', 'host', 'guest', 'count', 'owner', 'source'),
      (value, key) => {
        const file = JSON.parse(good) as { forwards: Record<string, unknown>[] };
        file.forwards[0]![key] = value;
        const read = parseForwards(JSON.stringify(file), subnet);
        assert.ok(typeof read === 'string' || read.length === 1);
      },
    ),
  );
});
