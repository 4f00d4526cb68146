import { KeptFile, type KeptFileOptions } from './kept-file.ts';

/** The first change is written at once; of a burst, five times a second. */
const WRITE_INTERVAL_MS = 200;

export interface StateFileOptions extends KeptFileOptions {
  /** Takes up what an earlier process wrote, or says why it is none of ours. Never throws. */
  read(text: string): string | undefined;
  /** All that is to be in the file now. */
  write(): string;
}

/**
 * A kept file that is replaced as a whole. One that cannot be written is tried again at the next change.
 *
 * States: idle → waiting (for the interval) → writing → idle.
 */
export class StateFile {
  readonly #options: StateFileOptions;
  readonly #file: KeptFile;
  #changed = false;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** Reads what there is. Never throws. */
  constructor(options: StateFileOptions) {
    this.#options = options;
    this.#file = new KeptFile(options, (text) => options.read(text));
  }

  /** What `write` gives is another now. */
  changed(): void {
    this.#changed = true;
    this.#schedule();
  }

  /** Writes what is not written yet, and gives the file free. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#writing;
    if (this.#changed) await this.#write();
    this.#file.close();
  }

  #schedule(): void {
    if (this.#file.closed !== undefined || this.#stopped) return;
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    const waitMs = this.#writtenMs + WRITE_INTERVAL_MS - performance.now();
    this.#timer = setTimeout(() => void this.#begin(), Math.max(0, waitMs));
    this.#timer.unref();
  }

  #begin(): Promise<void> {
    this.#timer = undefined;
    const writing = this.#write().finally(() => {
      this.#writing = undefined;
      // What failed waits for the next change: trying again by itself would fill a disk's log, too.
      if (this.#changed && this.#file.trouble === undefined) this.#schedule();
    });
    this.#writing = writing;
    return writing;
  }

  async #write(): Promise<void> {
    const file = this.#file;
    try {
      if (!file.ready()) return;
      this.#writtenMs = performance.now();
      this.#changed = false;
      await file.replace(this.#options.write());
      file.worked();
    } catch (error) {
      this.#changed = true;
      file.failed(error);
    }
  }
}
