/**
 * Runs the tests: `npm test`, `npm test -- test/tcp`, `npm test -- "a repeated SYN"`.
 * An argument that names a file or folder picks tests by path, any other by name. The last line counts them.
 */
import { existsSync, globSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/**
 * Tests that start guests or whole processes: after the quick ones, and few at a time, since they share the machine.
 */
const HEAVY: readonly string[] = ['test/cli', 'test/control', 'test/guest', 'test/host/namespace', 'test/real'];
const HEAVY_AT_ONCE = 2;

const root = path.resolve(import.meta.dirname, '..');
process.chdir(root);

const args = process.argv.slice(2);
const paths = args.filter((arg) => existsSync(arg));
const names = args.filter((arg) => !existsSync(arg));
const missing = names.find((name) => /^test\/|\.ts$/.test(name));
if (missing !== undefined) {
  console.error(`${missing}: no such file or folder of tests`);
  process.exit(2);
}

function testFiles(): string[] {
  const picked = paths.length === 0 ? ['test'] : paths;
  const found = picked.flatMap((place) =>
    statSync(place).isDirectory()
      ? globSync('**/*.test.ts', { cwd: place }).map((file) => path.join(place, file))
      : [place],
  );
  return [...new Set(found.map((file) => path.relative(root, path.resolve(file))))].sort();
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function runFiles(files: readonly string[], concurrency: number | boolean, counts: Counts): Promise<void> {
  if (files.length === 0) return Promise.resolve();
  const stream = run({ files: [...files], concurrency, ...(names.length > 0 && { testNamePatterns: names }) });
  stream.on('test:summary', ({ file, counts: sum }) => {
    if (file !== undefined) return;
    counts.passed += sum.passed;
    counts.failed += sum.tests - sum.passed - sum.skipped - sum.todo;
    counts.skipped += sum.skipped + sum.todo;
  });
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.compose(new spec()).on('end', resolve).on('error', reject).pipe(process.stdout, { end: false });
  });
}

const files = testFiles();
const heavy = files.filter((file) => HEAVY.some((folder) => file.startsWith(`${folder}/`)));
const quick = files.filter((file) => !heavy.includes(file));
const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
await runFiles(quick, true, counts);
await runFiles(heavy, HEAVY_AT_ONCE, counts);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
