/**
 * A guest without a virtual machine: a command of this machine in network, mount, process, UTS, IPC and cgroup
 * namespaces of its own, whose only interface is a tap that this process holds the other end of.
 *
 *   this process ── posix_spawn ── unshare (util-linux) ── init.ts, process 1 inside ── COMMAND
 *        └───────────────── one socket: the tap out, `proceed` in ──────────┘
 *
 * Namespaces are made by `unshare`, because a process with threads, as Node is, cannot enter a user namespace. Without
 * the capabilities of root it also makes a user namespace in which the user is root. All that `unshare` and init share
 * with this process is that socket, and the sockets that went out through it: when either side ends, however it ends,
 * the other sees the socket close, and the end of init is the end of every process inside. The interface goes with the
 * last of its descriptors.
 *
 * The network is isolated, the files are not.
 */
import { constants } from 'node:os';
import { NO_OFFLOADS, type Offloads } from '../../env/offloads.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { describeGuest, type NamespaceGuestOptions } from './description.ts';
import { checkPrerequisites, diagnose, hasNamespaceCapabilities, missingNamespaces } from './diagnose.ts';
import type { GuestDescription, InitEvent } from './mail.ts';
import { forwardSignals } from './terminal.ts';
import { UnshareChild } from './unshare-child.ts';

export type { NamespaceGuestOptions } from './description.ts';

/** Made in the guest's network namespace. */
export interface GuestSocketDescriptors {
  /** A sock_diag(7) socket. */
  readonly table: number;
  /** The end of a pair whose other end answers with unconnected TCP sockets (`serveSockets`). */
  readonly source: number;
}

/** How COMMAND ended. Signals without a name in Node read 'SIG35'. */
export type GuestEnd = { readonly code: number } | { readonly signal: string };

export interface NamespaceGuest {
  /**
   * Non-blocking, close-on-exec, with the virtio header (10 bytes). Owned by the caller, who closes it; `abort` does
   * not.
   */
  readonly tapFd: number;
  readonly offloads: Offloads;
  /**
   * Descriptors that see and make sockets of the guest's network, owned as the tap's is; undefined where the kernel has
   * no sock_diag.
   */
  readonly sockets: GuestSocketDescriptors | undefined;
  /** Kinds of namespaces that this kernel lacks: of those the guest has this computer's own. */
  readonly shared: readonly string[];
  /**
   * Settles when no process is left inside. Rejects (ERR_COMMAND_…, ERR_NAMESPACE_SETUP) when COMMAND could not be
   * started or init failed.
   */
  readonly exited: Promise<GuestEnd>;
  /** The network is up: starts COMMAND. Idempotent. */
  proceed(): void;
  /** Sends COMMAND a signal; before `proceed` it ends the guest as if by that signal. */
  kill(signal: NodeJS.Signals): void;
  /** Ends the guest now, as kill -9 would; `exited` settles soon after. Idempotent. */
  abort(): void;
}

/**
 * Makes the namespaces and their interface; COMMAND waits for `proceed`. Errors: ERR_COMMAND_NOT_FOUND,
 * ERR_COMMAND_NOT_EXECUTABLE, ERR_TUN_MISSING, ERR_TUN_DENIED, ERR_NAMESPACE_DENIED, ERR_NAMESPACE_SETUP.
 */
export async function startNamespaceGuest(options: NamespaceGuestOptions): Promise<NamespaceGuest> {
  const description = describeGuest(options);
  const privileged = hasNamespaceCapabilities();
  checkPrerequisites(privileged);
  const guest = new LaunchedGuest(description, privileged, options.forwardSignals ?? true);
  await guest.started;
  return guest;
}

class LaunchedGuest implements NamespaceGuest {
  tapFd = -1;
  offloads: Offloads = NO_OFFLOADS;
  readonly shared: readonly string[];
  readonly exited: Promise<GuestEnd>;
  readonly started: Promise<void>;
  readonly #start = new Settlement<void>();
  readonly #exit = new Settlement<GuestEnd>();
  readonly #child: UnshareChild;
  readonly #privileged: boolean;
  readonly #forwards: boolean;
  readonly #ignoresHangup: boolean;
  #table = -1;
  #source = -1;
  #state: 'starting' | 'ready' | 'running' | 'closed' = 'starting';
  /** What init said of the end, before the processes are gone. */
  #last: InitEvent | undefined;
  #stopForwarding: () => void = () => {};

  constructor(description: GuestDescription, privileged: boolean, forwards: boolean) {
    this.#privileged = privileged;
    this.#forwards = forwards;
    this.#ignoresHangup = description.ignoresHangup;
    this.shared = missingNamespaces();
    this.started = this.#start.promise;
    this.exited = this.#exit.promise;
    // A caller that learns of the failure elsewhere need not listen here.
    this.exited.catch(() => {});
    this.#child = new UnshareChild(
      description,
      { privileged, without: this.shared },
      {
        heard: (event, descriptor) => this.#heard(event, descriptor),
        ended: (status, said) => this.#ended(status, said),
      },
    );
  }

  get sockets(): GuestSocketDescriptors | undefined {
    return this.#source === -1 ? undefined : { table: this.#table, source: this.#source };
  }

  proceed(): void {
    if (this.#state !== 'ready') return;
    this.#state = 'running';
    if (this.#forwards) {
      const send = (signal: NodeJS.Signals): void => this.kill(signal);
      this.#stopForwarding = forwardSignals(send, this.#ignoresHangup ? ['SIGHUP'] : []);
    }
    this.#child.say({ kind: 'proceed' });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.say({ kind: 'signal', signal: constants.signals[signal] });
  }

  abort(): void {
    this.#state = 'closed';
    this.#child.close();
  }

  #heard(event: InitEvent, descriptor: number): void {
    if (event.kind === 'socket-table') {
      this.#table = descriptor;
      return;
    }
    if (event.kind === 'socket-source') {
      this.#source = descriptor;
      return;
    }
    if (event.kind !== 'ready') {
      this.#last = event;
      return;
    }
    this.tapFd = descriptor;
    this.offloads = event.offloads;
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
      // unshare cannot pass a SIGKILL of init on, and exits with a complaint instead. COMMAND had that signal either
      // way.
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

function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) if (value === number) return name;
  return `SIG${number}`;
}
