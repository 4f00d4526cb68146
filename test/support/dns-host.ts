import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TestNamespace } from './namespace.ts';
import { needs } from './needs.ts';
import { canRunGuests, Slipway } from './slipway.ts';

/*
 * A computer of its own for the tests of names: an own /etc, an own network of nothing but loopback, real nameservers
 * at addresses of 127.0.0.0/8, and Slipway with its guest among them. The test changes the files of that /etc as a VPN,
 * a DHCP client or a person would, while everything runs.
 */

const MUSL_LOOKUP = fileURLToPath(new URL('./musl-lookup.c', import.meta.url));

type Disposer = Pick<TestContext, 'after'>;

/** One process holds both namespaces, and ends with its standard input, so with the test, however that ends. */
const HOLD = 'mount --bind "$1" /etc && ip link set lo up && echo ready && exec cat';

export interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** False (and the test is left out) where such a computer cannot be made. */
export function canRunDnsHosts(t: TestContext, ...programs: readonly string[]): boolean {
  return canRunGuests(t) && needs(t, 'mount', 'dig', ...programs);
}

/** A place where programs run: the host, or a guest in it. */
export class Place {
  /** What stands before a command that shall run there. */
  readonly enter: readonly string[];
  readonly namespace: TestNamespace;

  /** `process`: the folder, of any procfs, of one that runs there. */
  constructor(name: string, process: string) {
    // Its cgroups are mounted as its cgroup namespace has them.
    const spaces = { mount: 'mnt', net: 'net', cgroup: 'cgroup' };
    const flags = Object.entries(spaces).map(([flag, file]) => `--${flag}=${process}/ns/${file}`);
    this.enter = ['nsenter', ...flags, '--'];
    this.namespace = { name, path: `${process}/ns/net` };
  }

