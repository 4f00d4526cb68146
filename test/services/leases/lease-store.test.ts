import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { LeaseChange } from '../../../src/dhcp/lease-record.ts';
import { LeaseBook } from '../../../src/services/leases/lease-book.ts';
import { LeaseStore } from '../../../src/services/leases/lease-store.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';
import { needs, needsRoot } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const subnet = parseCidr('192.168.65.0/24')!;
const NAME = 'leases-192.168.65.0-24.json';

class Daemon {
  readonly book = new LeaseBook(() => performance.now());
  readonly lines: string[] = [];
  readonly store: LeaseStore;

  constructor(t: TestContext, folder: string) {
    const note = (message: string): void => void this.lines.push(message);
    this.store = new LeaseStore({ folder, subnet, book: this.book, log: { info: note, warn: note } });
    t.after(() => this.store.stop());
  }

  bind(host: number): void {
    this.book.apply(bound(host));
  }

  get addresses(): number[] {
    return this.book.records().map(({ address }) => address - subnet.network);
  }
}

function bound(host: number): LeaseChange {
  const [address, mac] = [subnet.network + host, 0x5a94ef000000 + host];
  const lease = { address, mac, clientKey: `c${host}`, hostName: 'web', remainingMs: 60_000, seenAgoMs: 0 };
  return { kind: 'bound', lease };
}

function stateFolder(): string {
  return path.join(temporaryFolder('leases'), 'state');
}

/** On a file system of its own. */
function mountedFolder(t: TestContext, options: string): string {
  const folder = temporaryFolder('leases');
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  t.after(() => execFileSync('umount', [folder]));
  return folder;
}

test('what one process kept, the next one has', async (t) => {
  const folder = stateFolder();
  const first = new Daemon(t, folder);
  first.bind(3);
  first.bind(4);
  await first.store.stop();
  const second = new Daemon(t, folder);
  assert.deepEqual(second.addresses, [3, 4]);
  assert.ok(second.book.records().every(({ remainingMs }) => remainingMs > 0 && remainingMs <= 60_000));
  assert.deepEqual([...first.lines, ...second.lines], []);
});

test('folder and file are their owner’s only, and nothing else stays behind', async (t) => {
  const folder = stateFolder();
  const daemon = new Daemon(t, folder);
  daemon.bind(3);
  await daemon.store.stop();
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(path.join(folder, NAME)).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), [NAME]);
});

test('a change is on disk without a stop', async (t) => {
  const folder = stateFolder();
  const daemon = new Daemon(t, folder);
  const written = new Promise<void>((resolve) => {
    const watcher = watch(folder, (_event, name) => {
      if (name !== NAME) return;
      watcher.close();
      resolve();
    });
  });
  daemon.bind(3);
  await written;
  assert.match(readFileSync(path.join(folder, NAME), 'utf8'), /192\.168\.65\.3/);
});

test('a flood of changes is a few writes, and the last one counts', async (t) => {
  const folder = stateFolder();
  const daemon = new Daemon(t, folder);
  let renames = 0;
  const watcher = watch(folder, (event, name) => {
    if (event === 'rename' && name === NAME) renames++;
  });
  t.after(() => watcher.close());
  for (let round = 0; round < 50; round++) {
    for (let host = 3; host < 203; host++) daemon.bind(host);
    await new Promise((resolve) => setImmediate(resolve));
  }
  daemon.bind(250);
  await daemon.store.stop();
  assert.equal(new Daemon(t, folder).addresses.length, 201);
  assert.ok(renames < 25, `${renames} renames for 10,000 changes`);
});

