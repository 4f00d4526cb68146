import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/** Who holds a lock: process ids come again, a process's id and the time of its start do not. */
interface Holder {
  readonly pid: number;
  /** Ticks since the boot (proc(5), field 22 of stat); '' where the system does not tell. */
  readonly started: string;
}

/**
 * A file that one living process holds. Nothing releases a lock file but its holder, so one whose holder is gone is
 * taken over; processes of another PID namespace look gone, and what the lock guards must bear two holders (it is
 * replaced as a whole).
 */
export class ProcessLock {
  /** Of this process: what ends it before anybody could release them leaves none behind. As many as it keeps files. */
  static readonly #held = new Set<ProcessLock>();
  static readonly #onExit = (): void => {
    for (const lock of ProcessLock.#held) lock.release();
  };
  readonly #file: string;
  readonly #text: string;

  private constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
    if (ProcessLock.#held.size === 0) process.on('exit', ProcessLock.#onExit);
    ProcessLock.#held.add(this);
  }

  /** Takes the lock, or tells the process that has it. Throws what the file system says (no space, no right). */
  static take(file: string): ProcessLock | number {
    const text = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Holder);
    for (;;) {
      if (create(file, text)) return new ProcessLock(file, text);
      const found = textOf(file);
      const holder = holderOf(found);
      if (holder !== undefined && isAlive(holder)) return holder.pid;
      takeAway(file, found);
    }
  }

  /** Never throws: it runs on the way out. */
  release(): void {
    ProcessLock.#held.delete(this);
    if (ProcessLock.#held.size === 0) process.off('exit', ProcessLock.#onExit);
    try {
      if (readFileSync(this.#file, 'utf8') === this.#text) unlinkSync(this.#file);
    } catch {
      // The folder is gone or read-only; the next process finds that this one is gone.
    }
  }
}

/** False when there is such a file already. It appears whole, or others would take it for a torn one. */
function create(file: string, text: string): boolean {
  const beside = `${file}.${process.pid}`;
  try {
    writeAnew(beside, text);
    linkSync(beside, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    removeIfThere(beside);
  }
}

/** What an earlier process of this id left there goes. */
function writeAnew(file: string, text: string): void {
  const options = { flag: 'wx', mode: 0o600 } as const;
  try {
    writeFileSync(file, text, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    removeIfThere(file);
    writeFileSync(file, text, options);
  }
}

/**
 * Takes the lock of one who is gone out of the way, and puts it back when it has become somebody else's since it was
 * read. (Only a third process in this very moment could take it twice then.)
 */
function takeAway(file: string, expected: string | undefined): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (textOf(aside) !== expected) linkSync(aside, file);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    removeIfThere(aside);
  }
}

/** Undefined when it was removed just now. One that cannot be read is not one of nobody: that throws. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for what no Slipway wrote, or for half of it. */
function holderOf(text: string | undefined): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(text ?? '') as Partial<Holder>;
    return Number.isInteger(pid) && typeof started === 'string' ? { pid: pid!, started } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const [state = '', ...fields] = statOf(pid);
  // A process that was killed answers to signals until its parent asks for its status, which some never do.
  return state !== 'Z' && state !== 'X' && (fields[START - STATE - 1] ?? '') === started;
}

function startOf(pid: number): string {
  return statOf(pid)[START - STATE] ?? '';
}

/** Fields of proc(5)'s stat, by their numbers there. */
const STATE = 3;
const START = 22;

/**
 * From the third field on. None where the process is gone, or the system does not tell. Throws without a descriptor to
 * ask by.
 */
function statOf(pid: number): readonly string[] {
  try {
    // The second field is the name in parentheses, which may hold anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch (error) {
    if (['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return [];
  }
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    // A file system that is read-only says that first, also of what is not there.
    if (!['ENOENT', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
