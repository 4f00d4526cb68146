import { readFileSync, renameSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../config/make-folder.ts';
import { ProcessLock } from './process-lock.ts';

/** The first change is written at once; of a burst, five times a second. */
const WRITE_INTERVAL_MS = 200;
/** More than 8,192 leases take whose identifiers and names are as long as DHCP has them. What is larger is not ours. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export interface StateFileOptions {
  /** Made when it is missing, for its owner only. */
  readonly folder: string;
  readonly name: string;
  /** What is kept, as sentences call it: 'leases'. */
  readonly what: string;
  /** What it costs when they are not kept, as the end of a sentence. */
  readonly loss: string;
  /** Takes up what an earlier process wrote, or says why it is none of ours. Never throws. */
  read(text: string): string | undefined;
  /** All that is to be in the file now. */
  write(): string;
  readonly log: StoreLog;
}

export interface StoreLog {
  info(message: string): void;
  warn(message: string): void;
}

/**
 * A file in the state folder that one daemon keeps, replaced as a whole (written beside, synced, renamed, folder synced), so
 * a crash leaves the old or the new one. What goes wrong costs a line in the log and never the network: a file that is damaged or
 * of another Slipway is set aside, one that cannot be read stays as it is, one that cannot be written is tried again at the next
 * change, and the second daemon of the same file keeps nothing.
 *
 * States: idle → waiting (for the interval) → writing → idle.
 */
export class StateFile {
  readonly #options: StateFileOptions;
  readonly #file: string;
  #lock: ProcessLock | undefined;
  /** Why nothing is written: another daemon has the file, or what is in it could not be read and would be lost by the next write. */
  #closed: string | undefined;
  #changed = false;
  /** Why the last write failed. */
  #failure: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** Reads what there is. Never throws. */
  constructor(options: StateFileOptions) {
    this.#options = options;
    this.#file = path.join(options.folder, options.name);
    try {
      this.#open();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What `write` gives is another now. */
  changed(): void {
    this.#changed = true;
    this.#schedule();
  }

  /** Writes what is not written yet, without the pause that a burst has. Resolves with why that is not possible; undefined: it is on disk. */
  async written(): Promise<string | undefined> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#changed && this.#closed === undefined && !this.#stopped) await this.#begin();
    return this.#closed ?? this.#failure;
  }

  /** Writes what is not written yet, and gives the file free. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#writing;
    if (this.#changed) await this.#write();
    this.#lock?.release();
    this.#lock = undefined;
  }

  #open(): void {
    let obstacle: unknown;
    try {
      makeFolder(this.#options.folder);
      if (!this.#takeLock()) return;
    } catch (error) {
      obstacle = error;
    }
    // A disk that is full or read-only still tells what there was; without it, the next write would lose it.
    this.#read();
    if (obstacle !== undefined) throw obstacle;
  }

  #read(): void {
    let content: ReturnType<typeof contentOf>;
    try {
      content = contentOf(this.#file);
    } catch (error) {
      const { what, log } = this.#options;
      this.#closed = `the ${what} in ${this.#file} cannot be read (${(error as Error).message})`;
      log.warn(
        `${this.#closed}; the file stays as it is, and the ${what} of this run are not kept. Put that right and start again`,
      );
      return;
    }
    if (content === undefined) return;
    const why = 'text' in content ? this.#options.read(content.text) : content.problem;
    if (why === undefined) return;
    renameSync(this.#file, `${this.#file}.damaged`);
    this.#options.log.warn(
      `the ${this.#options.what} in ${this.#file} cannot be used (${why}); the file is now ….damaged`,
    );
  }

  #takeLock(): boolean {
    if (this.#lock !== undefined) return true;
    if (this.#closed !== undefined) return false;
    const lock = ProcessLock.take(`${this.#file}.lock`);
    if (typeof lock !== 'number') {
      this.#lock = lock;
      return true;
    }
    this.#closed = `process ${lock} keeps its ${this.#options.what} in ${this.#file} already`;
    this.#options.log.warn(`${this.#closed}; those of this network are not kept. Give it another folder with --state`);
    return false;
  }

  #schedule(): void {
    if (this.#closed !== undefined || this.#stopped || this.#timer !== undefined || this.#writing !== undefined) return;
    const waitMs = this.#writtenMs + WRITE_INTERVAL_MS - performance.now();
    this.#timer = setTimeout(() => void this.#begin(), Math.max(0, waitMs));
    this.#timer.unref();
  }

  #begin(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const writing = this.#write().finally(() => {
      this.#writing = undefined;
      // What failed waits for the next change: trying again by itself would fill a disk's log, too.
      if (this.#changed && this.#failure === undefined) this.#schedule();
    });
    this.#writing = writing;
    return writing;
  }

  async #write(): Promise<void> {
    const { folder, what, write, log } = this.#options;
    try {
      makeFolder(folder);
      if (!this.#takeLock()) return;
      this.#writtenMs = performance.now();
      this.#changed = false;
      await replaceFile(this.#file, write());
      if (this.#failure !== undefined) log.info(`${what} are kept in ${this.#file} again`);
      this.#failure = undefined;
    } catch (error) {
      this.#changed = true;
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const known = this.#failure !== undefined;
    this.#failure = (error as Error).message;
    const { what, loss, log } = this.#options;
    if (!known) log.warn(`${what} cannot be kept: ${this.#failure}; ${loss}`);
  }
}

/** What is in the file, or what is wrong with it; undefined when there is none. Throws when it cannot be read, which says nothing of what is in it. */
function contentOf(file: string): { readonly text: string } | { readonly problem: string } | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  // Whoever opens a pipe may wait for ever.
  if (!stat.isFile()) return { problem: 'it is no regular file' };
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
