import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const START_LIMIT_MS = 20_000;

/** `slipway up` as a person runs it: the built program in a process of its own. */
export class Daemon {
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  #said = '';

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.#exited = new Promise((resolve) => child.on('close', () => resolve()));
  }

  /** Resolves once the daemon has said where it listens, or whom it dials. */
  static async up(url: string, ...options: readonly string[]): Promise<Daemon> {
    if (!existsSync(MAIN)) throw new Error('dist/cli/main.js is missing: npm run build');
    const argv = [MAIN, 'up', '--listen', url, '--control', 'none', ...options];
    // Without a home it keeps no state, unless told by --state.
    const env = { ...process.env, HOME: '', XDG_STATE_HOME: '' };
    const daemon = new Daemon(spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
    try {
      await daemon.#says(new URL(url).pathname);
      return daemon;
    } catch (error) {
      await daemon.stop();
      throw error;
    }
  }

  /** Waits until it has said that. */
  async says(wanted: RegExp): Promise<void> {
    while (!wanted.test(this.#said)) {
      const { stdout, stderr } = this.#process;
      await Promise.race([once(stdout!, 'data'), once(stderr!, 'data'), this.#exited]);
      if (this.#process.exitCode !== null) throw new Error(`slipway up ended: ${this.#said.trim()}`);
    }
  }

  /** Ends it as Ctrl-C does, and waits until it is gone. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#exited;
  }

  async #says(text: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => fail('said nothing of it'), START_LIMIT_MS);
      const fail = (what: string): void => {
        clearTimeout(timer);
        reject(new Error(`slipway up ${what} (${text}): ${this.#said.trim()}`));
      };
      const listen = (chunk: Buffer): void => {
        this.#said += chunk.toString();
        if (!this.#said.includes(text)) return;
        clearTimeout(timer);
        resolve();
      };
      this.#process.stdout!.on('data', listen);
      this.#process.stderr!.on('data', listen);
      this.#process.on('error', (error) => fail(error.message));
      void this.#exited.then(() => fail('ended early'));
    });
  }
}
