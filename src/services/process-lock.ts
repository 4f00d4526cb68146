import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';

/** Who holds a lock: process ids come again, a process's id and the time of its start do not. */
interface Holder {
  readonly pid: number;
  /** Ticks since the boot (proc(5), field 22 of stat); '' where the system does not tell. */
  readonly started: string;
}

/**
 * A file that one living process holds. Nothing releases a lock file but its holder, so one whose holder is gone is taken
 * over; processes of another PID namespace look gone, and what the lock guards must bear two holders (it is replaced as a
 * whole).
 */
export class ProcessLock {
  readonly #file: string;
  readonly #text: string;

  private constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  /** Takes the lock, or tells the process that has it. Throws what the file system says (no space, no right). */
  static take(file: string): ProcessLock | number {
    const text = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Holder);
    for (;;) {
      try {
        writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
        return new ProcessLock(file, text);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = holderOf(file);
      if (holder !== undefined && isAlive(holder)) return holder.pid;
      removeIfThere(file);
    }
  }

  /** Never throws: it runs on the way out. */
  release(): void {
    try {
      if (readFileSync(this.#file, 'utf8') === this.#text) unlinkSync(this.#file);
    } catch {
      // The folder is gone or read-only; the next process finds that this one is gone.
    }
  }
}

function holderOf(file: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return Number.isInteger(pid) && typeof started === 'string' ? { pid: pid!, started } : undefined;
  } catch {
    // Half written by a process that was killed, or removed just now.
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startOf(pid) === started;
}

function startOf(pid: number): string {
  try {
    // The second field is the name in parentheses, which may hold anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').split(' ')[20] ?? '';
  } catch {
    return '';
  }
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
