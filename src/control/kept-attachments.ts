import type { AttachmentUrl } from '../config/listen.ts';
import { SocketFile } from '../host/files/socket-file.ts';
import { SocketWatch } from '../host/files/socket-watch.ts';
import { freeSocketPath } from './free-socket-path.ts';
import type { Kept, WithThread } from './kept.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';
import type { Listening, TapGuest } from './thread-engine.ts';

/** Guests on sockets that a dead network thread reset come back within this time, or are new ones. */
const REJOIN_MS = 10_000;

interface Listener {
  readonly url: AttachmentUrl;
  readonly file: SocketFile | undefined;
  listening: Listening;
}

/**
 * Where guests attach, and the taps that are attached. Bound: as many as the configuration names, and the guest that
 * `run` makes.
 */
export class KeptAttachments implements Kept {
  readonly #withThread: WithThread;
  readonly #warn: (text: string) => void;
  readonly #listeners: Listener[] = [];
  /** Of the listeners' sockets. */
  readonly #files: SocketWatch;
  #taps: TapGuest[] = [];

  constructor(withThread: WithThread, warn: (text: string) => void) {
    this.#withThread = withThread;
    this.#warn = warn;
    this.#files = new SocketWatch(warn);
  }

  /** Opens (or, with ?connect, begins to dial) an attachment. Rejects with ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
  async listen(url: AttachmentUrl): Promise<Listening> {
    const { target } = url;
    const file = target.kind === 'unix' && !url.connect ? new SocketFile(target.path) : undefined;
    if (file !== undefined) await freeSocketPath(file);
    const listening = await this.#withThread((thread) => thread.ask('listen', { url }));
    const listener: Listener = { url, file, listening };
    this.#listeners.push(listener);
    if (file !== undefined) {
      file.claim();
      this.#files.add({ file, what: 'the socket for guests', again: () => this.#listenAgain(listener, file) });
    }
    return listening;
  }

  /** Closes what `listen` opened, its file too; guests that attached there stay. Nothing is there: no error. */
  async end({ text }: AttachmentUrl): Promise<void> {
    const at = this.#listeners.findIndex(({ url }) => url.text === text);
    const [listener] = at < 0 ? [] : this.#listeners.splice(at, 1);
    if (listener === undefined) return;
    const { url, file, listening } = listener;
    if (file !== undefined) this.#files.remove(file);
    await this.#withThread((thread) => thread.ask('unlisten', { url, port: listening.port }));
    file?.remove();
  }

  /** Attaches a tap device. The descriptor stays the caller's to close, after the guest has gone. */
  async attachTap(tap: TapGuest): Promise<void> {
    await this.#withThread((thread) => thread.ask('attachTap', tap));
    this.#taps.push(tap);
  }

  get taps(): number {
    return this.#taps.length;
  }

  /** Whose owners close them, however the network ends. */
  tapDescriptors(): readonly number[] {
    return this.#taps.flatMap(({ fd, sockets }) => [fd, ...(sockets ? [sockets.table, sockets.source] : [])]);
  }

  descriptors({ descriptors }: NetworkThreadHandle): readonly number[] {
    // A guest can take its tap away: the thread has closed it then, and the number may be another's.
    this.#taps = this.#taps.filter(({ fd }) => descriptors.kind(fd) === 'tap');
    return [...this.tapDescriptors(), ...this.#listeners.map(({ listening }) => listening.fd)];
  }

  async restore(thread: NetworkThreadHandle): Promise<void> {
    for (const listener of this.#listeners) {
      try {
        await this.#relisten(thread, listener);
      } catch (error) {
        if (thread.over || listener.file === undefined) throw error;
        // Its folder is gone, or somebody's file is there: no reason to end the network. The watch goes on with it.
        this.#warn(`no guest can attach at ${listener.url.text}: ${(error as Error).message}`);
        listener.listening = { fd: -1, port: 0 };
      }
    }
    for (const tap of this.#taps) await thread.ask('attachTap', tap);
  }

  /** Files that are removed from now on stay so. */
  stopWatching(): void {
    this.#files.close();
  }

  removeFiles(): void {
    for (const { file } of this.#listeners) file?.remove();
  }

  async #listenAgain(listener: Listener, file: SocketFile): Promise<void> {
    const { url } = listener;
    listener.listening = await this.#withThread((thread) => thread.ask('listen', { url, again: true }));
    file.claim();
  }

  /** A socket that outlived its thread is taken over; the portable engine makes a new one. */
  async #relisten(thread: NetworkThreadHandle, listener: Listener): Promise<void> {
    const { url, file } = listener;
    const { fd } = listener.listening;
    if (fd < 0 && file !== undefined) await freeSocketPath(file);
    const heardUntilMs = performance.timeOrigin + performance.now() + REJOIN_MS;
    listener.listening = await thread.ask('listen', { url, heardUntilMs, ...(fd >= 0 && { fd }) });
    if (fd < 0) file?.claim();
  }
}
