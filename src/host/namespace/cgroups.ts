/** What a guest's engine leaves behind: cgroups outlive the processes and the namespaces that they were made in. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const CGROUPS = '/sys/fs/cgroup';
/** Processes that were killed are in a cgroup until the kernel has let go of them: 10 s. */
const [AGAIN_MS, TRIES] = [20, 500];

/**
 * Removes the cgroup `name` that a guest of this process made at the root of its cgroup namespace, with those inside.
 * One of version 2 is in the one tree, those of version 1 are in as many as there are controllers. Rejects with the
 * file system's error.
 */
export async function removeCgroup(name: string): Promise<void> {
  if (!existsSync(CGROUPS)) return;
  const [trees, roots] = [['.', ...readdirSync(CGROUPS)], ownCgroups()];
  for (const tree of trees) for (const root of roots) await removeFolders(join(CGROUPS, tree, root, name));
}

/** Where this process is in each tree, which is where the cgroup namespace of a guest begins. */
function ownCgroups(): Set<string> {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  return new Set(lines.map((line) => line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1)));
}

/** Removes the folders from the innermost out: what is in a cgroup besides cannot be removed, and goes with it. */
async function removeFolders(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeFolders(join(folder, entry.name));
  }
  for (let tries = 0; ; tries++) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || tries === TRIES) throw error;
      await delay(AGAIN_MS);
    }
  }
}
