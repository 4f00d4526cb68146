/**
 * A guest without a virtual machine: a command of this machine in network, mount and process namespaces of its own,
 * whose only interface is a tap that this process holds the other end of.
 *
 *   this process ── posix_spawn ── unshare (util-linux) ── init.ts, process 1 inside ── COMMAND
 *        └───────────────── one socket: the tap out, `proceed` in ──────────┘
 *
 * Namespaces are made by `unshare`, because a process with threads, as Node is, cannot enter a user namespace. Without
 * the capabilities of root it also makes a user namespace in which the user is root. All that `unshare` and init share
 * with this process is that socket: when either side ends, however it ends, the other sees the socket close, and
 * the end of init is the end of every process inside. The interface goes with the last of its descriptors.
 *
 * The network is isolated, the files are not.
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, SlipwayError } from '../../config/errors.ts';
import { findCommand } from './command.ts';
import { checkPrerequisites, diagnose, hasNamespaceCapabilities } from './diagnose.ts';
import type { TapOffloads } from './ioctl.ts';
import {
  check,
  close,
  declare,
  MFD_CLOEXEC,
  memfdCreate,
  O_CLOEXEC,
  O_RDWR,
  open,
  WNOHANG,
  waitpid,
  watch,
} from './libc.ts';
import {
  DESCRIPTION_FD,
  type GuestDescription,
  hear,
  type InitMessage,
  SOCKET_FD,
  STANDARD_FDS,
  say,
} from './messages.ts';
import { messagePair } from './scm-rights.ts';
import { spawn } from './spawn.ts';
import { forwardSignals } from './terminal.ts';

export interface NamespaceGuestOptions {
  /** The command and its arguments; looked up in the PATH of `env`. */
  readonly command: readonly string[];
  /** Default tap0. */
  readonly tapName?: string;
  /** 48-bit number or text with colons. */
  readonly mac: number | string;
  /** IPv4 addresses as unsigned 32-bit numbers or text. */
  readonly address: number | string;
  readonly prefix: number;
  readonly gateway: number | string;
  readonly dns: number | string;
  /** Bytes, at most 65521. */
  readonly mtu: number;
  readonly searchDomains?: readonly string[];
  /**
   * Packets that the kernel queues towards us while we are busy. Default 10,000: a full queue drops, and 10,000 holds
   * the windows of eight flows at MTU 1500.
   */
  readonly txQueueLength?: number;
  /** Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: this process's. */
  readonly cwd?: string;
  /** Pass this process's SIGTERM, SIGINT, … on to COMMAND from `proceed` to its end, instead of dying by them. Default true. */
  readonly forwardSignals?: boolean;
}

/** How COMMAND ended. Signals without a name in Node read 'SIG35'. */
export type GuestEnd = { readonly code: number } | { readonly signal: string };

export interface NamespaceGuest {
  /** Non-blocking, close-on-exec, with the virtio header (10 bytes). Owned by the caller, who closes it; `close` does not. */
  readonly tapFd: number;
  readonly offloads: TapOffloads;
  /** Settles when no process is left inside. Rejects (ERR_COMMAND_…, ERR_NAMESPACE_SETUP) when COMMAND could not be started or init failed. */
  readonly exited: Promise<GuestEnd>;
  /** The network is up: starts COMMAND. Idempotent. */
  proceed(): void;
  /** Sends COMMAND a signal; before `proceed` it ends the guest as if by that signal. */
  kill(signal: NodeJS.Signals): void;
  /** Ends the guest now, as kill -9 would; `exited` settles soon after. Idempotent. */
  close(): void;
}

/**
 * Makes the namespaces and their interface; COMMAND waits for `proceed`. Errors: ERR_COMMAND_NOT_FOUND,
 * ERR_COMMAND_NOT_EXECUTABLE, ERR_TUN_MISSING, ERR_TUN_DENIED, ERR_NAMESPACE_DENIED, ERR_NAMESPACE_SETUP.
 */
export async function startNamespaceGuest(options: NamespaceGuestOptions): Promise<NamespaceGuest> {
  const description = describe(options);
  const privileged = hasNamespaceCapabilities();
  checkPrerequisites(privileged);
  const guest = new LaunchedGuest(description, privileged, options.forwardSignals ?? true);
  await guest.started;
  return guest;
}

const pidfdOpen: (number: number, pid: number, flags: number) => number = declare(
  'long syscall(long number, int pid, unsigned int flags)',
);
/** The same on every 64-bit architecture. */
const SYS_PIDFD_OPEN = 434;
const fcntl: (fd: number, command: number, argument: number) => number = declare(
  'int fcntl(int fd, int command, long argument)',
);
const F_DUPFD_CLOEXEC = 1030;
/** Above every number that a child's descriptors are placed at. */
const FREE_FD = 16;

/** Ours to pass on, or to ignore: unshare must outlive them, for its death is init's. */
const BLOCKED_IN_UNSHARE = (
  ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const
).map((name) => constants.signals[name]);

