import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { NetworkStatus } from '../../src/control/network-status.ts';
import type { TestNamespace } from './namespace.ts';
import { needs, needsRoot, needsTun } from './needs.ts';
import type { ForwardAsked, SlipwaySetup } from './slipway-process.ts';

const PROGRAM = fileURLToPath(new URL('./slipway-process.ts', import.meta.url));

export const GATEWAY = '192.168.65.1';
export const HOST = '192.168.65.254';
/** The namespace guest's own address. */
export const GUEST = '192.168.65.3';

export interface SlipwayOptions extends Partial<SlipwaySetup> {
  /** Where Slipway itself runs; the computer's own network unless told. */
  readonly namespace?: TestNamespace;
  /** The same by a command that enters namespaces of any kind and then becomes the command behind it. */
  readonly enter?: readonly string[];
  /** Beside the test's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Bound of each thread's heap: with a small one, what is resident shows what is kept, not how lazy the collector is.
   */
  readonly heapMiB?: number;
}

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;

export interface Said {
  readonly event: string;
  readonly [fact: string]: unknown;
}

/** False (and the test is left out) where no namespace guest can run. */
export function canRunGuests(t: TestContext): boolean {
  return needsRoot(t) && needsTun(t) && needs(t, 'unshare', 'nsenter', 'ip');
}

/** A running Slipway in a process of its own; with `guest` (the default) a namespace on its tap. */
export class Slipway {
  readonly pid: number;
  readonly said: Said[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #waiting: (() => void)[] = [];
  #asked = 0;
  #stderr = '';
  #guest: TestNamespace | undefined;
  #guestPid: number | undefined;

  /** Starts it and waits until network and guest stand. It is ended after the test. */
  static async start(t: Pick<TestContext, 'after'>, options: SlipwayOptions = {}): Promise<Slipway> {
    const { namespace, enter: prefix, env, heapMiB, ...rest } = options;
    const setup: SlipwaySetup = { mtu: 65520, guest: true, listen: [], hostLoopback: true, engine: 'epoll', ...rest };
    const flags = heapMiB === undefined ? [] : [`--max-old-space-size=${heapMiB}`, '--max-semi-space-size=4'];
    const program = [process.execPath, ...flags, PROGRAM, JSON.stringify(setup)];
    const enter = prefix ?? (namespace === undefined ? [] : ['nsenter', `--net=${namespace.path}`, '--']);
    const [file, ...argv] = [...enter, ...program];
    const slipway = new Slipway(
      spawn(file!, argv, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    t.after(() => slipway.stop());
    await slipway.hear((said) => said.event === 'up');
    if (setup.guest) {
      await slipway.hear((said) => said.event === 'guest');
      const home = networkOf(slipway.pid);
      const pid = descendants(slipway.pid).find((one) => networkOf(one) !== home);
      assert.ok(pid !== undefined, 'the guest’s process is there');
      slipway.#guestPid = pid;
      slipway.#guest = { name: `guest of ${slipway.pid}`, path: `/proc/${pid}/ns/net` };
    }
    return slipway;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid!;
    this.#ended = new Promise((resolve) => child.on('close', () => resolve()));
    child.stderr!.on('data', (bytes) => {
      this.#stderr += String(bytes);
    });
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.said.push(JSON.parse(line) as Said);
      this.#wake();
    });
    void this.#ended.then(() => this.#wake());
  }

  /** The network namespace of the guest on the tap. */
  get guest(): TestNamespace {
    assert.ok(this.#guest !== undefined, 'started with a guest');
    return this.#guest;
  }

  /** A process of the guest, whose namespaces are the guest's. */
  get guestPid(): number {
    assert.ok(this.#guestPid !== undefined, 'started with a guest');
    return this.#guestPid;
  }

  /** The port of listening attachment `index`. */
  port(index = 0): number {
    return Number(this.said.filter((said) => said.event === 'listening')[index]?.port);
  }

  /** What the log said. */
  get log(): string[] {
    return this.said.filter((said) => said.event === 'log').map((said) => String(said.message));
  }

  /** The first thing said from number `from` on, now or later, that `wanted` accepts. */
  async hear(wanted: (said: Said) => boolean, from = 0): Promise<Said> {
    for (;;) {
      const found = this.said.slice(from).find(wanted);
      if (found !== undefined) return found;
      assert.equal(this.#child.exitCode ?? this.#child.signalCode, null, `it ended before: ${this.#stderr}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** A picture of the network now. */
  async status(): Promise<NetworkStatus> {
    const from = this.said.length;
    this.#child.stdin!.write('status\n');
    return (await this.hear((said) => said.event === 'status', from)) as unknown as NetworkStatus;
  }

  /** Has it do something with forwards. Rejects with the error that a person would see: `code`, `message`, `hint`. */
  async ask<Result>(asked: DistributiveOmit<ForwardAsked, 'number'>): Promise<Result> {
    const number = ++this.#asked;
    const from = this.said.length;
    this.#child.stdin!.write(`${JSON.stringify({ number, ...asked })}\n`);
    const { error, result } = await this.hear((said) => said.event === 'answer' && said.number === number, from);
    if (error !== undefined) throw Object.assign(new Error(), error);
    return result as Result;
  }

  /** Makes the network thread throw or never come back, as a defect would. */
  fault(fault: 'throw' | 'spin'): void {
    this.#child.stdin!.write(`${fault}\n`);
  }

  async counter(name: string): Promise<number> {
    return (await this.status()).counters[name] ?? 0;
  }

  /** Asks for the status until `wanted` holds; for what follows from packets that are still on their way. */
  async reaches(wanted: (status: NetworkStatus) => boolean, what: string, limitMs = 20_000): Promise<NetworkStatus> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const status = await this.status();
      if (wanted(status)) return status;
      assert.ok(performance.now() < deadline, `${what}: ${JSON.stringify(status)}`);
    }
  }

  /** Descriptors that the process has open. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Resident memory in bytes. */
  get resident(): number {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]);
  }

  async stop(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }

  #wake(): void {
    for (const waiter of this.#waiting.splice(0)) waiter();
  }
}

function descendants(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function networkOf(pid: number): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}
