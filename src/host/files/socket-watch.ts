import { FILE_CHECK_MS, type SocketFile } from './socket-file.ts';

export interface WatchedSocket {
  readonly file: SocketFile;
  /** What listens there, as sentences call it: 'the control socket'. */
  readonly what: string;
  /** Closes the old socket and makes it again, its file too. Who is connected stays. */
  readonly again: () => void | Promise<void>;
}

/**
 * Looks after the files of listening sockets: one that was removed is made again with its socket; another program's
 * file in its place is told of and left alone, until it is gone. Each trouble is one warning, however long it lasts.
 */
export class SocketWatch {
  readonly #warn: (message: string) => void;
  /** With the trouble that was told last. */
  readonly #sockets = new Map<WatchedSocket, string>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  add(socket: WatchedSocket): void {
    this.#sockets.set(socket, '');
    this.#timer ??= setInterval(() => void this.look(), FILE_CHECK_MS).unref();
  }

  /** Its socket is about to be closed. */
  remove(file: SocketFile): void {
    for (const socket of this.#sockets.keys()) if (socket.file === file) this.#sockets.delete(socket);
  }

  /** Idempotent. Who looks just now makes nothing any more. */
  close(): void {
    clearInterval(this.#timer);
    this.#sockets.clear();
  }

  /** Never rejects; one look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    for (const socket of [...this.#sockets.keys()]) if (this.#sockets.has(socket)) await this.#lookAt(socket);
  }

  async #lookAt(socket: WatchedSocket): Promise<void> {
    const { file, what } = socket;
    const standing = file.standing;
    if (standing === 'ours') this.#sockets.set(socket, '');
    if (standing === 'taken') {
      this.#tell(
        socket,
        `${file.path} is no longer ${what}: another program's file (of user ${file.look()?.uid}) is in its place and is left alone; remove it, and Slipway makes the socket again`,
      );
    }
    if (standing !== 'gone') return;
    try {
      await socket.again();
      this.#tell(socket, `${what} ${file.path} was removed; Slipway makes it again`);
    } catch (error) {
      this.#tell(socket, `${what} ${file.path} was removed, and cannot be made again: ${(error as Error).message}`);
    }
  }

  #tell(socket: WatchedSocket, trouble: string): void {
    const before = this.#sockets.get(socket);
    // Ended meanwhile, or known.
    if (before === undefined || before === trouble) return;
    this.#sockets.set(socket, trouble);
    this.#warn(trouble);
  }
}
