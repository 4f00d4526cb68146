import { chmodSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import path from 'node:path';
import type { ControlEndpoint } from '../../config/control.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { freeSocketPath } from '../../control/free-socket-path.ts';
import type { Counters } from '../../env/counters.ts';
import { SocketFile } from '../../host/files/socket-file.ts';
import { SocketWatch } from '../../host/files/socket-watch.ts';

/**
 * Each costs a descriptor and some kilobytes; people and programs that ask are few. TCP is apart, since every local
 * user can connect to it.
 */
const MAX_CONNECTIONS = { unix: 256, tcp: 64 } as const;
/** How long a process that holds the socket may take to say who it is. */
const WHO_MS = 1_000;

export interface ListeningSocket {
  /** TCP: what the host chose. Unix: 0. */
  readonly port: number;
  /** Stops listening, ends all connections, and removes the socket's file. Idempotent. */
  close(): void;
}

/** Who serves connections. */
export interface ConnectionServer {
  accept(socket: Socket): void;
  /** Whether nobody would miss an answer if this connection ended now. */
  isIdle(socket: Socket): boolean;
}

export interface SocketOptions {
  /** Its folder is made, or must be, this user's alone. */
  readonly privateFolder: boolean;
  readonly counters: Counters;
  /** Told of a file that is removed or replaced. */
  readonly warn: (message: string) => void;
}

/**
 * Listens at a unix socket for this user alone (0600). A file that a killed process left is replaced, and one of ours
 * that somebody removes is made again (`SocketWatch`). Rejects with ERR_LISTEN_IN_USE, ERR_LISTEN_FAILED or
 * ERR_RUNTIME_FOLDER.
 */
export async function listenAtSocket(
  socketPath: string,
  { privateFolder, counters, warn }: SocketOptions,
  serving: ConnectionServer,
): Promise<ListeningSocket> {
  const file = new SocketFile(socketPath);
  const connections = new Connections('unix', counters, serving);
  let server: Server | undefined;
  let closed = false;
  const listen = async (): Promise<void> => {
    if (privateFolder) makePrivate(path.dirname(socketPath));
    const next = connections.server();
    // The umask makes the file private from the start. Nothing else of this thread runs meanwhile.
    const umask = process.umask(0o177);
    const stands = bound(next, { path: socketPath }, socketPath);
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
  if (privateFolder) makePrivate(path.dirname(socketPath));
  await makeFree(file);
  await listen();
  const watch = new SocketWatch(warn);
  watch.add({
    file,
    what: 'the control socket',
    again: () => {
      stop();
      return listen();
    },
  });
  const remove = (): void => file.remove();
  process.once('exit', remove);
  return {
    port: 0,
    close: () => {
      closed = true;
      watch.close();
      stop();
      connections.end();
      process.off('exit', remove);
    },
  };
}

/** Listens at a loopback address. Rejects with ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
export async function listenAtLoopback(
  { address, port }: ControlEndpoint,
  counters: Counters,
  serving: ConnectionServer,
): Promise<ListeningSocket> {
  const connections = new Connections('tcp', counters, serving);
  const server = connections.server();
  await bound(server, { host: address, port, exclusive: true }, `${address}:${port}`);
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      connections.end();
    },
  };
}

/** Those of one place, whatever server accepted them. */
class Connections {
  readonly #kind: keyof typeof MAX_CONNECTIONS;
  readonly #counters: Counters;
  readonly #serving: ConnectionServer;
  /** In the order in which they came. */
  readonly #open = new Set<Socket>();

  constructor(kind: keyof typeof MAX_CONNECTIONS, counters: Counters, serving: ConnectionServer) {
    this.#kind = kind;
    this.#counters = counters;
    this.#serving = serving;
  }

  /** One whose connections come here. It does not listen yet. */
  server(): Server {
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#take(socket));
  }

  end(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #take(socket: Socket): void {
    // A reset by the client is nothing to report; the server sees the connection end.
    socket.on('error', () => {});
    if (!this.#hasRoom()) {
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    this.#serving.accept(socket);
  }

  /** Makes room for one more by closing the oldest connection that has no request under way. */
  #hasRoom(): boolean {
    if (this.#open.size < MAX_CONNECTIONS[this.#kind]) return true;
    this.#counters.add('control-connection-limit');
    for (const socket of this.#open) {
      if (!this.#serving.isIdle(socket)) continue;
      this.#open.delete(socket);
      socket.destroy();
      return true;
    }
    return false;
  }
}

function bound(server: Server, at: ListenOptions, place: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const inUse = cause.code === 'EADDRINUSE';
      reject(
        new SlipwayError(
          inUse ? 'ERR_LISTEN_IN_USE' : 'ERR_LISTEN_FAILED',
          inUse ? `another process listens at ${place}` : `the control API cannot listen at ${place}: ${cause.message}`,
          'Choose another place (--control PATH), or none (--control none).',
          { cause },
        ),
      );
    });
    server.listen(at, resolve);
  });
}

async function makeFree(file: SocketFile): Promise<void> {
  try {
    await freeSocketPath(file);
  } catch (cause) {
    if (!(cause instanceof SlipwayError) || cause.code !== 'ERR_LISTEN_IN_USE') throw cause;
    const pid = await processAt(file.path);
    throw new SlipwayError(
      'ERR_LISTEN_IN_USE',
      `${pid === undefined ? 'another process' : `a slipway of process ${pid}`} has its control socket at ${file.path}`,
      'Stop it, or give this one another place (--control PATH) or none (--control none).',
      { cause },
    );
  }
}

/** Who listens there, if it is one of ours and says so. */
async function processAt(socketPath: string): Promise<number | undefined> {
  const { request } = await import('node:http');
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/v1/status', timeout: WHO_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(pidIn(text)));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(undefined));
    asked.on('close', () => resolve(undefined));
    asked.end();
  });
}

function pidIn(text: string): number | undefined {
  try {
    const { pid } = JSON.parse(text) as { readonly pid?: unknown };
    return typeof pid === 'number' ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the folder, or checks that it is ours and closed to others: in /tmp someone else could have made it first. */
function makePrivate(folder: string): void {
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
      `the folder of the control socket, ${folder}, cannot be used: ${(cause as Error).message}`,
      'Remove it, set XDG_RUNTIME_DIR, or choose another place (--control PATH).',
      { cause },
    );
  }
}
