import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** As first argument: what is published, not the source (whose type stripping takes memory of its own). */
export const BUILT: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a child process, killed after the test whatever happens. */
export class SlipwayProcess {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';

  constructor(t: TestContext, ...args: readonly string[]) {
    // Without a home a daemon keeps no state, unless told by --state. With a folder of its own it meets no other daemon
    // of this user.
    const XDG_RUNTIME_DIR = temporaryFolder('test');
    const env = { ...process.env, XDG_RUNTIME_DIR, ...(args.includes('up') && { HOME: '', XDG_STATE_HOME: '' }) };
    this.child = spawn(process.execPath, args[0] === BUILT ? [...args] : [MAIN, ...args], { env });
    t.after(() => this.child.kill('SIGKILL'));
    this.child.stdout.on('data', (bytes) => {
      this.stdout += String(bytes);
    });
    this.child.stderr.on('data', (bytes) => {
      this.stderr += String(bytes);
    });
  }

  /** Waits until standard output matches. */
  async prints(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = wanted.exec(this.stdout);
      if (match !== null) return match;
      assert.equal(this.child.exitCode ?? this.child.signalCode, null, `it ended before: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.child.stdout, 'data'), once(this.child, 'close')]);
    }
  }

  /** Waits until standard error matches. */
  async warns(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = wanted.exec(this.stderr);
      if (match !== null) return match;
      assert.equal(this.child.exitCode ?? this.child.signalCode, null, `it ended before: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.child.stderr, 'data'), once(this.child, 'close')]);
    }
  }

  async end(): Promise<Ended> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close');
    return { status: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Runs it to its end. */
export function slipway(t: TestContext, ...args: readonly string[]): Promise<Ended> {
  return new SlipwayProcess(t, ...args).end();
}
