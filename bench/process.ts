import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { undoLater } from './cleanup.ts';

const STDERR_KEPT_CHARACTERS = 2000;

/** A program of the benchmark: its output by the line, its end, and its end by force with the benchmark's. */
export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #errors = '';
  #wake: () => void = () => {};
  #ended = false;
  readonly #forget: () => void;
  readonly exited: Promise<number>;

  constructor(argv: readonly string[]) {
    const [file, ...rest] = argv;
    this.name = basename(argv[argv.indexOf('--') + 1]!);
    this.#child = spawn(file!, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#forget = undoLater(() => killTree(this.pid));
    this.exited = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#errors += error.message;
        this.#end();
        resolve(127);
      });
      this.#child.on('close', (status, signal) => {
        this.#end();
        resolve(status ?? (signal === null ? 1 : 128));
      });
    });
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.#child.stderr!.on('data', (bytes: Buffer) => {
      this.#errors = (this.#errors + bytes.toString()).slice(-STDERR_KEPT_CHARACTERS);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return !this.#ended;
  }

  write(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** The first line that matches, waiting for it; throws when the program ends or `timeoutMs` passes before. */
  async line(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpMatchArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        const match = line.match(pattern);
        if (match) return match;
      }
      if (this.#ended) throw new Error(`${this.name}: ended early: ${this.#errors.trim() || 'no message'}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${this.name}: no answer within ${timeoutMs} ms: ${this.#errors.trim()}`);
      await this.#news(left);
    }
  }

  /** Throws, with what it said, if the program has ended: for programs that run until they are stopped. */
  mustRun(): void {
    if (this.#ended) throw new Error(`${this.name}: ended early: ${this.#errors.trim() || 'no message'}`);
  }

  /** SIGKILL, for what holds nothing. */
  async kill(): Promise<void> {
    this.#forget();
    await this.exited;
  }

  /** SIGTERM, and by force what is left of it and its descendants after two seconds, orphans included. */
  async stop(): Promise<void> {
    const family = processTree(this.pid).map((pid) => [pid, startTime(pid)] as const);
    if (!this.#ended) this.#child.kill('SIGTERM');
    await Promise.race([this.exited, pause(2000)]);
    for (const [pid, started] of family) if (started !== undefined && startTime(pid) === started) killOne(pid);
    await this.kill();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  async #news(ms: number): Promise<void> {
    const timer = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#wake = resolve;
      }),
      pause(ms, timer.signal),
    ]);
    timer.abort();
  }
}

/** Runs a short program to its end and returns what it printed; throws with its message if it fails. */
export function runNow(...argv: readonly string[]): string {
  const [file, ...rest] = argv;
  return execFileSync(file!, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The process and its descendants, parents first; those that ended meanwhile are left out. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)?.[1]);
    if (Number.isInteger(parent)) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/**
 * CPU seconds (user and system) that the tree's threads have used, without what runs in another network namespace (the
 * guest). Counted in ns: of a backend that moves 0.2 GB while it is measured the ticks of /proc/PID/stat would be a
 * tenth.
 */
export function cpuSeconds(root: number): number {
  return scheduled(root, 0);
}

/** Seconds that they were ready to run and waited for a processor. */
export function waitedSeconds(root: number): number {
  return scheduled(root, 1);
}

/** Field 0 of schedstat is the time on a processor, field 1 the time in a queue for one; ns. */
function scheduled(root: number, field: 0 | 1): number {
  let ns = 0;
  for (const pid of backendTree(root)) {
    for (const thread of threadsOf(pid)) {
      ns += Number(readOr(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[field] ?? 0);
    }
  }
  return ns / 1e9;
}

export function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

export interface Resident {
  /** VmRSS, KiB: what the requirements count. */
  readonly rssKib: number;
  /** Proportional share of shared pages, KiB. */
  readonly pssKib: number;
}

/** Memory of the tree, without what runs in another network namespace. */
export function resident(root: number): Resident {
  let rssKib = 0;
  let pssKib = 0;
  for (const pid of backendTree(root)) {
    const rollup = readOr(`/proc/${pid}/smaps_rollup`);
    rssKib += Number(rollup.match(/^Rss:\s+(\d+)/m)?.[1] ?? 0);
    pssKib += Number(rollup.match(/^Pss:\s+(\d+)/m)?.[1] ?? 0);
  }
  return { rssKib, pssKib };
}

/** A network namespace's identity (`net:[4026531840]`), or undefined when the process is gone. */
export function networkNamespace(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function backendTree(root: number): number[] {
  const own = networkNamespace('self');
  return processTree(root).filter((pid) => networkNamespace(pid) === own);
}

function killTree(root: number): void {
  if (root !== 0 && statFields(root) !== undefined) for (const pid of processTree(root)) killOne(pid);
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended meanwhile.
  }
}

/** Tells a process from a later one with the same number. */
function startTime(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

/** The fields of /proc/PID/stat after the name: 0 is the state, 1 the parent. */
function statFields(pid: number): string[] | undefined {
  const stat = readOr(`/proc/${pid}/stat`);
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
