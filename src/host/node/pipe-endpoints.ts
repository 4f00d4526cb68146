/**
 * How guests' streams come into being: a listening socket that takes any number, and a dialling one that keeps one
 * connection, for ever, to a QEMU that listens (`server=on`).
 *
 * Both call `accept` with each new pipe, which is closed when it gives no handler. Neither gives up: a refused dial is
 * repeated after 100 ms, doubling to 2 s. `close` stops them; pipes that live stay with their attachments.
 */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Arena } from '../../env/arena.ts';
import type { AcceptGuest } from '../../env/host.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { SocketFile } from '../files/socket-file.ts';
import { adoptedSocket } from './adopted-socket.ts';
import { NodePipe } from './node-pipe.ts';

/** A unix socket's path (named pipe on Windows), or a TCP address; port 0 lets the system choose. */
export type PipeTarget = { readonly path: string } | { readonly host: string; readonly port: number };

export interface PipeEndpointOptions {
  readonly arena: Arena;
  /** Asks for a turn (`NodeLoop.wake`). */
  readonly wake: () => void;
  readonly accept: AcceptGuest;
}

export interface PipeListener {
  /** The TCP port; 0 for a path. */
  readonly port: number;
  /** Stops listening and removes the path, if it still leads there. Guests that are connected stay. Idempotent. */
  close(): void;
}

export interface PipeDialer {
  /** Dials no more; a connection that stands stays with its attachment. */
  close(): void;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;

/**
 * Listens for guests; a path is for this user only (0600). A socket that a dead process left behind is taken over; a
 * file of any other kind is not. Throws ERR_LISTEN_IN_USE when somebody listens there, ERR_LISTEN_FAILED for every
 * other reason.
 */
export async function listenPipes(target: PipeTarget, options: PipeEndpointOptions): Promise<PipeListener> {
  const server = createServer({ allowHalfOpen: true }, (socket) => adopt(socket, options, () => {}));
  try {
    await listening(server, target);
  } catch (error) {
    if (!('path' in target) || codeOf(error) !== 'EADDRINUSE') throw listenError(target, error);
    if (await answers(target.path)) throw listenError(target, error);
    // A file of any other kind refuses too.
    if (!isSocket(target.path)) throw listenError(target, { code: 'ENOTSOCK' });
    try {
      rmSync(target.path, { force: true });
      await listening(server, target);
    } catch (again) {
      throw listenError(target, again);
    }
  }
  // Out of descriptors: the connection waits in the kernel's queue, the listener lives.
  server.on('error', () => {});
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  if (!('path' in target)) return { port, close: () => server.close() };
  const file = new SocketFile(target.path);
  file.claim();
  return { port, close: () => file.closing(() => server.close()) };
}

/** Keeps one connection to `target`, redialling when it ends; returns at once. */
export function dialPipes(target: PipeTarget, options: PipeEndpointOptions): PipeDialer {
  let retryMs = FIRST_RETRY_MS;
  let timer: NodeJS.Timeout | undefined;
  let dialling: Socket | undefined;
  let closed = false;
  const again = (): void => {
    if (closed) return;
    timer = setTimeout(dial, retryMs);
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
  };
  const dial = (): void => {
    const socket = connect({ ...target, allowHalfOpen: true });
    dialling = socket;
    socket.on('error', () => {});
    socket.once('close', again);
    socket.once('connect', () => {
      dialling = undefined;
      retryMs = FIRST_RETRY_MS;
      socket.off('close', again);
      adopt(socket, options, again);
    });
  };
  dial();
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
      dialling?.destroy();
    },
  };
}

/** Takes over a connected stream socket as a guest's. Owns `fd` from the call on, also when it throws. */
export function adoptPipe(fd: number, options: PipeEndpointOptions): void {
  adopt(adoptedSocket(fd), options, () => {});
}

/** The socket becomes a pipe with the handler that `accept` gives it. */
function adopt(socket: Socket, options: PipeEndpointOptions, onClosed: () => void): void {
  const pipe = new NodePipe(options.arena.bytes, socket, options.wake, onClosed);
  const handler = options.accept(pipe);
  if (handler === undefined) pipe.close();
  else pipe.attach(handler);
  options.wake();
}

function listening(server: Server, target: PipeTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(target, () => {
      server.off('error', reject);
      resolve();
    });
    // For this user alone, whatever the umask, which is the whole process's. It is bound when `listen` returns, or
    // never.
    if ('path' in target && server.listening) chmodSync(target.path, 0o600);
  });
}

/** True when somebody accepts connections at `path`. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('error', (error) => resolve(codeOf(error) !== 'ECONNREFUSED'));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function listenError(target: PipeTarget, cause: unknown): SlipwayError {
  const place = 'path' in target ? target.path : `${target.host}:${target.port}`;
  const code = codeOf(cause) ?? 'unknown error';
  if (code === 'EADDRINUSE') {
    const hint = 'Stop the other process, or choose another address with --listen.';
    return new SlipwayError('ERR_LISTEN_IN_USE', `Another process listens at ${place}.`, hint, { cause });
  }
  const hint = HINTS[code] ?? 'Check the address, then try again.';
  return new SlipwayError('ERR_LISTEN_FAILED', `Cannot listen for guests at ${place} (${code}).`, hint, { cause });
}

const HINTS: Readonly<Record<string, string>> = {
  EACCES: 'Choose a folder that you may write to, or a port above 1023.',
  ENOTSOCK: 'The path is a file that is not a socket: move it away, or choose another path.',
};

function isSocket(path: string): boolean {
  // It may be gone by now.
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? true;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}