class LaunchedGuest implements NamespaceGuest {
  tapFd = -1;
  offloads: TapOffloads = { checksum: false, tcpSegmentation: false, udpSegmentation: false };
  readonly exited: Promise<GuestEnd>;
  readonly started: Promise<void>;
  readonly #start = new Settlement<void>();
  readonly #exit = new Settlement<GuestEnd>();
  readonly #child: UnshareChild;
  readonly #privileged: boolean;
  readonly #forwards: boolean;
  #state: 'starting' | 'ready' | 'running' | 'closed' = 'starting';
  /** What init said of the end, before the processes are gone. */
  #last: InitMessage | undefined;
  #stopForwarding: () => void = () => {};

  constructor(description: GuestDescription, privileged: boolean, forwards: boolean) {
    this.#privileged = privileged;
    this.#forwards = forwards;
    this.started = this.#start.promise;
    this.exited = this.#exit.promise;
    // A caller that learns of the failure elsewhere need not listen here.
    this.exited.catch(() => {});
    this.#child = new UnshareChild(description, privileged, {
      heard: (message, descriptor) => this.#heard(message, descriptor),
      ended: (status, said) => this.#ended(status, said),
    });
  }

  proceed(): void {
    if (this.#state !== 'ready') return;
    this.#state = 'running';
    if (this.#forwards) this.#stopForwarding = forwardSignals((signal) => this.kill(signal));
    this.#child.say({ kind: 'proceed' });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.say({ kind: 'signal', signal: constants.signals[signal] });
  }

  close(): void {
    this.#state = 'closed';
    this.#child.abandon();
  }

  #heard(message: InitMessage, descriptor: number): void {
    if (message.kind !== 'ready') {
      this.#last = message;
      return;
    }
    this.tapFd = descriptor;
    this.offloads = message.offloads;
    this.#state = 'ready';
    this.#start.resolve();
  }

  #ended(status: number, said: string): void {
    this.#stopForwarding();
    const end = this.#verdict(status, said);
    if (this.#state === 'starting') {
      this.#start.reject(
        end instanceof SlipwayError ? end : diagnose(said, `it ended by ${JSON.stringify(end)}`, this.#privileged),
      );
    }
    if (end instanceof SlipwayError) this.#exit.reject(end);
    else this.#exit.resolve(end);
  }

  #verdict(status: number, said: string): GuestEnd | SlipwayError {
    const last = this.#last;
    if (last?.kind === 'exited') return { code: last.code };
    if (last?.kind === 'killed') return { signal: signalName(last.signal) };
    if (last?.kind === 'failed') return new SlipwayError(last.code, last.message, last.hint);
    if (this.#state === 'closed') return { signal: 'SIGKILL' };
    const signal = status & 0x7f;
    const crash = said.replace(/^unshare: .*$/gm, '').trim();
    if (this.#state !== 'starting' && crash === '') {
      // unshare cannot pass a SIGKILL of init on, and exits with a complaint instead. COMMAND had that signal either way.
      return { signal: signalName(signal === 0 ? constants.signals.SIGKILL : signal) };
    }
    return diagnose(said, `init ended with status ${(status >> 8) & 0xff}, signal ${signal}`, this.#privileged);
  }
}

/** A promise and the two ways to settle it. */
class Settlement<Value> {
  resolve!: (value: Value) => void;
  reject!: (error: Error) => void;
  readonly promise: Promise<Value> = new Promise<Value>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

interface ChildEvents {
  heard(message: InitMessage, descriptor: number): void;
  /** The wait status of unshare, which ends after the last process inside; what it and init wrote as diagnosis. Last call. */
  ended(status: number, said: string): void;
}

/** The process outside that init's namespaces hang on, the socket to init, and their release. */
class UnshareChild {
  readonly #pid: number;
  readonly #pidfd: number;
  readonly #socket: number;
  readonly #diagnosis: number;
  readonly #events: ChildEvents;
  readonly #unwatchExit: () => void;
  #unwatchSocket: (() => void) | undefined;

  constructor(description: GuestDescription, privileged: boolean, events: ChildEvents) {
    this.#events = events;
    const [outside, inside] = messagePair();
    this.#socket = outside;
    this.#diagnosis = check('memfd_create', memfdCreate('slipway-diagnosis', MFD_CLOEXEC));
    this.#pid = launch(description, privileged, inside, this.#diagnosis);
    close(inside);
    this.#pidfd = check('pidfd_open', pidfdOpen(SYS_PIDFD_OPEN, this.#pid, 0));
    this.#unwatchExit = watch(this.#pidfd, () => this.#reap());
    this.#unwatchSocket = watch(this.#socket, () => this.#listen());
  }

