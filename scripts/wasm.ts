import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'wasm');
const entry = path.join(folder, 'arena.ts');
const compiler = path.join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');

/** Where the program and the tests look for it. */
export const arenaWasm: string = path.join(root, 'dist', 'arena.wasm');

/** The memory is the arena, so the module imports it and lays nothing of its own into it (no runtime, no data). */
const flags = [
  '--enable=simd',
  '--importMemory',
  '--initialMemory=0',
  '--memoryBase=0',
  '--runtime=stub',
  '--noAssert',
  '--optimizeLevel=3',
  '--shrinkLevel=0',
  '--converge',
  '--noColors',
];

/** Whether `arenaWasm` is newer than all that it is made from. */
export function arenaWasmIsUpToDate(): boolean {
  const built = modifiedMs(arenaWasm);
  const sources = readdirSync(folder).map((name) => path.join(folder, name));
  return [...sources, import.meta.filename, compiler].every((input) => modifiedMs(input) < built);
}

/**
 * Compiles the source to `output`. Replaces it in one step, so who reads it at the same time sees the old or the new.
 */
export function compileArenaWasm(output: string): void {
  mkdirSync(path.dirname(output), { recursive: true });
  const scratch = mkdtempSync(path.join(path.dirname(output), '.wasm-'));
  try {
    const made = path.join(scratch, 'arena.wasm');
    const args = [compiler, path.relative(root, entry), '--outFile', path.relative(root, made), ...flags];
    const { status, error, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`wasm/ does not compile:\n${stdout}${stderr}`);
    renameSync(made, output);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function modifiedMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}
