/**
 * The process that a guest's namespaces hang on, as its parent holds it: started with nothing of ours but one end of a
 * socket and COMMAND's streams, watched by a pidfd, and released whole when it has ended.
 *
 * It is not Node's child_process: that would give it an empty signal mask, and Node's SIGCHLD handler reaps only its
 * own.
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { SlipwayError } from '../../facts/errors.ts';
import { F_DUPFD_CLOEXEC } from '../socket-numbers.ts';
import { findCommand } from './command.ts';
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
  type InitEvent,
  type LauncherRequest,
  SOCKET_FD,
  STANDARD_FDS,
  say,
} from './mail.ts';
import { messagePair } from './scm-rights.ts';
import { spawn } from './spawn.ts';

const pidfdOpen: (number: number, pid: number, flags: number) => number = declare(
  'long syscall(long number, int pid, unsigned int flags)',
);
/** The same on every 64-bit architecture. */
const SYS_PIDFD_OPEN = 434;
const fcntl: (fd: number, command: number, argument: number) => number = declare(
  'int fcntl(int fd, int command, long argument)',
);
/** Above every number that a child's descriptors are placed at. */
const FREE_FD = 16;

/** Ours to pass on, or to ignore: unshare must outlive them, for its death is init's. */
const BLOCKED_IN_UNSHARE = (
  ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const
).map((name) => constants.signals[name]);

/** How much the namespaces keep apart. */
export interface Isolation {
  /** False: a user namespace is needed for the others. */
  readonly privileged: boolean;
  /** Kinds that the kernel lacks. */
  readonly without: readonly string[];
}

export interface ChildEvents {
  heard(event: InitEvent, descriptor: number): void;
  /**
   * The wait status of unshare, which ends after the last process inside; what it and init wrote as diagnosis. Last
   * call.
   */
  ended(status: number, said: string): void;
}

/** The process outside that init's namespaces hang on, the socket to init, and their release. */
export class UnshareChild {
  readonly #pid: number;
  readonly #pidfd: number;
  readonly #socket: number;
  readonly #diagnosis: number;
  readonly #events: ChildEvents;
  readonly #unwatchExit: () => void;
  #unwatchSocket: (() => void) | undefined;

  constructor(description: GuestDescription, isolation: Isolation, events: ChildEvents) {
    this.#events = events;
    const [outside, inside] = messagePair();
    this.#socket = outside;
    this.#diagnosis = check('memfd_create', memfdCreate('slipway-diagnosis', MFD_CLOEXEC));
    try {
      this.#pid = launch(description, isolation, inside, this.#diagnosis);
    } catch (error) {
      close(outside);
      close(this.#diagnosis);
      throw error;
    } finally {
      close(inside);
    }
    this.#pidfd = check('pidfd_open', pidfdOpen(SYS_PIDFD_OPEN, this.#pid, 0));
    this.#unwatchExit = watch(this.#pidfd, () => this.#reap());
    this.#unwatchSocket = watch(this.#socket, () => this.#listen());
  }

  say(request: LauncherRequest): void {
    if (this.#unwatchSocket !== undefined) say(this.#socket, request);
  }

  /** Closes our end of the socket: init sees it and ends. */
  close(): void {
    if (this.#unwatchSocket === undefined) return;
    this.#unwatchSocket();
    this.#unwatchSocket = undefined;
    close(this.#socket);
  }

  #listen(): void {
    while (this.#unwatchSocket !== undefined) {
      const heard = hear<InitEvent>(this.#socket);
      if (heard === undefined) return;
      if (heard === 'end') this.close();
      else this.#events.heard(heard.mail, heard.descriptor);
    }
  }

  #reap(): void {
    const status = new Int32Array(1);
    if (waitpid(this.#pid, status, WNOHANG) === 0) return;
    this.#listen();
    this.close();
    this.#unwatchExit();
    close(this.#pidfd);
    const said = readFileSync(`/proc/self/fd/${this.#diagnosis}`, 'utf8');
    close(this.#diagnosis);
    this.#events.ended(status[0]!, said);
  }
}

/** Starts unshare and through it init; returns the process id of unshare. */
function launch(description: GuestDescription, isolation: Isolation, socket: number, diagnosis: number): number {
  const unshare = findUnshare();
  const { privileged, without } = isolation;
  const namespaces = ['net', 'mount', 'pid', 'uts', 'ipc', 'cgroup'].filter((kind) => !without.includes(kind));
  const options = [...namespaces.map((kind) => `--${kind}`), '--fork', '--mount-proc', '--kill-child'];
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
      argv: ['unshare', ...options, ...asRoot, '--', process.execPath, ...NODE_FLAGS, INIT],
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