  say(message: Parameters<typeof say>[1]): void {
    if (this.#unwatchSocket !== undefined) say(this.#socket, message);
  }

  /** Closes our end of the socket: init sees it and ends. */
  abandon(): void {
    if (this.#unwatchSocket === undefined) return;
    this.#unwatchSocket();
    this.#unwatchSocket = undefined;
    close(this.#socket);
  }

  #listen(): void {
    while (this.#unwatchSocket !== undefined) {
      const heard = hear<InitMessage>(this.#socket);
      if (heard === undefined) return;
      if (heard === 'end') this.abandon();
      else this.#events.heard(heard.message, heard.descriptor);
    }
  }

  #reap(): void {
    const status = new Int32Array(1);
    if (waitpid(this.#pid, status, WNOHANG) === 0) return;
    this.#listen();
    this.abandon();
    this.#unwatchExit();
    close(this.#pidfd);
    const said = readFileSync(`/proc/self/fd/${this.#diagnosis}`, 'utf8');
    close(this.#diagnosis);
    this.#events.ended(status[0]!, said);
  }
}

/** Starts unshare and through it init; returns the process id of unshare. */
function launch(description: GuestDescription, privileged: boolean, socket: number, diagnosis: number): number {
  const unshare = findUnshare();
  const isolation = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
  const asRoot = privileged ? [] : ['--user', '--map-root-user'];
  const opened: number[] = [];
  const aside = (what: string, fd: number): number => {
    const copy = check('fcntl', fcntl(check(what, fd), F_DUPFD_CLOEXEC, FREE_FD));
    opened.push(copy);
    return copy;
  };
  const nothing = check('opening /dev/null', open('/dev/null', O_RDWR | O_CLOEXEC));
  const file = check('memfd_create', memfdCreate('slipway-guest', MFD_CLOEXEC));
  try {
    writeSync(file, JSON.stringify(description), 0);
    const quiet = aside('dup', nothing);
    const started = spawn({
      path: unshare,
      argv: ['unshare', ...isolation, ...asRoot, '--', process.execPath, ...NODE_FLAGS, INIT],
      // Not COMMAND's: NODE_OPTIONS and the like are not meant for init.
      env: { PATH: process.env.PATH },
      descriptors: [
        ...STANDARD_FDS.map((target, source) => [source, target] as const),
        [aside('dup', socket), SOCKET_FD],
        [aside('dup', file), DESCRIPTION_FD],
        [quiet, 0],
        [quiet, 1],
        [aside('dup', diagnosis), 2],
      ],
      blocked: BLOCKED_IN_UNSHARE,
    });
    if (typeof started === 'number') return started;
    throw new SlipwayError('ERR_NAMESPACE_SETUP', `${unshare} cannot be started: ${started}.`);
  } finally {
    for (const fd of [nothing, file, ...opened]) closeSync(fd);
  }
}

/** init.ts beside this file, or init.js when built. */
const INIT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './init.ts' : './init.js', import.meta.url));
/** init needs neither helper threads of V8 nor a large heap. */
const NODE_FLAGS = ['--v8-pool-size=0', '--max-old-space-size=64', '--no-warnings'];

function findUnshare(): string {
  try {
    return findCommand('unshare', process.env.PATH, '/');
  } catch {
    throw new SlipwayError(
      'ERR_NAMESPACE_SETUP',
      'The program unshare, which makes the namespaces, is not installed.',
      'Install util-linux (Debian: sudo apt-get install util-linux).',
    );
  }
}

function describe(options: NamespaceGuestOptions): GuestDescription {
  const { command, tapName = 'tap0', prefix, mtu, searchDomains = [], txQueueLength = 10_000 } = options;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.env ?? process.env)) if (value !== undefined) env[name] = value;
  const cwd = options.cwd ?? process.cwd();
  const search = searchDomains.length === 0 ? '' : `search ${searchDomains.join(' ')}\n`;
  return {
    path: findCommand(command[0] ?? '', env.PATH, cwd),
    argv: command,
    env,
    cwd,
    tapName,
    mac: macNumber(options.mac),
    address: ipv4Number(options.address),
    prefix,
    gateway: ipv4Number(options.gateway),
    mtu,
    txQueueLength,
    resolvConf: `# Made by slipway run; only this command sees it.\nnameserver ${ipv4Text(ipv4Number(options.dns))}\n${search}`,
  };
}

function macNumber(mac: number | string): number {
  if (typeof mac === 'number') return mac;
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) throw invalid('MAC address', mac);
  return Number.parseInt(mac.replaceAll(':', ''), 16);
}

function ipv4Number(address: number | string): number {
  if (typeof address === 'number') return address;
  if (!isIPv4(address)) throw invalid('IPv4 address', address);
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function ipv4Text(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

function invalid(what: string, text: string): SlipwayError {
  const code: ErrorCode = 'ERR_ADDRESSES';
  return new SlipwayError(code, `'${text}' is not a ${what}.`);
}

function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) if (value === number) return name;
  return `SIG${number}`;
}
