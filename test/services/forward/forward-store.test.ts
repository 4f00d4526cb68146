import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type ForwardSpec, forwardId } from '../../../src/config/forward.ts';
import { ForwardStore } from '../../../src/services/forward/forward-store.ts';
import { forwardObject, forwardOf } from '../../../src/services/forward/forward-text.ts';
import { needs, needsRoot } from '../../support/needs.ts';
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
  await first.world.table.open(socketSpec('/run/a.sock', { persistent: true, guest }));
  const listed = first.world.table.list().filter(({ spec: { persistent } }) => persistent);
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  assert.deepEqual(
    second.world.table.list().map(({ spec: wanted }) => wanted),
    listed.map(({ spec: wanted }) => wanted),
  );
  assert.ok(second.world.table.get('tcp:*:40000'), 'a chosen port is the same one');
  await second.world.table.close('tcp:*:40000');
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.equal(third.world.table.list().length, 3);
  assert.deepEqual([...first.lines, ...second.lines, ...third.lines], []);
  const file = path.join(folder, 'forwards-192.168.65.0-24.jsonl');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /"address":"192.168.65.7"/);
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
    'the forward tcp:*:8080 → the first guest:80, kept by an earlier process, is left out and stays kept: tcp:*:8080 → the first guest:80 conflicts with tcp:*:8080 → the first guest:90 (by config)',
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
  assert.deepEqual(second.world.standing, ['tcp:*:8080 failed ERR_FORWARD_EXISTS', 'tcp:*:8081 listening']);
  assert.match(second.world.lines[0]!, /^the forward tcp:\*:8080 → the first guest:80, kept by an earlier process/);
  assert.equal((await second.world.add('127.0.0.1:8080:90')).state, 'listening');
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], [], [spec('8080:90')]);
  await third.world.add('8080:90');
  await third.world.table.close('tcp:*:8080');
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
  assert.match(readFileSync(path.join(folder, 'forwards-192.168.65.0-24.jsonl'), 'utf8'), /8080/, 'it is on disk');
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  const other = await refusal('ERR_FORWARD_NOT_KEPT', second.world.add('8081:80', { persistent: true }));
  assert.match(other.message, new RegExp(`process ${process.pid} keeps its forwards in`));
  await refusal('ERR_FORWARD_NOT_KEPT', new TableWorld().add('80:80', { persistent: true }));
});

test('a file that is none of ours is set aside', async (t) => {
  const folder = temporaryFolder('forwards');
  const file = path.join(folder, 'forwards-192.168.65.0-24.jsonl');
  writeFileSync(file, '{"version":1}');
  const { lines, world } = daemon(t, folder);
  await world.table.start([], []);
  assert.match(
    lines[0]!,
    /^the forwards in .* cannot be used \(its first line is another\); the file is now ….damaged$/,
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
    world.table.open(socketSpec('/run/a', { guest, persistent: true })),
  );
  assert.match(error.message, /a passphrase is never written to disk/);
});

test('any value is read as a forward or refused, never thrown over', () => {
  const good = forwardObject(spec('80:80', { persistent: true }));
  assert.deepEqual(forwardOf(good), spec('80:80', { persistent: true }));
  assert.equal(forwardOf({ ...good, protocol: 'sctp' }), undefined);
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom('protocol', 'host', 'guest', 'count', 'owner', 'source'),
      (value, key) => {
        const read = forwardOf({ ...good, [key]: value });
        assert.ok(read === undefined || read.persistent);
      },
    ),
  );
});

