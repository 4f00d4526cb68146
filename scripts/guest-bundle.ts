import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');
const source = path.join(root, 'src');
const description = path.join(root, 'package.json');

/** What a virtual machine is given: Slipway's part inside it, in one file for any Node from 18 on. */
export const guestBundle: string = path.join(root, 'dist', 'guest.mjs');

/** Whether `guestBundle` is newer than all that it may be made from. */
export function guestBundleIsUpToDate(): boolean {
  const built = modifiedMs(guestBundle);
  const sources = readdirSync(source, { recursive: true, encoding: 'utf8' }).map((name) => path.join(source, name));
  return [...sources, import.meta.filename, description].every((input) => modifiedMs(input) < built);
}

/**
 * Bundles the guest's command line into `output`, the same bytes from the same sources. Only what Node has built in
 * stays an import; anything else that is not found fails the build. Replaces the file in one step, as whoever reads it
 * wants.
 */
export async function bundleGuest(output: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(description, 'utf8')) as { readonly version: string };
  mkdirSync(path.dirname(output), { recursive: true });
  const scratch = mkdtempSync(path.join(path.dirname(output), '.guest-'));
  try {
    const made = path.join(scratch, 'guest.mjs');
    await build({
      cwd: root,
      input: path.join('src', 'cli', 'guest-main.ts'),
      platform: 'node',
      external: /^node:/,
      transform: { target: 'node18' },
      treeshake: true,
      onLog(_level, log) {
        throw new Error(log.message);
      },
      output: {
        file: made,
        format: 'esm',
        codeSplitting: false,
        comments: { legal: true, annotation: false, jsdoc: false },
        postBanner: `#!/usr/bin/env node\n// Slipway ${version}: its part inside the virtual machine. Made by "npm run build" from src/guest.`,
      },
    });
    renameSync(made, output);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function modifiedMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}
