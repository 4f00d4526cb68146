import { statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { SlipwayError } from '../facts/errors.ts';
import type { SocketFile } from '../host/files/socket-file.ts';

/**
 * Makes a path free to bind: removes a socket that a killed process left behind, which nobody listens at. Throws
 * ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED.
 */
export async function freeSocketPath(file: SocketFile): Promise<void> {
  const found = file.look();
  if (found === undefined) return refuseWithoutFolder(file.path);
  if (!found.isSocket()) {
    throw new SlipwayError(
      'ERR_LISTEN_FAILED',
      `${file.path} exists and is not a socket`,
      'Choose another path, or move that file away.',
    );
  }
  if (await isAnswered(file.path)) {
    throw new SlipwayError(
      'ERR_LISTEN_IN_USE',
      `another process listens at ${file.path}`,
      `Stop it (ss -xlp src ${file.path} names it), or choose another path.`,
    );
  }
  unlinkSync(file.path);
}

/** bind(2) says no more than ENOENT, and libuv makes EACCES of that. */
function refuseWithoutFolder(file: string): void {
  const folder = path.dirname(file);
  const missing = firstMissing(folder);
  if (missing === undefined) return;
  throw new SlipwayError(
    'ERR_LISTEN_FAILED',
    `nothing can listen at ${file}: the folder ${missing} does not exist`,
    `Make it (mkdir -p ${folder}), or choose another path.`,
  );
}

/** Undefined also where this user may not look; what comes next says that. */
function firstMissing(folder: string): string | undefined {
  let missing: string | undefined;
  try {
    for (let at = folder; statSync(at, { throwIfNoEntry: false }) === undefined; at = path.dirname(at)) missing = at;
  } catch {
    return undefined;
  }
  return missing;
}

/** Whether somebody accepts connections there; anything but a plain refusal counts as yes. */
function isAnswered(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(file);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
