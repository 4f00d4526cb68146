import type { Config } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { LogFields } from '../env/log.ts';
import { LeaseBook } from '../services/leases/lease-book.ts';
import { type DatagramService, DatagramServices } from './datagram-services.ts';
import { GuestLines } from './guest-lines.ts';
import { HeartbeatWatch } from './heartbeat-watch.ts';
import type { Kept, WithThread } from './kept.ts';
import { KeptAttachments } from './kept-attachments.ts';
import { type ForwardEvents, KeptForwards } from './kept-forwards.ts';
import { KeptLeases } from './kept-leases.ts';
import { KeptRequests } from './kept-requests.ts';
import { NetworkThreadHandle } from './network-thread-handle.ts';
import type { AnswerOf, OperationName, RequestOf } from './operations.ts';
import { ThreadStop } from './thread-stop.ts';
import type { Fault } from './thread-state.ts';

/** More than this many deaths within a minute: something is wrong that a new thread does not mend. */
const MAX_RESTARTS = 5;
const RESTART_WINDOW_MS = 60_000;

/** Where lines for people go. */
export interface ControlLog {
  /** As `Log.debug`: there only while debug logs are on. After a change `NetworkControl.logChanged` is due. */
  readonly debug?: ((message: string, fields?: LogFields) => void) | undefined;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface NetworkControlOptions {
  readonly config: Config;
  readonly engine: 'epoll' | 'node';
  readonly log: ControlLog;
  /** UDP services by name. */
  readonly datagramServices?: Readonly<Record<string, DatagramService>>;
  /** The leases of guests, from earlier processes too. An empty book unless given. */
  readonly leases?: LeaseBook;
  /** This computer's addresses or routes changed. The portable engine does not know it. */
  readonly onNetworkChange?: () => void;
  readonly forwards?: ForwardEvents;
  /** The network is lost for good; the process should end with this error. */
  readonly onFatal: (error: SlipwayError) => void;
}

/**
 * The control thread's side of the network: starts the network thread, asks it, watches it and replaces it.
 *
 * `ask` is for what leaves nothing behind. What the network is to have from then on, in every later thread too, goes to
 * one of the kept parts: `attachments`, `forwards`, `requests`.
 *
 * A thread that throws, or that is stuck (`HeartbeatWatch`), is ended; its descriptors are closed (connections are
 * reset) but for those of the kept parts, which a new thread takes over. Guests on
 * a tap carry on; guests on a stream come back by themselves. More than five deaths within a minute are fatal.
 *
 * Ending: a Worker inside epoll_wait would hang every exit of the process, so `stop` (graceful) and `abort` (for
 * process.on('exit')) set the stop word and wake the loop, and wait as long as the thread gets on with it
 * (`ThreadStop`); one that sits in a system call takes the process with it.
 *
 * States: new → running ⇄ recovering → stopped.
 */
export class NetworkControl {
  /** Where guests attach. */
  readonly attachments: KeptAttachments;
  /** Published ports, and services that guests reach. */
  readonly forwards: KeptForwards;
  /** What the network is told once and for all. */
  readonly requests: KeptRequests;
  /** Streams into the network. */
  readonly guests: GuestLines;
  readonly #options: NetworkControlOptions;
  readonly #leases: LeaseBook;
  /** In the order in which a new thread is given them. */
  readonly #kept: readonly Kept[];
  readonly #deaths: number[] = [];
  readonly #onExit = (): void => this.abort();
  readonly #watch: HeartbeatWatch;
  readonly #datagrams: DatagramServices;
  #streamServices: Readonly<Record<string, string>> = {};
  #thread: NetworkThreadHandle | undefined;
  /** Settles when the thread in `#thread` has all that the network has. */
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: NetworkControlOptions) {
    this.#options = options;
    this.#leases = options.leases ?? new LeaseBook(() => performance.now());
    const withThread: WithThread = (work) => this.#withThread(work);
    this.attachments = new KeptAttachments(withThread, (text) => options.log.warn(text));
    this.forwards = new KeptForwards(withThread, options.forwards);
    this.requests = new KeptRequests(withThread);
    this.guests = new GuestLines(withThread);
    this.#kept = [this.requests, new KeptLeases(this.#leases), this.attachments, this.forwards];
    this.#watch = new HeartbeatWatch(
      () => this.#thread,
      (error) => this.#fail(error),
    );
    this.#datagrams = new DatagramServices(options.datagramServices ?? {}, (replies) => {
      if (!this.#stopped) this.#thread?.reply(replies);
    });
  }

  /**
   * Starts the network thread. `streamServices` are the gateway's TCP services by name: the unix sockets they listen
   * at. Rejects with ERR_NETWORK_THREAD or what the engine said.
   */
  async start(streamServices: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#streamServices = streamServices;
    process.on('exit', this.#onExit);
    await this.#restore(this.#spawn());
    this.#watch.start();
  }

  /** Asks the network thread for one of `OPERATIONS`. Rejects with its SlipwayError, or when it dies first. */
  ask<N extends OperationName>(name: N, ...request: RequestOf<N>): Promise<AnswerOf<N>> {
    return this.#withThread((thread) => thread.ask(name, ...request));
  }

  /** The log has its `debug` now, or has it no longer. */
  logChanged(): void {
    this.#thread?.state.setDebug(this.#options.log.debug !== undefined);
  }

  /** For tests: makes the loop throw or spin, as a defect would. */
  fault(fault: Fault): void {
    this.#thread?.state.setFault(fault);
    this.#thread?.wake();
  }

  /** Ends the network and removes its sockets. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#watch.stop();
    this.attachments.stopWatching();
    const thread = this.#thread;
    if (thread !== undefined) {
      if (!(await new ThreadStop(thread).wait())) this.#killProcess();
      thread.closeDescriptors(new Set(this.attachments.tapDescriptors()));
    }
    this.attachments.removeFiles();
    process.off('exit', this.#onExit);
  }

  /**
   * The same without waiting for anything but the thread: for process.on('exit'), where no promise settles any more.
   */
  abort(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.attachments.removeFiles();
    const thread = this.#thread;
    if (thread !== undefined && !new ThreadStop(thread).waitNow()) this.#killProcess();
  }

  #spawn(): NetworkThreadHandle {
    const { config, engine, log, onNetworkChange } = this.#options;
    const thread = new NetworkThreadHandle(
      { config, engine, services: this.#streamServices },
      {
        log: (level, text, fields) => log[level]?.(text, fields),
        leases: (changes) => {
          for (const change of changes) this.#leases.apply(change);
        },
        forwards: (changes) => this.forwards.changed(changes),
        networkChanged: () => onNetworkChange?.(),
        datagrams: (datagrams) => {
          thread.state.addTaken(datagrams.length);
          this.#datagrams.serve(datagrams);
        },
        died: (error) => this.#recover(thread, error),
      },
    );
    this.#thread = thread;
    this.logChanged();
    return thread;
  }

  async #withThread<T>(work: (thread: NetworkThreadHandle) => Promise<T>): Promise<T> {
    await this.#waitForRestore();
    const thread = this.#thread;
    if (thread === undefined || this.#stopped) {
      throw new SlipwayError('ERR_NETWORK_THREAD', 'the network is not running');
    }
    return work(thread);
  }

  /** Nothing is being rebuilt any more: a thread that dies over it is followed by the next one. */
  async #waitForRestore(): Promise<void> {
    for (let seen: Promise<void> | undefined; seen !== this.#running; ) {
      seen = this.#running;
      try {
        await seen;
      } catch (error) {
        if (seen === this.#running) throw error;
      }
    }
  }

  /** A thread that dies before it was ready has nothing to hand over: `start` rejects and that is all. */
  #recover(dead: NetworkThreadHandle, error: Error): void {
    if (this.#stopped || dead !== this.#thread) return;
    if (!this.#watch.started) return;
    const kept = new Set(this.#kept.flatMap((part) => part.descriptors(dead)));
    const flows = dead.state.reset + dead.closeDescriptors(kept);
    const said = `network thread died: ${error.message}; ${flows} flows reset, ${this.attachments.taps} guests kept`;
    this.#options.log.error(said, { stack: error.stack ?? '' });
    const now = performance.now();
    this.#deaths.push(now);
    while ((this.#deaths[0] ?? now) < now - RESTART_WINDOW_MS) this.#deaths.shift();
    if (this.#deaths.length > MAX_RESTARTS) {
      this.#fail(
        new SlipwayError(
          'ERR_NETWORK_THREAD',
          `the network thread died ${this.#deaths.length} times within a minute, last: ${error.message}`,
          'This is a defect of Slipway: please report it with the log.',
          { cause: error },
        ),
      );
      return;
    }
    const thread = this.#spawn();
    this.#running = this.#restore(thread);
    // When this thread dies, too, `died` starts the next one. Only what the thread refuses to do is final.
    this.#running.catch((cause: unknown) => {
      if (!this.#stopped && thread === this.#thread) {
        this.#fail(
          new SlipwayError('ERR_NETWORK_THREAD', `the network cannot be rebuilt: ${(cause as Error).message}`, '', {
            cause,
          }),
        );
      }
    });
  }

  async #restore(thread: NetworkThreadHandle): Promise<void> {
    await thread.ready;
    for (const part of this.#kept) await part.restore(thread);
  }

  #fail(error: SlipwayError): void {
    this.#options.onFatal(error);
  }

  /** The thread sits in a system call that nothing ends, and Node would wait for it for ever. */
  #killProcess(): void {
    this.attachments.removeFiles();
    process.stderr.write('slipway: the network thread is stuck in a system call; killing the process\n');
    process.kill(process.pid, 'SIGKILL');
  }
}
