/**
 * The file of a listening unix socket of ours: bind(2) made it, and whoever may write to its folder can remove it or
 * put another in its place. Then clients go nowhere, or to somebody else, while the socket listens on.
 */
import { lstatSync, renameSync, type Stats, unlinkSync } from 'node:fs';

/** How long a socket may be without its file. A look costs one system call. */
export const FILE_CHECK_MS = 5_000;

/** `taken`: another file is there. */
export type FileStanding = 'ours' | 'gone' | 'taken';

/**
 * Which file it is, by device and inode: as long as the socket is open, the kernel gives its inode to no other file.
 */
export class SocketFile {
  readonly path: string;
  #dev = -1;
  #inode = -1;

  constructor(file: string) {
    this.path = file;
  }

  /** Remembers what is there as ours, after the bind. */
  claim(): void {
    const found = this.look();
    this.#dev = found?.dev ?? -1;
    this.#inode = found?.ino ?? -1;
  }

  /** Before `claim`, and after `remove`, nothing is ours. Never throws. */
  get standing(): FileStanding {
    const found = this.look();
    if (found === undefined) return 'gone';
    return found.ino === this.#inode && found.dev === this.#dev ? 'ours' : 'taken';
  }

  /** Undefined too where this user may not look. */
  look(): Stats | undefined {
    try {
      return lstatSync(this.path);
    } catch {
      return undefined;
    }
  }

  /** Removes the file if it is still the one that was claimed. Never throws: it runs on the way out. */
  remove(): void {
    if (this.standing !== 'ours') return;
    try {
      unlinkSync(this.path);
    } catch {
      // Someone was faster, or the folder became read-only: nothing better can be done now.
    }
  }

  /**
   * Has `close` close a server of node:net, with which libuv unlinks whatever is at the path. Another's file is out of
   * its way meanwhile: whoever may not rename it may not unlink it either. Never throws by itself.
   */
  closing(close: () => void): void {
    const aside = `${this.path}.${process.pid}.aside`;
    const isAside = this.standing === 'taken' && renamed(this.path, aside);
    close();
    if (isAside) renamed(aside, this.path);
  }
}

function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}
