import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Config } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { ServiceForward } from '../config/forward.ts';
import type { AttachmentUrl } from '../config/listen-url.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { LogFields } from '../env/log.ts';
import type { ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import { SocketFile } from '../host/socket-file.ts';
import { SocketWatch } from '../host/socket-watch.ts';
import { LeaseBook } from '../services/leases/lease-book.ts';
import { type DatagramService, DatagramServices } from './datagram-services.ts';
import { freeSocketPath } from './free-socket-path.ts';
import { HeartbeatWatch } from './heartbeat-watch.ts';
import { type ForwardEvents, KeptForwards } from './kept-forwards.ts';
import type { FlowName, FlowStatus, KeptLease, Listening, NetworkStatus, OwnPlace, TapGuest } from './messages.ts';
import { NetworkThreadHandle } from './network-thread-handle.ts';
import { ThreadEnd } from './thread-end.ts';
import type { Fault } from './thread-state.ts';

/** More than this many deaths within a minute: something is wrong that a new thread does not mend. */
const MAX_RESTARTS = 5;
const RESTART_WINDOW_MS = 60_000;
/** Guests on sockets that a dead network thread reset come back within this time, or are new ones. */
const REJOIN_MS = 10_000;

/** Where lines for people go. */
export interface ControlLog {
  /** As `Log.debug`: there only while debug logs are on. */
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
  /** TCP services by name: the unix sockets they listen at. */
  readonly streamServices?: Readonly<Record<string, string>>;
  /** The leases of guests, from earlier processes too. An empty book unless given. */
  readonly leases?: LeaseBook;
  /** This computer's addresses or routes changed. The portable engine does not know it. */
  readonly onNetworkChange?: () => void;
  readonly forwards?: ForwardEvents;
  /** The network is lost for good; the process should end with this error. */
  readonly onFatal: (error: SlipwayError) => void;
}

interface Listener {
  readonly url: AttachmentUrl;
  readonly file: SocketFile | undefined;
  listening: Listening;
}

/**
 * The control thread's side of the network: starts the network thread, speaks to it, watches it and replaces it.
 *
 * A thread that throws, or that is stuck (`HeartbeatWatch`), is ended; its descriptors are closed (connections are
 * reset) but for taps, listeners and the sockets of forwards, which a new thread takes over, with the leases that were given. Guests on
 * a tap carry on; guests on a stream come back by themselves. More than five deaths within a minute are fatal.
 *
 * Ending: a Worker inside epoll_wait would hang every exit of the process, so `stop` (graceful) and `stopNow` (for
 * process.on('exit')) set the stop word and wake the loop, and wait as long as the thread gets on with it (`ThreadEnd`); one that
 * sits in a system call takes the process with it.
 *
 * States: new → running ⇄ recovering → stopped.
 */
export class NetworkControl {
  readonly #options: NetworkControlOptions;
  #taps: TapGuest[] = [];
  readonly #listeners: Listener[] = [];
  readonly #own: OwnPlace[] = [];
  readonly #leases: LeaseBook;
  readonly #forwards = new KeptForwards();
  /** Of guests that never ask. */
  readonly #kept: KeptLease[] = [];
  readonly #deaths: number[] = [];
  readonly #onExit = (): void => this.stopNow();
  readonly #watch: HeartbeatWatch;
  readonly #datagrams: DatagramServices;
  /** Of the sockets at which guests attach. */
  readonly #files: SocketWatch;
  #thread: NetworkThreadHandle | undefined;
  /** Settles when the thread in `#thread` has all that the network has. */
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: NetworkControlOptions) {
    this.#options = options;
    this.#leases = options.leases ?? new LeaseBook(() => performance.now());
    this.#watch = new HeartbeatWatch(
      () => this.#thread,
      (error) => this.#fail(error),
    );
    this.#files = new SocketWatch({ warn: (message) => options.log.warn(message) });
    this.#datagrams = new DatagramServices(options.datagramServices ?? {}, (replies) => {
      if (!this.#stopped) this.#thread?.reply(replies);
    });
  }

  /** Starts the network thread. Rejects with ERR_NETWORK_THREAD or what the engine said. */
  async start(): Promise<void> {
    process.on('exit', this.#onExit);
    const thread = this.#spawn();
    await thread.ready;
    await this.#restoreLeases(thread);
    this.#watch.start();
  }

  /** Opens (or, with ?connect, begins to dial) an attachment. Rejects with ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
  async listen(url: AttachmentUrl): Promise<Listening> {
    const { target } = url;
    const file = target.kind === 'unix' && !url.connect ? new SocketFile(target.path) : undefined;
    if (file !== undefined) await freeSocketPath(file);
    const listening = await this.#request((thread) => thread.request({ type: 'listen', listen: { url } }));
    const listener: Listener = { url, file, listening };
    this.#listeners.push(listener);
    if (file !== undefined) {
      file.claim();
      this.#files.add({ file, what: 'the socket for guests', again: () => this.#listenAgain(listener, file) });
    }
    return listening;
  }

  /**
   * This process listens there itself, beside the attachments: no guest gets there, in this thread and every later one. Whoever
   * opens such a listener says so.
   */
  async claim(places: readonly OwnPlace[]): Promise<void> {
    this.#own.push(...places);
    await this.#request((thread) => thread.request({ type: 'own-listeners', places }));
  }

  /** Attaches a tap device. The descriptor stays the caller's to close, after the guest has gone. */
  async attachTap(tap: TapGuest): Promise<void> {
    await this.#request((thread) => thread.request({ type: 'attach-tap', tap }));
    this.#taps.push(tap);
  }

  /** Gives `address` to no one but `mac`, in this thread and every later one. */
  async keepLease(lease: KeptLease): Promise<void> {
    this.#kept.push(lease);
    await this.#request((thread) => thread.request({ type: 'reserve-leases', leases: [lease] }));
  }

  /** A picture of the network now. */
  status(): Promise<NetworkStatus> {
    return this.#request((thread) => thread.request({ type: 'status' }));
  }

  /**
   * Begins to listen on bound sockets. The network owns them from the call on, whatever the outcome; after a recovery the new thread
   * listens on them again. Resolves with the forward's state, or with the errno when the host refuses.
   */
  forwardOpen(forward: ForwardRequest): Promise<ForwardReport | HostErrorCode> {
    return this.#request((thread) => this.#forwards.open(thread, forward));
  }

  /** Closes its listeners; established connections live on unless `connections`. An id that is not open is no error. */
  forwardClose(id: number, connections: boolean): Promise<void> {
    return this.#request((thread) => this.#forwards.close(thread, id, connections));
  }

  /** In order of id. */
  forwardList(): Promise<readonly ForwardReport[]> {
    return this.#request((thread) => thread.request({ type: 'forward-list' }));
  }

  /** All gateway ports and virtual addresses from now on, in this thread and every later one. */
  setServices(services: readonly ServiceForward[]): Promise<void> {
    return this.#request((thread) => this.#forwards.setServices(thread, services));
  }

  /**
   * A connection to a guest's port, through the virtual network; address 0 is the first guest. Rejects with ERR_GUEST_REFUSED,
   * ERR_GUEST_UNREACHABLE or ERR_GUEST_TIMEOUT.
   */
  async guestStream(address: number, port: number): Promise<Socket> {
    const { streamPair } = await import('../host/stream-pair.ts');
    return this.#request(async (thread) => {
      const [ours, theirs] = streamPair();
      try {
        thread.handOver(theirs, 'flow');
        await thread.request({ type: 'guest-stream', stream: { fd: theirs, address, port } });
      } catch (error) {
        closeSync(ours);
        throw error;
      }
      return new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
    });
  }

  /**
   * Attaches a guest whose frames come and go by the socket that this resolves with, each behind its length (u32
   * big-endian). It ends with the network thread; the guest may then be attached again.
   */
  async adoptGuest(name: string): Promise<Socket> {
    const { streamPair } = await import('../host/stream-pair.ts');
    return this.#request(async (thread) => {
      const [ours, theirs] = streamPair();
      const socket = new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
      try {
        thread.handOver(theirs, 'guest');
        await thread.request({ type: 'adopt-guest', guest: { fd: theirs, name } });
      } catch (error) {
        socket.destroy();
        throw error;
      }
      return socket;
    });
  }

  /** At most `limit` flows, TCP first. */
  flows(limit: number): Promise<readonly FlowStatus[]> {
    return this.#request((thread) => thread.request({ type: 'flows', limit }));
  }

  /** Ends a flow with a reset on both sides; false when there is none. */
  killFlow(flow: FlowName): Promise<boolean> {
    return this.#request((thread) => thread.request({ type: 'flow-kill', flow }));
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
    this.#files.close();
    const thread = this.#thread;
    if (thread !== undefined) {
      if (!(await new ThreadEnd(thread).come())) this.#killProcess();
      thread.closeDescriptors(this.#tapDescriptors());
    }
    this.#removeSockets();
    process.off('exit', this.#onExit);
  }

  /** The same without waiting for anything but the thread: for process.on('exit'), where no promise settles any more. */
  stopNow(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#removeSockets();
    const thread = this.#thread;
    if (thread !== undefined && !new ThreadEnd(thread).comeNow()) this.#killProcess();
  }

  #spawn(): NetworkThreadHandle {
    const { config, engine, streamServices } = this.#options;
    const thread = new NetworkThreadHandle(
      { config, engine, services: streamServices ?? {} },
      {
        log: (level, message, fields) => this.#options.log[level]?.(message, fields),
        leases: (changes) => {
          for (const change of changes) this.#leases.apply(change);
        },
        forwards: (changes) => {
          this.#forwards.changed(changes);
          this.#options.forwards?.changed(changes);
        },
        networkChanged: () => this.#options.onNetworkChange?.(),
        datagrams: (datagrams) => this.#datagrams.serve(datagrams),
        died: (error) => this.#recover(thread, error),
      },
    );
    this.#thread = thread;
    return thread;
  }

  async #request<T>(ask: (thread: NetworkThreadHandle) => Promise<T>): Promise<T> {
    await this.#rebuilt();
    const thread = this.#thread;
    if (thread === undefined || this.#stopped) {
      throw new SlipwayError('ERR_NETWORK_THREAD', 'the network is not running');
    }
    return ask(thread);
  }

  /** Nothing is being rebuilt any more: a thread that dies over it is followed by the next one. */
  async #rebuilt(): Promise<void> {
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
    // A guest can take its tap away: the thread has closed it then, and the number may be another's.
    this.#taps = this.#taps.filter(({ fd }) => dead.descriptors.kind(fd) === 'tap');
    const listeners = this.#listeners.map(({ listening }) => listening.fd);
    const kept = new Set([...this.#tapDescriptors(), ...listeners, ...this.#forwards.descriptors()]);
    const flows = dead.state.reset + dead.closeDescriptors(kept);
    this.#options.log.error(
      `network thread died: ${error.message}; ${flows} flows reset, ${this.#taps.length} guests kept`,
      {
        stack: error.stack ?? '',
      },
    );
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
    this.#running = this.#rebuild(thread);
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

  async #listenAgain(listener: Listener, file: SocketFile): Promise<void> {
    const { url } = listener;
    listener.listening = await this.#request((thread) =>
      thread.request({ type: 'listen', listen: { url, again: true } }),
    );
    file.claim();
  }

  async #rebuild(thread: NetworkThreadHandle): Promise<void> {
    await thread.ready;
    await thread.request({ type: 'own-listeners', places: this.#own });
    await thread.request({ type: 'reserve-leases', leases: this.#kept });
    await this.#restoreLeases(thread);
    for (const listener of this.#listeners) {
      try {
        await this.#relisten(thread, listener);
      } catch (error) {
        if (thread.over || listener.file === undefined) throw error;
        // Its folder is gone, or somebody's file is there: no reason to end the network. The watch goes on with it.
        this.#options.log.warn(`no guest can attach at ${listener.url.text}: ${(error as Error).message}`);
        listener.listening = { fd: -1, port: 0 };
      }
    }
    for (const tap of this.#taps) await thread.request({ type: 'attach-tap', tap });
    await this.#forwards.restore(thread, this.#options.forwards);
  }

  /** A socket that outlived its thread is taken over; the portable engine makes its own anew. */
  async #relisten(thread: NetworkThreadHandle, listener: Listener): Promise<void> {
    const { url, file } = listener;
    const { fd } = listener.listening;
    if (fd < 0 && file !== undefined) await freeSocketPath(file);
    const heard = { heardUntilMs: performance.timeOrigin + performance.now() + REJOIN_MS };
    listener.listening = await thread.request({
      type: 'listen',
      listen: fd < 0 ? { url, ...heard } : { url, fd, ...heard },
    });
    if (fd < 0) file?.claim();
  }

  /** What the network does not take up has ended: it does not fit the configuration any more, or its time came meanwhile. */
  async #restoreLeases(thread: NetworkThreadHandle): Promise<void> {
    const leases = this.#leases.records();
    if (leases.length === 0) return;
    const inForce = new Set(await thread.request({ type: 'restore-leases', leases }));
    for (const lease of leases) {
      if (lease.remainingMs > 0 && !inForce.has(lease.address)) this.#leases.apply({ kind: 'ended', lease });
    }
  }

  #tapDescriptors(): Set<number> {
    return new Set(this.#taps.flatMap(({ fd, sockets }) => [fd, ...(sockets ? [sockets.table, sockets.source] : [])]));
  }

  #removeSockets(): void {
    for (const { file } of this.#listeners) file?.remove();
  }

  #fail(error: SlipwayError): void {
    this.#options.onFatal(error);
  }

  /** The thread sits in a system call that nothing ends, and Node would wait for it for ever. */
  #killProcess(): void {
    this.#removeSockets();
    process.stderr.write('slipway: the network thread is stuck in a system call; killing the process\n');
    process.kill(process.pid, 'SIGKILL');
  }
}
