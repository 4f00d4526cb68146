import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { ControlEndpoint } from '../../config/control.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { listenAtFile } from '../../control/listening-file.ts';
import type { Counters } from '../../env/counters.ts';

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
  /** Whether no client waits for an answer on this connection. */
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
  const connections = new Connections('unix', counters, serving);
  const listening = await listenAtFile({
    path: socketPath,
    what: 'the control socket',
    elsewhere: 'choose another place (--control PATH)',
    privateFolder,
    server: () => connections.server(),
    refused: (cause) => refusal(cause, socketPath),
    taken: (cause) => takenBy(socketPath, cause),
    warn,
  });
  return {
    port: 0,
    close: () => {
      listening.close();
      connections.end();
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
    server.once('error', (cause: NodeJS.ErrnoException) => reject(refusal(cause, place)));
    server.listen(at, resolve);
  });
}

function refusal(cause: NodeJS.ErrnoException, place: string): SlipwayError {
  const inUse = cause.code === 'EADDRINUSE';
  return new SlipwayError(
    inUse ? 'ERR_LISTEN_IN_USE' : 'ERR_LISTEN_FAILED',
    inUse ? `another process listens at ${place}` : `the control API cannot listen at ${place}: ${cause.message}`,
    'Choose another path (--control PATH), or none (--control none).',
    { cause },
  );
}

async function takenBy(socketPath: string, cause: SlipwayError): Promise<SlipwayError> {
  const pid = await processAt(socketPath);
  return new SlipwayError(
    'ERR_LISTEN_IN_USE',
    `${pid === undefined ? 'another process' : `a slipway of process ${pid}`} has its control socket at ${socketPath}`,
    'Stop it, or choose another path (--control PATH) or none (--control none).',
    { cause },
  );
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
