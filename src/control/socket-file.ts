import { lstatSync, type Stats, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { SlipwayError } from '../config/errors.ts';

/**
 * The file of a listening unix socket. bind(2) makes it and nothing but unlink removes it, so one that a killed process
 * left behind must be told from one that is in use.
 */
export class SocketFile {
  readonly path: string;
  #inode: number | undefined;

  constructor(file: string) {
    this.path = file;
  }

  /** Makes the path free to bind: removes a socket without listener. Throws ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
  async makeFree(): Promise<void> {
    const found = this.#look();
    if (found === undefined) return refuseWithoutFolder(this.path);
    if (!found.isSocket()) {
      throw new SlipwayError(
        'ERR_LISTEN_FAILED',
        `${this.path} exists and is not a socket`,
        'Choose another path, or move that file away.',
      );
    }
    if (await isAnswered(this.path)) {
      throw new SlipwayError(
        'ERR_LISTEN_IN_USE',
        `another process listens at ${this.path}`,
        `Stop it (ss -xlp src ${this.path} names it), or choose another path.`,
      );
    }
    unlinkSync(this.path);
  }

  /** Remembers the file as ours, after the bind. */
  claim(): void {
    this.#inode = this.#look()?.ino;
  }

  /** Removes the file if it is still the one that was claimed. Never throws: it runs on the way out. */
  remove(): void {
    if (this.#inode === undefined || this.#look()?.ino !== this.#inode) return;
    this.#inode = undefined;
    try {
      unlinkSync(this.path);
    } catch {
      // Someone was faster, or the folder became read-only: nothing better can be done now.
    }
  }

  #look(): Stats | undefined {
    try {
      return lstatSync(this.path);
    } catch {
      return undefined;
    }
  }
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