test('a damaged file is set aside with one line, and the daemon starts and keeps on', async (t) => {
  const folder = stateFolder();
  mkdirSync(folder);
  writeFileSync(path.join(folder, NAME), '{"version":1,"leases":[');
  const daemon = new Daemon(t, folder);
  assert.equal(daemon.lines.length, 1);
  assert.match(daemon.lines[0]!, /leases-192\.168\.65\.0-24\.json cannot be used \(it is not JSON\).*\.damaged/);
  assert.equal(readFileSync(path.join(folder, `${NAME}.damaged`), 'utf8'), '{"version":1,"leases":[');
  daemon.bind(3);
  await daemon.store.stop();
  assert.deepEqual(new Daemon(t, folder).addresses, [3]);
});

test('a second daemon of the same file keeps nothing and says whose it is', async (t) => {
  const folder = stateFolder();
  const first = new Daemon(t, folder);
  first.bind(3);
  const second = new Daemon(t, folder);
  second.bind(4);
  second.bind(5);
  await second.store.stop();
  assert.equal(second.lines.length, 1);
  assert.match(second.lines[0]!, new RegExp(`^process ${process.pid} keeps its leases in .*--state`));
  await first.store.stop();
  assert.deepEqual(new Daemon(t, folder).addresses, [3]);
});

test('the lock of a process that was killed is taken over, as is a torn one', async (t) => {
  const folder = stateFolder();
  mkdirSync(folder);
  const child = spawn('sleep', ['infinity']);
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const lock = path.join(folder, `${NAME}.lock`);
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\)/s, '').split(' ')[20];
  writeFileSync(lock, JSON.stringify({ pid: child.pid, started: stat }));
  const refused = new Daemon(t, folder);
  assert.match(refused.lines[0] ?? '', new RegExp(`^process ${child.pid} keeps`));
  child.kill('SIGKILL');
  await once(child, 'close');
  const after = new Daemon(t, folder);
  after.bind(3);
  await after.store.stop();
  assert.deepEqual(after.lines, []);
  writeFileSync(lock, '{"pi');
  assert.deepEqual(new Daemon(t, folder).lines, []);
});

test('an id that went to another process holds no lock', (t) => {
  const folder = stateFolder();
  mkdirSync(folder);
  writeFileSync(path.join(folder, `${NAME}.lock`), JSON.stringify({ pid: process.pid, started: '1' }));
  assert.deepEqual(new Daemon(t, folder).lines, []);
});

test('a folder that cannot be made costs one line; when it can be, the next change is kept', async (t) => {
  const folder = stateFolder();
  writeFileSync(folder, 'a file stands here');
  const daemon = new Daemon(t, folder);
  daemon.bind(3);
  await said(daemon, 1);
  rmSync(folder);
  daemon.bind(4);
  await said(daemon, 2);
  await daemon.store.stop();
  assert.match(daemon.lines[0]!, /^leases cannot be kept: .*; guests may get other addresses/);
  assert.match(daemon.lines[1]!, /are kept in .* again$/);
  assert.deepEqual(new Daemon(t, folder).addresses, [3, 4]);
});

test('a state folder below /proc costs one line, at the start and at every write', async (t) => {
  const daemon = new Daemon(t, '/proc/foo/bar');
  daemon.bind(3);
  await daemon.store.stop();
  assert.equal(daemon.lines.length, 1);
  assert.match(daemon.lines[0]!, /^leases cannot be kept: ENOENT: .* mkdir '\/proc\/foo'/);
});

test('a full disk costs one line, the old file stays whole, and it is tried again', async (t) => {
  if (!needsRoot(t) || !needs(t, 'mount', 'umount')) return;
  const folder = mountedFolder(t, 'size=16k');
  const daemon = new Daemon(t, folder);
  daemon.bind(3);
  await reaches(() => existsSync(path.join(folder, NAME)));
  for (let host = 4; host < 250; host++) daemon.bind(host);
  await said(daemon, 1);
  assert.match(daemon.lines[0]!, /^leases cannot be kept: ENOSPC/);
  assert.match(readFileSync(path.join(folder, NAME), 'utf8'), /192\.168\.65\.3/);
  execFileSync('mount', ['-o', 'remount,size=1m', folder]);
  daemon.bind(250);
  await said(daemon, 2);
  await daemon.store.stop();
  assert.deepEqual(daemon.lines.length, 2);
  assert.equal(JSON.parse(readFileSync(path.join(folder, NAME), 'utf8')).leases.length, 248);
});

