import { fstatSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { KeptFile, type KeptFileOptions } from './kept-file.ts';
import { isObject, type JsonObject } from './subnet-list.ts';

/** What is written reaches the disk within this time, however much follows. */
const SYNC_MS = 200;
/** Lines that say nothing any more, beyond as many as say something, before the file is written anew. */
const SPARE_LINES = 1_000;

/** A value to keep under its key, or a key to forget. */
export interface Change {
  readonly key: string;
  readonly value: JsonObject | undefined;
}

export interface JournalOptions extends KeptFileOptions {
  /** The first line: whose file it is. Another first line is none of ours. */
  readonly head: JsonObject;
}

interface Waiting {
  readonly changes: readonly Change[];
  readonly settle: (why: string | undefined) => void;
}

/**
 * Values by their keys, kept in a file to which each change adds a line: `{"key":…,"value":…}`, without a value where
 * the key is forgotten. So a change costs what it is, not what there is.
 *
 * - Whoever changes something waits until the kernel has the line (write(2) returned): a crash of the process loses
 *   nothing. It is synced within 200 ms, so a power failure loses no more than that. A full disk, one that is read-only
 *   or broken is known before the answer, and then nothing has changed: what half a line took is cut off again.
 * - Changes that come while others are written go together, in order.
 * - A last line that is cut short (a crash, a power failure) is left out; a line in the middle that is damaged costs
 *   that line.
 * - The file is written anew, as `KeptFile.replace` does, when most lines say nothing any more, when its end is in
 *   doubt, and when somebody removed it.
 *
 * Values are not looked at: what a later Slipway wrote, or a person, stays in the file.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #file: KeptFile;
  /** Key → the line that holds. */
  readonly #lines = new Map<string, string>();
  readonly #values = new Map<string, JsonObject>();
  /** Lines in the file behind the first. */
  #written = 0;
  #bytes = 0;
  /** The file is to be written as a whole before anything is added to it. */
  #doubtful = true;
  #handle: FileHandle | undefined;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;
  #syncTimer: NodeJS.Timeout | undefined;

  /** Reads what there is. Never throws. */
  constructor(options: JournalOptions) {
    this.#options = options;
    this.#file = new KeptFile(options, (text) => this.#read(text));
  }

  /** What there was at the start, with what changed since. */
  get values(): ReadonlyMap<string, JsonObject> {
    return this.#values;
  }

  /** Resolves when all of the changes are written, or with why none of them is. Never rejects. */
  change(...changes: readonly Change[]): Promise<string | undefined> {
    return new Promise((settle) => {
      this.#waiting.push({ changes, settle });
      this.#working ??= this.#work();
    });
  }

  /** Waits for pending writes, syncs them, and releases the file. */
  async stop(): Promise<void> {
    await this.#working;
    await this.#sync();
    await this.#close();
    this.#file.close();
  }

  #read(text: string): string | undefined {
    const lines = text.split('\n');
    if (lines[0] !== JSON.stringify(this.#options.head)) return 'its first line is another';
    const last = lines.pop() ?? '';
    const damaged = lines.slice(1).filter((line) => !this.#readLine(line)).length;
    // Whole where a person wrote it.
    if (last !== '') this.#readLine(last);
    this.#written = lines.length - 1;
    this.#bytes = Buffer.byteLength(text);
    this.#doubtful = last !== '' || damaged > 0;
    const { log, what, name } = this.#options;
    if (damaged > 0) log.warn(`${damaged} lines of the ${what} in ${name} are damaged and left out`);
    return undefined;
  }

  #readLine(line: string): boolean {
    let raw: unknown;
    try {
      raw = JSON.parse(line);
    } catch {
      return false;
    }
    if (!isObject(raw) || typeof raw.key !== 'string') return false;
    const { key, value } = raw;
    if (value !== undefined && !isObject(value)) return false;
    this.#apply({ key, value });
    return true;
  }

  #apply(change: Change): void {
    const { key, value } = change;
    // What is kept anew stands behind the others, as it does in the file.
    this.#lines.delete(key);
    this.#values.delete(key);
    if (value === undefined) return;
    this.#lines.set(key, lineOf(change));
    this.#values.set(key, value);
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const why = await this.#write(batch.flatMap(({ changes }) => changes));
      for (const { settle } of batch) settle(why);
    }
    this.#working = undefined;
  }

  async #write(changes: readonly Change[]): Promise<string | undefined> {
    try {
      if (!this.#file.ready()) return this.#file.closed;
      if (!this.#doubtful) await this.#openEnd();
      if (this.#doubtful || this.#written > 2 * this.#lines.size + SPARE_LINES) await this.#writeAnew(changes);
      else await this.#add(changes);
    } catch (error) {
      this.#file.failed(error);
      return (error as Error).message;
    }
    for (const one of changes) this.#apply(one);
    this.#file.worked();
    return undefined;
  }

  /** Somebody may have removed the file, or put another in its place. */
  async #openEnd(): Promise<void> {
    this.#handle ??= await open(this.#file.path, 'a', 0o600);
    const { nlink, size } = fstatSync(this.#handle.fd);
    if (nlink > 0 && size === this.#bytes) return;
    await this.#close();
    this.#doubtful = true;
  }

  async #add(changes: readonly Change[]): Promise<void> {
    const bytes = Buffer.from(changes.map(lineOf).join(''));
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.#handle!.write(bytes, at);
        at += bytesWritten;
      }
    } catch (error) {
      // Half of it may be there.
      await this.#handle?.truncate(this.#bytes).catch(() => {
        this.#doubtful = true;
      });
      throw error;
    }
    this.#bytes += bytes.length;
    this.#written += changes.length;
    this.#syncTimer ??= setTimeout(() => void this.#sync(), SYNC_MS).unref();
  }

  async #writeAnew(changes: readonly Change[]): Promise<void> {
    const lines = new Map(this.#lines);
    for (const one of changes) {
      lines.delete(one.key);
      if (one.value !== undefined) lines.set(one.key, lineOf(one));
    }
    const text = `${JSON.stringify(this.#options.head)}\n${[...lines.values()].join('')}`;
    await this.#file.replace(text);
    await this.#close();
    this.#bytes = Buffer.byteLength(text);
    this.#written = lines.size;
    this.#doubtful = false;
  }

  async #sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    try {
      await this.#handle?.datasync();
    } catch (error) {
      // The kernel has given up what it had taken; the next change writes all of it.
      this.#doubtful = true;
      this.#file.failed(error);
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => {});
  }
}

function lineOf({ key, value }: Change): string {
  return `${JSON.stringify(value === undefined ? { key } : { key, value })}\n`;
}
