/**
 * `npm run build`: the arena's routines to WebAssembly, then all of src to dist, then the guest's part into one file.
 * Does only what is out of date, because it also runs before `npm start` and `npm test`. `--quiet` prints nothing
 * unless it fails.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { bundleGuest, guestBundle, guestBundleIsUpToDate } from './guest-bundle.ts';
import { arenaWasm, arenaWasmIsUpToDate, compileArenaWasm } from './wasm.ts';

const root = path.resolve(import.meta.dirname, '..');
const quiet = process.argv.includes('--quiet');

await step('dist/arena.wasm', () => {
  if (arenaWasmIsUpToDate()) return 'up to date';
  compileArenaWasm(arenaWasm);
  return 'built';
});

await step('dist/**/*.js', () => {
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [compiler, '-b', 'src', '--pretty', String(process.stderr.isTTY === true)];
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error('src does not compile; the compiler says why above');
  return 'up to date';
});

await step('dist/guest.mjs', async () => {
  if (guestBundleIsUpToDate()) return 'up to date';
  await bundleGuest(guestBundle);
  return 'built';
});

/** Runs one step and prints a line for it; the first that fails ends the build with status 1. */
async function step(what: string, work: () => string | Promise<string>): Promise<void> {
  const startMs = performance.now();
  try {
    const outcome = await work();
    if (!quiet) console.log(`build: ${what} ${outcome} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  } catch (error) {
    console.error(`build: ${what} failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
