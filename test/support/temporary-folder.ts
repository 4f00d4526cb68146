import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const made: string[] = [];

/**
 * A folder of the test's own, there until its process ends: whatever a test stops after itself (`t.after` runs in the
 * order of registration) may still write to it.
 */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `slipway-${name}-`));
  if (made.length === 0) {
    process.once('exit', () => {
      for (const one of made) rmSync(one, { recursive: true, force: true });
    });
  }
  made.push(folder);
  return folder;
}
