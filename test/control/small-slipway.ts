import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('./process.ts', import.meta.url));

export interface Said {
  readonly event: string;
  readonly [fact: string]: unknown;
}

/** `process.ts` as a child: what it said, and how it ended. */
export class SmallSlipway {
  readonly child: ChildProcessWithoutNullStreams;
  readonly said: Said[] = [];
  stderr = '';
  readonly #waiting: (() => void)[] = [];

  /** Starts it and waits until it stands; it is killed after the test, whatever happens. */
  static async start(t: TestContext, engine: string, ...urls: readonly string[]): Promise<SmallSlipway> {
    const slipway = new SmallSlipway(spawn(process.execPath, [ENTRY, engine, ...urls]));
    t.after(() => slipway.child.kill('SIGKILL'));
    await slipway.hear((said) => said.event === 'up');
    return slipway;
  }

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    child.stderr.on('data', (bytes) => {
      this.stderr += String(bytes);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.said.push(JSON.parse(line) as Said);
      for (const waiter of this.#waiting.splice(0)) waiter();
    });
    child.on('exit', () => {
      for (const waiter of this.#waiting.splice(0)) waiter();
    });
  }

  /** The first thing said, now or later, that `wanted` accepts. */
  async hear(wanted: (said: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.said.find(wanted);
      if (found !== undefined) return found;
      assert.equal(this.child.exitCode ?? this.child.signalCode, null, `it ended before: ${this.stderr}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  tell(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  /** Waits for the end: status or signal, and how long it took. */
  async end(): Promise<{ readonly status: number | null; readonly signal: string | null; readonly tookMs: number }> {
    const begun = performance.now();
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return { status: this.child.exitCode, signal: this.child.signalCode, tookMs: performance.now() - begun };
  }
}
