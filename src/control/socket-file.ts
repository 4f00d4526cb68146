import { lstatSync, type Stats, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { SlipwayError } from '../config/errors.ts';

/**
 * The file of a listening unix socket. bind(2) makes it and nothing but unlink removes it, so one that a killed process
 * left behind must be told from one that is in use.
 */
export class SocketFile {
  readonly path: string;
  #inode: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the path free to bind: removes a socket without listener. Throws ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
  async makeFree(): Promise<void> {
    const found = this.#look();
    if (found === undefined) return;
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

/** Whether somebody accepts connections there; anything but a plain refusal counts as yes. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
