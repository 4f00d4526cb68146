import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { ProcessLock } from '../../src/services/process-lock.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MODULE = new URL('../../src/services/process-lock.ts', import.meta.url);

/**
 * For each line: waits for the time in it, so that all begin at once, takes the lock, says so, and at the next line
 * lets go.
 */
const TAKER = `
import { createInterface } from 'node:readline';
import { ProcessLock } from ${JSON.stringify(MODULE.href)};
let lock;
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') { if (typeof lock === 'object') lock.release(); console.log('free'); continue; }
  while (Date.now() < Number(line));
  lock = ProcessLock.take(process.argv[1]);
  console.log(typeof lock);
}`;

class Taker {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(t: TestContext, file: string) {
    this.#child = spawn(process.execPath, ['--input-type=module', '-e', TAKER, file]);
    t.after(() => this.#child.kill('SIGKILL'));
    const lines: Interface = createInterface({ input: this.#child.stdout });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  async says(line?: string): Promise<string> {
    if (line !== undefined) this.#child.stdin.write(`${line}\n`);
    return String((await this.#lines.next()).value);
  }
}

test('of two processes that find the lock of a dead one at the same moment, one takes it', async (t) => {
  const folder = temporaryFolder('lock');
  const file = path.join(folder, 'state.lock');
  const takers = [new Taker(t, file), new Taker(t, file)];
  await Promise.all(takers.map((taker) => taker.says()));
  for (let round = 0; round < 100; round++) {
    // Torn, or of a process that is gone.
    writeFileSync(file, round % 2 === 0 ? '' : '{"pid":99999999,"started":"5"}');
    const at = String(Date.now() + 5);
    const took = await Promise.all(takers.map((taker) => taker.says(at)));
    assert.deepEqual(took.sort(), ['number', 'object']);
    await Promise.all(takers.map((taker) => taker.says('')));
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('a killed process whose parent has not asked for its status holds no lock', async (t) => {
  if (process.platform !== 'linux') return t.skip('reads /proc');
  const file = path.join(temporaryFolder('lock'), 'state.lock');
  // The shell becomes a program that never waits for the child it was given.
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => parent.kill('SIGKILL'));
  const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
  const pid = Number((await lines.next()).value);
  const stat = (): string[] =>
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  writeFileSync(file, JSON.stringify({ pid, started: stat()[19] }));
  assert.equal(ProcessLock.take(file), pid);
  process.kill(pid, 'SIGKILL');
  while (stat()[0] !== 'Z') await new Promise((resolve) => setImmediate(resolve));
  const lock = ProcessLock.take(file);
  assert.ok(typeof lock === 'object');
  lock.release();
});

test('a process that ends without releasing its locks leaves none behind', async () => {
  const folder = temporaryFolder('lock');
  const files = ['a.lock', 'b.lock'].map((name) => path.join(folder, name));
  const script = `import { ProcessLock } from ${JSON.stringify(MODULE.href)};
for (const file of process.argv.slice(1)) ProcessLock.take(file);
process.exit(0);`;
  execFileSync(process.execPath, ['--input-type=module', '-e', script, ...files]);
  assert.deepEqual(readdirSync(folder), []);
});

test('on a read-only file system the error names what was wanted', (t) => {
  if (!needsRoot(t) || !needs(t, 'unshare')) return;
  const folder = temporaryFolder('lock');
  const script = `import { ProcessLock } from ${JSON.stringify(MODULE.href)};
try { ProcessLock.take(process.argv[1]); } catch (error) { console.log(error.message); }`;
  const mounted = 'mount -t tmpfs -o ro none "$1" && exec "$2" --input-type=module -e "$3" "$1/state.lock"';
  const args = ['--mount', 'sh', '-c', mounted, 'sh', folder, process.execPath, script];
  const said = execFileSync('unshare', args, { encoding: 'utf8' });
  assert.match(said, /^EROFS: read-only file system, open '.*state\.lock\.\d+'\n$/);
});
