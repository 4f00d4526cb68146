import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NamespaceGuestOptions } from '../../../src/host/namespace/namespace-guest.ts';
import { needs, needsRoot, needsTun } from '../../support/needs.ts';

/** The network of every guest here: nothing answers on it. */
export const NETWORK = {
  mac: '5a:94:ef:e4:0c:ee',
  address: '192.168.65.3',
  prefix: 24,
  gateway: '192.168.65.1',
  dns: '192.168.65.1',
  mtu: 65520,
} as const;

const RUN_GUEST = fileURLToPath(new URL('../../support/run-guest.ts', import.meta.url));

/** False (and the test is left out) where no guest can run. */
export function canRunGuests(t: TestContext): boolean {
  return needsRoot(t) && needsTun(t) && needs(t, 'unshare');
}

export function runGuestCommand(command: readonly string[], options: Partial<NamespaceGuestOptions> = {}): string[] {
  return [process.execPath, RUN_GUEST, JSON.stringify({ ...NETWORK, ...options, command })];
}

/** A private mount namespace with a /dev/net/tun of that mode ('': none), in which uid 1000 runs COMMAND as a guest. */
export function asOrdinaryUser(mode: string, command: readonly string[], also = ''): string[] {
  const node = mode === '' ? '' : `mknod -m ${mode} /dev/net/tun c 10 200;`;
  const script = `set -e; mount -t tmpfs tmpfs /dev/net; ${node} ${also} exec setpriv --reuid=1000 --regid=1000 --clear-groups "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', ...runGuestCommand(command, { cwd: '/' })];
}

/** Starts a process of its own that runs COMMAND as a guest. It is killed after the test if it still runs. */
export function startGuest(
  t: TestContext,
  command: readonly string[],
  options: Partial<NamespaceGuestOptions> = {},
  spawnOptions: SpawnOptions = {},
): ChildProcess {
  return start(t, runGuestCommand(command, options), spawnOptions);
}

export function start(t: TestContext, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), options);
  t.after(() => {
    child.kill('SIGKILL');
  });
  return child;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly error: string;
}

/** Waits for the end of the process and of both its streams, which is the end of every process that inherited them. */
export async function finished(child: ChildProcess, input = ''): Promise<Finished> {
  let out = '';
  let error = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    error += text;
  });
  child.stdin!.end(input);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out, error }));
  });
}

/** The next line that the process prints. */
export async function nextLine(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout!.setEncoding('utf8');
  for (;;) {
    const chunk: string | null = child.stdout!.read();
    if (chunk !== null) text += chunk;
    const end = text.indexOf('\n');
    if (end !== -1) {
      child.stdout!.unshift(text.slice(end + 1));
      return text.slice(0, end);
    }
    if (child.stdout!.readableEnded) throw new Error(`ended after '${text}'`);
    await new Promise<void>((resolve) => {
      child.stdout!.once('readable', resolve);
      child.stdout!.once('end', resolve);
    });
  }
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** Processes of the network namespace with that link text ('net:[4026532000]'). */
export function processesIn(network: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && networkOf(pid) === network);
}

/** Undefined when there is no such process (any more). */
export function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Looks until it is so; only the test's own time limit makes it fail. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}
