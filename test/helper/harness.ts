import assert from 'node:assert/strict';
import { type ChildProcessByStdio, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PortRequest } from '../../src/host/ports/bind.ts';
import { createNamespace, type TestNamespace } from '../support/namespace.ts';
import { needs, needsRoot } from '../support/needs.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PUBLISH = fileURLToPath(new URL('../host/ports/publish.ts', import.meta.url));

/** The helper's own user, which is on nobody's list. */
export const HELPER_UID = 54_321;
/** A user on the list, and one that is not. */
export const FRIEND = 65_534;
export const STRANGER = 65_533;
const BIND_ONLY = '-all,+net_bind_service';
/** As `slipway helper install` has systemd start it. */
export const CONFINED: readonly string[] = [
  `--reuid=${HELPER_UID}`,
  `--regid=${HELPER_UID}`,
  '--clear-groups',
  `--inh-caps=${BIND_ONLY}`,
  `--ambient-caps=${BIND_ONLY}`,
  `--bounding-set=${BIND_ONLY}`,
  '--no-new-privs',
];

/** False (and the test is left out) where no helper can be started as systemd would. */
export function canConfine(t: TestContext): boolean {
  return needsRoot(t) && needs(t, 'setpriv', 'ip', 'nsenter');
}

export interface HelperSetup {
  /** Of setpriv. */
  readonly confinement?: readonly string[];
  /** Beside --socket. */
  readonly args?: readonly string[];
  /** Before the helper's own command: more that starts it. */
  readonly through?: readonly string[];
}

/** A helper in a namespace where ports below 1024 are privileged, and its socket. Ended after the test. */
export class RunningHelper {
  readonly namespace: TestNamespace;
  readonly socket: string;
  readonly child: ChildProcessByStdio<null, null, Readable>;
  readonly ended: Promise<unknown>;
  #log = '';

  static async start(t: TestContext, setup: HelperSetup = {}): Promise<RunningHelper> {
    const helper = new RunningHelper(t, setup);
    await helper.says(/serving/);
    return helper;
  }

  constructor(t: TestContext, setup: HelperSetup) {
    const { confinement = CONFINED, args = ['--allow-uid', '0', `${FRIEND}`], through = [] } = setup;
    const folder = mkdtempSync(path.join(tmpdir(), 'slipway-helper-'));
    chmodSync(folder, 0o777);
    this.namespace = createNamespace(t, 'helper');
    this.socket = path.join(folder, 'helper.sock');
    const program = [process.execPath, MAIN, 'helper', 'serve', '--socket', this.socket, ...args];
    const command = [`--net=${this.namespace.path}`, '--', ...through, 'setpriv', ...confinement, ...program];
    this.child = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.ended = once(this.child, 'close');
    t.after(async () => {
      this.child.kill();
      await this.ended;
      rmSync(folder, { recursive: true });
    });
    this.child.stderr.on('data', (bytes) => {
      this.#log += String(bytes);
    });
  }

  /** What it said: a line for each request. */
  get log(): string {
    return this.#log;
  }

  /** Waits until the log matches. */
  async says(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = wanted.exec(this.#log);
      if (match !== null) return match;
      assert.equal(this.child.exitCode ?? this.child.signalCode, null, `it ended before: ${this.#log}`);
      await Promise.race([once(this.child.stderr, 'data'), once(this.child, 'close')]);
    }
  }

  publishes(t: TestContext, uid: number, request: Partial<PortRequest>): Promise<Published> {
    return publish(t, this.namespace, uid, { ...request, helper: this.socket });
  }
}

/** What publish.ts said. */
export interface Published {
  readonly boundPort?: number;
  readonly descriptors?: number;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
}

/** Publishes in the namespace as a user without any capability; what is bound stays so until the test ends. */
export async function publish(
  t: TestContext,
  namespace: TestNamespace,
  uid: number,
  request: Partial<PortRequest> & { readonly helper: string },
): Promise<Published> {
  const whole = { protocol: 'tcp', address: '', port: 0, count: 1, ipv4Only: false, ...request };
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
  const program = [process.execPath, PUBLISH, JSON.stringify(whole)];
  const child: ChildProcessWithoutNullStreams = spawn('nsenter', [
    `--net=${namespace.path}`,
    '--',
    'setpriv',
    ...user,
    ...program,
  ]);
  const ended = once(child, 'close');
  t.after(async () => {
    child.stdin.destroy();
    child.kill();
    await ended;
  });
  let [said, complaint] = ['', ''];
  child.stderr.on('data', (bytes) => {
    complaint += String(bytes);
  });
  for await (const bytes of child.stdout.iterator({ destroyOnReturn: false })) {
    said += String(bytes);
    if (said.endsWith('\n')) return JSON.parse(said) as Published;
  }
  throw new Error(`it said nothing: ${complaint}`);
}
