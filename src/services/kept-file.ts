import { readFileSync, renameSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../host/files/make-folder.ts';
import { ProcessLock } from './process-lock.ts';

/** More than 8,192 leases take whose identifiers and names are as long as DHCP has them. What is larger is not ours. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export interface KeptFileOptions {
  /** Made when it is missing, for its owner only. */
  readonly folder: string;
  readonly name: string;
  /** What is kept, as sentences call it: 'leases'. */
  readonly what: string;
  /** What it costs when they are not kept, as the end of a sentence. */
  readonly loss: string;
  readonly log: StoreLog;
}

export interface StoreLog {
  info(message: string): void;
  warn(message: string): void;
}

/**
 * A file in the state folder that one daemon keeps: who may write it, what is in it at the start, and what is said when
 * it cannot be kept. What goes wrong costs a line in the log and never the network: a file that is damaged or of
 * another Slipway is set aside, one that cannot be read stays as it is, and the second daemon of the same file keeps
 * nothing.
 */
export class KeptFile {
  readonly path: string;
  readonly #options: KeptFileOptions;
  #lock: ProcessLock | undefined;
  /**
   * Why nothing is written: another daemon has the file, or what is in it could not be read and would be lost by the
   * next write.
   */
  #closed: string | undefined;
  /** Why the last write failed. */
  #failure: string | undefined;

  /** Hands what there is to `take`, which says why it is none of ours, or undefined. Never throws. */
  constructor(options: KeptFileOptions, take: (text: string) => string | undefined) {
    this.#options = options;
    this.path = path.join(options.folder, options.name);
    try {
      this.#open(take);
    } catch (error) {
      this.failed(error);
    }
  }

  get closed(): string | undefined {
    return this.#closed;
  }

  /** Why nothing can be written, or why the last write failed. */
  get trouble(): string | undefined {
    return this.#closed ?? this.#failure;
  }

  /** Whether this daemon may write the file. Throws where the folder or the lock cannot be made. */
  ready(): boolean {
    if (this.#closed !== undefined) return false;
    makeFolder(this.#options.folder);
    return this.#takeLock();
  }

  /**
   * Puts `text` in the place of all there is: written beside, synced, renamed, folder synced. A crash leaves the old or
   * the new one.
   */
  replace(text: string): Promise<void> {
    return replaceFile(this.path, text);
  }

  /** A write came through. */
  worked(): void {
    if (this.#failure !== undefined) this.#options.log.info(`${this.#options.what} are kept in ${this.path} again`);
    this.#failure = undefined;
  }

  /** A write failed: said once, until one comes through. */
  failed(error: unknown): void {
    const known = this.#failure !== undefined;
    this.#failure = (error as Error).message;
    const { what, loss, log } = this.#options;
    if (!known) log.warn(`${what} cannot be kept: ${this.#failure}; ${loss}`);
  }

  /** Gives the file free. */
  close(): void {
    this.#lock?.release();
    this.#lock = undefined;
  }

  #open(take: (text: string) => string | undefined): void {
    let obstacle: unknown;
    try {
      if (!this.ready()) return;
    } catch (error) {
      obstacle = error;
    }
    // A disk that is full or read-only still tells what there was; without it, the next write would lose it.
    this.#read(take);
    if (obstacle !== undefined) throw obstacle;
  }

  #read(take: (text: string) => string | undefined): void {
    let content: ReturnType<typeof contentOf>;
    try {
      content = contentOf(this.path);
    } catch (error) {
      const { what, log } = this.#options;
      this.#closed = `the ${what} in ${this.path} cannot be read (${(error as Error).message})`;
      log.warn(
        `${this.#closed}; the file stays as it is, and the ${what} of this run are not kept. Fix this and start again`,
      );
      return;
    }
    if (content === undefined) return;
    const why = 'text' in content ? take(content.text) : content.problem;
    if (why === undefined) return;
    renameSync(this.path, `${this.path}.damaged`);
    this.#options.log.warn(
      `the ${this.#options.what} in ${this.path} cannot be used (${why}); the file is now ….damaged`,
    );
  }

  #takeLock(): boolean {
    if (this.#lock !== undefined) return true;
    const lock = ProcessLock.take(`${this.path}.lock`);
    if (typeof lock !== 'number') {
      this.#lock = lock;
      return true;
    }
    this.#closed = `process ${lock} keeps its ${this.#options.what} in ${this.path} already`;
    this.#options.log.warn(`${this.#closed}; those of this network are not kept. Give it another folder with --state`);
    return false;
  }
}

/**
 * What is in the file, or what is wrong with it; undefined when there is none. Throws when it cannot be read, which
 * says nothing of what is in it.
 */
function contentOf(file: string): { readonly text: string } | { readonly problem: string } | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  // Whoever opens a pipe may wait for ever.
  if (!stat.isFile()) return { problem: 'it is not a regular file' };
  if (stat.size > MAX_FILE_BYTES) return { problem: `it has ${stat.size} bytes` };
  return { text: readFileSync(file, 'utf8') };
}

/** Atomic, and on disk when it settles. */
async function replaceFile(file: string, text: string): Promise<void> {
  const beside = `${file}.new`;
  await rm(beside, { force: true });
  try {
    await writeThrough(beside, text);
    await rename(beside, file);
  } catch (error) {
    // Half a file takes room of which there is too little already.
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
  const folder = await open(path.dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writeThrough(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