/** What the file of another start would say: one line for each. */
function write(folder: string, specs: readonly ForwardSpec[]): string {
  const file = path.join(folder, 'forwards-192.168.65.0-24.jsonl');
  const head = { version: 1, subnet: '192.168.65.0/24', what: 'forwards' };
  const lines = specs.map((one) => ({ key: forwardId(one), value: forwardObject(one) }));
  writeFileSync(file, [head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(''));
  return file;
}

test('one kept forward that cannot be stops no other: it is listed with the reason, and stays kept until it is removed', async (t) => {
  const folder = temporaryFolder('forwards');
  const wanted = ['8080:80', '127.0.0.1:8080:81', '8081:81', '8082:82', '8083:83'].map((text) =>
    spec(text, { persistent: true }),
  );
  // The guest's address of the fourth is none of this network's any more.
  wanted[3] = { ...wanted[3]!, guest: { kind: 'port', address: at('192.168.99.9'), port: 82 } };
  const file = write(folder, wanted);
  writeFileSync(
    file,
    `${readFileSync(file, 'utf8')}{"key":"tcp:*:9","value":{"protocol":"sctp"}}\n{"key":"tcp:*:7","va`,
  );
  const first = daemon(t, folder);
  await first.world.table.start([], []);
  const standing = [
    'tcp:*:8080 listening',
    'tcp:*:8081 listening',
    'tcp:*:8082 failed ERR_FORWARD_INVALID',
    'tcp:*:8083 listening',
    'tcp:127.0.0.1:8080 failed ERR_FORWARD_EXISTS',
  ];
  assert.deepEqual(first.world.standing, standing);
  assert.match(first.world.table.get('tcp:127.0.0.1:8080')!.why, /conflicts with tcp:\*:8080/);
  assert.match(first.lines.join(), /the forward tcp:\*:9 in .* cannot be used; it stays there/);
  await first.world.add('9000:90', { persistent: true });
  await first.world.table.close('tcp:*:9000');
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  assert.deepEqual(second.world.standing, standing, 'and so at the next start');
  for (const id of ['tcp:127.0.0.1:8080', 'tcp:*:8082', 'tcp:*:9']) assert.ok(await second.world.table.close(id), id);
  assert.equal(await second.world.table.close('tcp:*:9'), false);
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.deepEqual(third.world.standing, ['tcp:*:8080 listening', 'tcp:*:8081 listening', 'tcp:*:8083 listening']);
  assert.deepEqual(third.lines, []);
});

test('a persistent forward in the way of one that was left out takes its place at the next start too', async (t) => {
  const folder = temporaryFolder('forwards');
  write(folder, [spec('127.0.0.1:8080:81', { persistent: true })]);
  const first = daemon(t, folder);
  await first.world.table.start([spec('8080:80')], []);
  await first.world.add('8080:80', { persistent: true });
  assert.deepEqual(first.world.standing, ['tcp:*:8080 listening']);
  await first.stop();
  const second = daemon(t, folder);
  await second.world.table.start([], []);
  assert.deepEqual(second.world.standing, ['tcp:*:8080 listening']);
});

for (const [trouble, code, begin, end] of [
  ['full', 'ENOSPC', fill, (folder: string) => rmSync(path.join(folder, 'filling'))],
  ['read-only', 'EROFS', remount('ro'), remount('rw')],
] as const) {
  test(`on a disk that is ${trouble} a persistent forward stays published when it is unexposed, and the error says so`, async (t) => {
    if (!needsRoot(t) || !needs(t, 'mount', 'umount')) return;
    const folder = smallDisk(t);
    const first = daemon(t, folder);
    await first.world.add('8080:80', { persistent: true });
    await first.world.add('8081:81');
    begin(folder);
    const error = await refusal('ERR_FORWARD_STAYS', first.world.table.close('tcp:*:8080'));
    assert.match(error.message, new RegExp(`^tcp:\\*:8080 stays published: it is kept for the next start, .*${code}`));
    await refusal('ERR_FORWARD_NOT_KEPT', first.world.add('8082:82', { persistent: true }));
    assert.ok(await first.world.table.close('tcp:*:8081'), 'one that is not kept needs no disk');
    assert.deepEqual(first.world.standing, ['tcp:*:8080 listening'], 'and so it is');
    end(folder);
    await first.stop();
    const second = daemon(t, folder);
    await second.world.table.start([], []);
    assert.deepEqual(second.world.standing, ['tcp:*:8080 listening'], 'as it was said');
    assert.ok(await second.world.table.close('tcp:*:8080'));
    await second.stop();
    const third = daemon(t, folder);
    await third.world.table.start([], []);
    assert.deepEqual(third.world.standing, []);
  });
}

/** A disk of the test's own, of 256 KiB. */
function smallDisk(t: TestContext): string {
  const folder = temporaryFolder('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'slipway-test', folder]);
  t.after(() => execFileSync('umount', ['--lazy', folder]));
  return folder;
}

/** Leaves room for nothing: what is there ends at the end of a page. */
function fill(folder: string): void {
  const file = path.join(folder, 'forwards-192.168.65.0-24.jsonl');
  const page = 4096;
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, `${text.trimEnd().padEnd(page - 1)}\n`);
  try {
    writeFileSync(path.join(folder, 'filling'), Buffer.alloc(2 ** 20));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

function remount(mode: string): (folder: string) => void {
  return (folder) => void execFileSync('mount', ['-o', `remount,${mode}`, folder]);
}

test('a configuration that drops a forward drops no kept one of the same id: that stands where it has room now', async (t) => {
  const folder = temporaryFolder('forwards');
  const first = daemon(t, folder);
  await first.world.add('127.0.0.1:8080:1', { persistent: true });
  await first.world.add('127.0.0.1:8081:1', { persistent: true });
  await first.stop();
  const second = daemon(t, folder);
  const wanted = [spec('127.0.0.1:8080:2', { owner: 'config' }), spec('127.0.0.1:8081:2', { owner: 'config' })];
  await second.world.table.start(wanted, []);
  const seen: string[] = [];
  await second.world.table.exchange({
    owner: 'config',
    gone: wanted,
    come: [spec('127.0.0.1:8081:3', { owner: 'config' })],
    changed: (one, status) => seen.push(`${forwardId(one)} ${typeof status === 'string' ? status : status.state}`),
    failed: (_one, error) => assert.fail(error),
  });
  assert.deepEqual(seen, ['tcp:127.0.0.1:8080 removed', 'tcp:127.0.0.1:8081 removed', 'tcp:127.0.0.1:8081 listening']);
  const ports = second.world.table.list().map(({ id, state, spec: { guest } }) => [id, state, guest.port]);
  assert.deepEqual(ports, [
    ['tcp:127.0.0.1:8080', 'listening', 1],
    ['tcp:127.0.0.1:8081', 'listening', 3],
  ]);
  await second.stop();
  const third = daemon(t, folder);
  await third.world.table.start([], []);
  assert.deepEqual(
    third.world.table.list().map(({ spec: { guest } }) => guest.port),
    [1, 1],
    'both are kept still',
  );
});

test('a configuration takes back only what is its own', async (t) => {
  const { world } = daemon(t, temporaryFolder('forwards'));
  const [mine, kept] = [spec('127.0.0.1:8080:1', { owner: 'config' }), spec('127.0.0.1:8081:1', { owner: 'config' })];
  await world.table.start([mine, kept], []);
  await world.table.close(forwardId(mine));
  await world.add('127.0.0.1:8080:1');
  await world.table.open({ ...kept, owner: 'api', persistent: true });
  const unheard = { changed: () => assert.fail(), failed: () => assert.fail() };
  await world.table.exchange({ owner: 'config', gone: [mine, kept], come: [], ...unheard });
  assert.deepEqual(world.standing, ['tcp:127.0.0.1:8080 listening', 'tcp:127.0.0.1:8081 listening']);
});