test('a read-only folder is said at the start', async (t) => {
  if (!needsRoot(t) || !needs(t, 'mount', 'umount')) return;
  const folder = mountedFolder(t, 'ro');
  const daemon = new Daemon(t, folder);
  daemon.bind(3);
  await daemon.store.stop();
  assert.equal(daemon.lines.length, 1);
  assert.match(daemon.lines[0]!, /EROFS/);
});

test('leases of before are known, and not lost, when the disk is full or read-only at the start', async (t) => {
  if (!needsRoot(t) || !needs(t, 'mount', 'umount')) return;
  const folder = mountedFolder(t, 'size=64k');
  const before = new Daemon(t, folder);
  for (let host = 3; host < 50; host++) before.bind(host);
  await before.store.stop();
  execFileSync('mount', ['-o', 'remount,ro', folder]);
  assert.equal(new Daemon(t, folder).addresses.length, 47);
  execFileSync('mount', ['-o', 'remount,rw', folder]);
  const ballast = path.join(folder, 'ballast');
  assert.throws(() => writeFileSync(ballast, Buffer.alloc(100_000)), /ENOSPC/);
  const full = new Daemon(t, folder);
  assert.equal(full.addresses.length, 47);
  full.bind(50);
  await full.store.stop();
  assert.ok(!readdirSync(folder).some((name) => /\.(?:lock|new)/.test(name)));
  rmSync(ballast);
  full.bind(51);
  await full.store.stop();
  assert.equal(new Daemon(t, folder).addresses.length, 49);
});

test('what is no file, or too large to be ours, is set aside and not read', async (t) => {
  if (!needs(t, 'mkfifo')) return;
  const folder = stateFolder();
  mkdirSync(folder);
  const file = path.join(folder, NAME);
  for (const make of [
    () => execFileSync('mkfifo', [file]),
    () => symlinkSync('/dev/zero', file),
    () => mkdirSync(file),
    () => {
      writeFileSync(file, '');
      truncateSync(file, 2 ** 33);
    },
  ]) {
    make();
    const daemon = new Daemon(t, folder);
    assert.equal(daemon.lines.length, 1);
    assert.match(daemon.lines[0]!, /cannot be used \(it (is not a regular file|has 8589934592 bytes)\)/);
    daemon.bind(3);
    await daemon.store.stop();
    assert.deepEqual(new Daemon(t, folder).addresses, [3]);
    for (const name of [file, `${file}.damaged`, `${file}.lock`]) rmSync(name, { recursive: true, force: true });
  }
});

test('a file that cannot be read is neither set aside nor written over, and that is said', async (t) => {
  const folder = stateFolder();
  const first = new Daemon(t, folder);
  first.bind(3);
  await first.store.stop();
  const file = path.join(folder, NAME);
  const [beside, text] = [`${file}.other`, readFileSync(file, 'utf8')];
  // Its target cannot be looked at: a link in a circle is that to root, too.
  renameSync(file, beside);
  symlinkSync(file, file);
  const second = new Daemon(t, folder);
  second.bind(4);
  await second.store.stop();
  assert.equal(second.lines.length, 1);
  assert.match(second.lines[0]!, /^the leases in \S+ cannot be read \(ELOOP.*stays as it is.*are not kept/);
  assert.deepEqual(readdirSync(folder).sort(), [NAME, `${NAME}.other`]);
  renameSync(beside, file);
  assert.equal(readFileSync(file, 'utf8'), text);
  assert.deepEqual(new Daemon(t, folder).addresses, [3]);
});

/** Waits for what is written in the background, without a clock of its own. */
async function reaches(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function said(daemon: Daemon, lines: number): Promise<void> {
  return reaches(() => daemon.lines.length >= lines);
}
