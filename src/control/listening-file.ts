import { chmodSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import type { Server } from 'node:net';
import path from 'node:path';
import { SlipwayError } from '../facts/errors.ts';
import { SocketFile } from '../host/files/socket-file.ts';
import { SocketWatch } from '../host/files/socket-watch.ts';
import { freeSocketPath } from './free-socket-path.ts';

export interface ListeningFileOptions {
  readonly path: string;
  /** What listens there, as sentences call it: 'the control socket'. */
  readonly what: string;
  /** How a person has it elsewhere, as the end of a sentence: 'choose another place (--control PATH)'. */
  readonly elsewhere: string;
  /** Its folder is made, or must be, this user's alone. */
  readonly privateFolder: boolean;
  /** A server that does not listen yet; one more each time that the file is made again. */
  readonly server: () => Server;
  /** The error for a person, of one that the system gave. */
  readonly refused: (cause: NodeJS.ErrnoException) => SlipwayError;
  /** The error for a person, where another process listens there. */
  readonly taken: (cause: SlipwayError) => SlipwayError | Promise<SlipwayError>;
  /** Told of a file that is removed or replaced. */
  readonly warn: (message: string) => void;
}

/**
 * Listens at a unix socket for this user alone (0600). A file that a killed process left is replaced, and one of ours
 * that somebody removes is made again (`SocketWatch`). Its `close` stops listening and removes the file; connections
 * stay. Rejects with `refused`, `taken`, ERR_LISTEN_FAILED or ERR_RUNTIME_FOLDER.
 */
export async function listenAtFile(options: ListeningFileOptions): Promise<{ close(): void }> {
  const { path: at, what, privateFolder, refused, taken, warn } = options;
  const file = new SocketFile(at);
  let server: Server | undefined;
  let closed = false;
  const listen = async (): Promise<void> => {
    if (privateFolder) makePrivate(options);
    const next = options.server();
    // The umask makes the file private from the start. Nothing else of this thread runs meanwhile.
    const umask = process.umask(0o177);
    const stands = new Promise<void>((resolve, reject) => {
      next.once('error', (cause: NodeJS.ErrnoException) => reject(refused(cause)));
      next.listen({ path: at }, resolve);
    });
    process.umask(umask);
    await stands;
    file.claim();
    server = next;
    // It was closed meanwhile.
    if (closed) stop();
  };
  /** libuv removes its file. */
  const stop = (): void => {
    const last = server;
    server = undefined;
    if (last !== undefined) file.closing(() => last.close());
  };
  if (privateFolder) makePrivate(options);
  try {
    await freeSocketPath(file);
  } catch (cause) {
    if (!(cause instanceof SlipwayError) || cause.code !== 'ERR_LISTEN_IN_USE') throw cause;
    throw await taken(cause);
  }
  await listen();
  const watch = new SocketWatch(warn);
  watch.add({
    file,
    what,
    again: () => {
      stop();
      return listen();
    },
  });
  const remove = (): void => file.remove();
  process.once('exit', remove);
  return {
    close: () => {
      closed = true;
      watch.close();
      stop();
      process.off('exit', remove);
    },
  };
}

/** Makes the folder, or checks that it is ours and closed to others: in /tmp someone else could have made it first. */
function makePrivate({ path: file, what, elsewhere }: ListeningFileOptions): void {
  const folder = path.dirname(file);
  try {
    // Not its parents: those are the system's, and a recursive mkdir below /proc never ends.
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    const { uid, mode } = lstatSync(folder);
    const own = process.getuid?.() ?? uid;
    if (!lstatSync(folder).isDirectory()) throw new Error('it is not a folder');
    if (uid !== own) throw new Error(`it belongs to the user ${uid}`);
    if ((mode & 0o077) !== 0) chmodSync(folder, 0o700);
  } catch (cause) {
    throw new SlipwayError(
      'ERR_RUNTIME_FOLDER',
      `the folder of ${what}, ${folder}, cannot be used: ${(cause as Error).message}`,
      `Remove it, set XDG_RUNTIME_DIR, or ${elsewhere}.`,
      { cause },
    );
  }
}
