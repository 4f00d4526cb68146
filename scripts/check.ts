/**
 * Everything that must hold before a change goes in, in the order in which it is quickest to know: `npm run check`.
 * All steps run even when one fails, so one run shows all there is to mend. The last line counts the tests.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** The output is shown as it comes, not only on failure. */
  readonly live?: true;
}

const STEPS: readonly Step[] = [
  { name: 'build', command: ['node', 'scripts/build.ts', '--quiet'] },
  { name: 'format', command: ['biome', 'format', '.'] },
  { name: 'lint', command: ['biome', 'lint', '--error-on-warnings', '.'] },
  { name: 'types', command: ['tsc', '-b'] },
  { name: 'layers', command: ['node', '--test', 'test/meta/layers.test.ts', 'test/meta/errors.test.ts'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
  { name: 'reference', command: ['npm', 'run', '-s', 'docs:api', '--', '--emit', 'none'] },
  { name: 'tests', command: ['node', 'scripts/test.ts'], live: true },
];

const root = path.resolve(import.meta.dirname, '..');
const bin = path.join(root, 'node_modules', '.bin');
const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}` };

let failed = 0;
for (const step of STEPS) {
  const [program = '', ...args] = step.command;
  const begun = performance.now();
  if (step.live) console.log(`${step.name}:`);
  const result = spawnSync(program, args, { cwd: root, env, stdio: step.live ? 'inherit' : 'pipe', encoding: 'utf8' });
  const passed = result.status === 0;
  if (!passed) failed++;
  if (step.live) continue;
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${step.name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  if (!passed) console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`);
}
process.exitCode = failed === 0 ? 0 : 1;
