import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = path.resolve(import.meta.dirname, '../..');
const modules = path.join(root, 'node_modules');

function run(cwd: string, command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 300_000 });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''}\n${stdout}\n${stderr}`);
  return stdout;
}

test('the packed package alone has the types that the examples compile against, and runs them', () => {
  const folder = temporaryFolder('package');
  const packed = run(root, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  const [{ filename, files }] = JSON.parse(packed) as [
    { readonly filename: string; readonly files: readonly { readonly path: string }[] },
  ];
  assert.deepEqual(
    files.filter((file) => /^(src|test|bench|scripts|node_modules)\/|tsbuildinfo$/.test(file.path)),
    [],
  );

  // What `npm install` does with it, without a registry: its dependencies are those that the lock file names.
  const installed = path.join(folder, 'node_modules', 'slipway');
  mkdirSync(installed, { recursive: true });
  run(folder, 'tar', '-xzf', path.join(folder, filename), '--strip-components=1', '-C', installed);
  const { dependencies } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    const place = path.join(folder, 'node_modules', name);
    mkdirSync(path.dirname(place), { recursive: true });
    symlinkSync(path.join(modules, name), place);
  }

  const examples = ['in-memory.ts', 'run-command.ts'];
  for (const name of examples) copyFileSync(path.join(root, 'examples', name), path.join(folder, name));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  const compilerOptions = { module: 'NodeNext', target: 'ES2023', strict: true, types: ['node'], outDir: 'out' };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: examples }));
  run(folder, process.execPath, path.join(modules, 'typescript', 'bin', 'tsc'), '-p', '.');
  assert.match(run(folder, process.execPath, 'out/in-memory.js'), /hello from this computer/);
});

test('a program that gives what the types do not allow does not compile', () => {
  const folder = temporaryFolder('types');
  mkdirSync(path.join(folder, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, path.join(folder, 'node_modules', 'slipway'));
  symlinkSync(path.join(modules, '@types', 'node'), path.join(folder, 'node_modules', '@types', 'node'));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  writeFileSync(
    path.join(folder, 'wrong.ts'),
    "import { startNetwork } from 'slipway';\nawait startNetwork({ network: { mtu: 'large' } });\n",
  );
  const tsc = path.join(modules, 'typescript', 'bin', 'tsc');
  const args = [
    tsc,
    '--noEmit',
    '--strict',
    '--module',
    'NodeNext',
    '--target',
    'ES2023',
    '--types',
    'node',
    'wrong.ts',
  ];
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: 300_000 });
  assert.notEqual(status, 0);
  assert.match(stdout, /wrong\.ts.*error TS2322: Type 'string' is not assignable to type 'number'/);
});