  /** Runs a program to its end; its status is the caller's to judge. */
  run(...command: readonly string[]): Promise<Output> {
    const [file, ...argv] = [...this.enter, ...command];
    return new Promise((resolve, reject) => {
      execFile(file!, argv, { encoding: 'utf8', maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(error);
        else resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  }

  /** The same; a failure fails the test. */
  async succeed(...command: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...command);
    assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }
}

/** A program that runs until the test ends it. */
export class Daemon {
  readonly pid: number;
  /** Every line that it has said. */
  readonly said: readonly string[];
  readonly #child: ChildProcess;
  #waiting: (() => void)[] = [];

  constructor(child: ChildProcess) {
    const said: string[] = [];
    const wake = (): void => {
      for (const waiter of this.#waiting.splice(0)) waiter();
    };
    this.#child = child;
    this.pid = child.pid!;
    this.said = said;
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        wake();
      });
    }
    child.on('close', wake);
  }

  /** Waits until it has said a line like `word`; its end before that is a failure. */
  async says(word: RegExp): Promise<void> {
    while (!this.said.some((line) => word.test(line))) {
      if (this.#ended) throw new Error(`${this.#child.spawnargs.join(' ')} ended: ${this.said.join('\n')}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Still there and silent: packets are swallowed, nobody is told. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

/**
 * Starts a program that stays until the test ends; ready once it says a line like `word` on standard error or output.
 * Its standard input ends with the test, however that ends.
 */
export async function serve(t: Disposer, word: RegExp, ...command: readonly string[]): Promise<Daemon> {
  const [file, ...argv] = command;
  const child = spawn(file!, argv, { stdio: 'pipe' });
  await once(child, 'spawn');
  const daemon = new Daemon(child);
  t.after(() => daemon.stop());
  await daemon.says(word);
  return daemon;
}

export interface DnsHostFiles {
  /** The text of /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Lines of /etc/hosts beside localhost's. */
  readonly hosts?: string;
  /** The line `hosts:` of nsswitch.conf: 'files dns' unless told. */
  readonly order?: string;
}

export class DnsHost extends Place {
  /** Its /etc, seen from outside. */
  readonly etc: string;
  /** For files that programs need; gone after the test. */
  readonly folder: string;
  readonly #t: Disposer;
  #files = 0;

  /** Makes the computer; it and all that runs in it are gone after the test. */
  static async start(t: Disposer, files: DnsHostFiles): Promise<DnsHost> {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-dns-host-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const etc = join(folder, 'etc');
    execFileSync('cp', ['-a', '/etc', etc]);
    // It may be a link to a file that is the computer's own.
    rmSync(join(etc, 'resolv.conf'), { force: true });
    const argv = ['--mount', '--net', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', etc];
    const holder = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(async () => {
      holder.stdin.end();
      if (holder.exitCode === null && holder.signalCode === null) await once(holder, 'close');
    });
    const ready = await Promise.race([once(holder.stdout, 'data'), once(holder, 'close').then(() => undefined)]);
    assert.ok(ready !== undefined, 'the namespaces of the host stand');
    const host = new DnsHost(t, holder.pid!, folder);
    host.write('resolv.conf', files.resolvConf);
    host.hosts(files.hosts ?? '');
    host.order(files.order ?? 'files dns');
    return host;
  }

  private constructor(t: Disposer, pid: number, folder: string) {
    super(`host ${pid}`, `/proc/${pid}`);
    this.#t = t;
    this.folder = folder;
    this.etc = join(folder, 'etc');
  }

  /** Writes a file of /etc in place, as an editor or `cat >` does. */
  write(name: string, text: string): void {
    writeFileSync(join(this.etc, name), text);
  }

  /** Puts a new file in the place of the old one, as NetworkManager and DHCP clients do. */
  rename(name: string, text: string): void {
    this.#files++;
    const fresh = join(this.etc, `${name}.new${this.#files}`);
    writeFileSync(fresh, text);
    renameSync(fresh, join(this.etc, name));
  }

  /**
   * Turns the name into a symbolic link to a file outside /etc, as systemd-resolved and resolvconf do; a link there is
   * replaced at once.
   */
  link(name: string, text: string): void {
    this.#files++;
    const target = join(this.folder, `${name}-${this.#files}`);
    const fresh = join(this.etc, `${name}.link${this.#files}`);
    writeFileSync(target, text);
    symlinkSync(target, fresh);
    renameSync(fresh, join(this.etc, name));
  }

  isLink(name: string): boolean {
    return lstatSync(join(this.etc, name)).isSymbolicLink();
  }

  hosts(lines: string): void {
    this.write('hosts', `127.0.0.1 localhost\n::1 localhost\n${lines}\n`);
  }

  /** The order of sources of names in nsswitch.conf. */
  order(sources: string): void {
    const others = readFileSync(join(this.etc, 'nsswitch.conf'), 'utf8').replaceAll(/^hosts:.*\n/gm, '');
    this.write('nsswitch.conf', `${others}hosts: ${sources}\n`);
  }

  /** Gives loopback one more address; those of 127.0.0.0/8 are there anyway. */
  async address(cidr: string): Promise<void> {
    await this.succeed('ip', 'address', 'add', cidr, 'dev', 'lo', ...(cidr.includes(':') ? ['nodad'] : []));
  }

  /** Starts a program that stays; ready once it says a line like `word` on standard error or output. */
  serve(word: RegExp, ...command: readonly string[]): Promise<Daemon> {
    return serve(this.#t, word, ...this.enter, ...command);
  }

  /** A dnsmasq at port 53 of the address that knows only what its lines of configuration say. */
  async dnsmasq(address: string, ...lines: readonly string[]): Promise<Daemon> {
    const conf = this.#conf('dnsmasq', [
      ...['keep-in-foreground', 'no-resolv', 'no-hosts', 'bind-interfaces', 'user=root', 'pid-file', 'log-facility=-'],
      `listen-address=${address}`,
      // Of lo it would take 127.0.0.1 too.
      ...(address === '127.0.0.1' ? [] : ['except-interface=lo']),
      ...lines,
    ]);
    return await this.serve(/started, version/, 'dnsmasq', `--conf-file=${conf}`);
  }

  /** An unbound at port 53 of the address. `lines` come after the section `server:`. */
  async unbound(address: string, lines: readonly string[], modules = 'iterator'): Promise<Daemon> {
    const folder = join(this.folder, `unbound-${address}`);
    mkdirSync(folder);
    const conf = this.#conf('unbound', [
      'server:',
      ...[`interface: ${address}`, 'port: 53', 'do-daemonize: no', 'use-syslog: no', 'chroot: ""', 'username: ""'],
      ...[`directory: "${folder}"`, 'pidfile: ""', 'num-threads: 1', 'verbosity: 1', `module-config: "${modules}"`],
      ...['do-not-query-localhost: no', 'access-control: 0.0.0.0/0 allow', 'access-control: ::/0 allow'],
      ...['qname-minimisation: no', 'root-hints: ""', 'target-fetch-policy: "0 0 0 0 0"'],
      ...lines,
      'remote-control:',
      'control-enable: no',
    ]);
    return await this.serve(/start of service/, 'unbound', '-d', '-c', conf);
  }

  /** Starts Slipway here, with a guest unless told; `dns` is the key of its configuration. */
  async slipway(
    dns: object = {},
    options: { readonly listen?: readonly string[]; readonly guest?: boolean } = {},
  ): Promise<Slipway> {
    const config = JSON.stringify({ dns });
    // As main.ts sets it: the pool of threads for getaddrinfo.
    const env = { UV_THREADPOOL_SIZE: '128' };
    return await Slipway.start(this.#t, { enter: this.enter, env, config, ...options });
  }

  #conf(program: string, lines: readonly string[]): string {
    this.#files++;
    const file = join(this.folder, `${program}-${this.#files}.conf`);
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  }
}

/** The guest of a Slipway, with its own files. */
export function guestOf(slipway: Slipway): Place {
  return new Place(`guest of ${slipway.pid}`, `/proc/${slipway.guestPid}`);
}

/** Compiles the program that looks names up as musl does, static, into the host's folder. */
export function compileMuslLookup(host: DnsHost): string {
  const program = join(host.folder, 'musl-lookup');
  execFileSync('musl-gcc', ['-static', '-O1', '-o', program, MUSL_LOOKUP]);
  return program;
}

/** What dig printed, in the parts that tests look at. */
export interface Dug {
  readonly status: string;
  readonly flags: readonly string[];
  /** "name ttl class type data" with single blanks, by section, in dig's order. */
  readonly answer: readonly string[];
  readonly authority: readonly string[];
  readonly additional: readonly string[];
  readonly text: string;
}

export function readDig(text: string): Dug {
  const section = (name: string): string[] =>
    (new RegExp(`;; ${name} SECTION:\n([^]*?)\n(?:\n|$)`).exec(text)?.[1] ?? '')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(';'))
      .map((line) => line.replaceAll(/\s+/g, ' '));
  return {
    status: /status: (\w+)/.exec(text)?.[1] ?? 'none',
    flags: /flags: ([a-z ]*);/.exec(text)?.[1]?.trim().split(' ') ?? [],
    answer: section('ANSWER'),
    authority: section('AUTHORITY'),
    additional: section('ADDITIONAL'),
    text,
  };
}

/** A record of dig's without its TTL, which a cache counts down. */
export function withoutTtl(records: readonly string[]): string[] {
  return records.map((record) => record.replace(/^(\S+) \d+ /, '$1 ')).sort();
}

/** Asks with dig, once, at the resolv.conf of the place unless an `@server` is among the arguments. */
export async function dig(place: Place, ...args: readonly string[]): Promise<Dug> {
  const { stdout } = await place.run('dig', '+tries=1', '+time=8', '+nocookie', ...args);
  return readDig(stdout);
}
