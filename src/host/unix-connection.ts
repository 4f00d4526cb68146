import { createConnection, Socket } from 'node:net';
import { close } from './namespace/libc.ts';
import { connectUnixSocket, dup, errorName } from './ports/socket-calls.ts';

/** A connection as two streams over one socket. */
export interface UnixConnection {
  readonly source: Socket;
  readonly sink: Socket;
  destroy(): void;
}

/** A backlog that is full is asked again this often, and so many times. */
const AGAIN_MS = 10;
const TRIES = 500;

/**
 * Connects to a unix socket. Each direction has a descriptor of its own: Node closes a descriptor when a write fails,
 * and what the other end had said before it closed would be lost with it. Rejects with an error that has the errno's
 * name as its `code`.
 */
export async function connectUnix(path: string): Promise<UnixConnection> {
  if (process.platform !== 'linux') return connectWhole(path);
  for (let tries = 1; ; tries++) {
    const fd = connectUnixSocket(path);
    if (fd >= 0) return split(fd);
    const code = errorName(fd);
    if (code !== 'EAGAIN' || tries === TRIES) throw Object.assign(new Error(`connect ${code} ${path}`), { code });
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function split(fd: number): UnixConnection {
  const other = dup(fd);
  if (other < 0) {
    close(fd);
    throw Object.assign(new Error(`dup ${errorName(other)}`), { code: errorName(other) });
  }
  const source = new Socket({ fd, readable: true, writable: false, allowHalfOpen: true });
  const sink = new Socket({ fd: other, readable: false, writable: true, allowHalfOpen: true });
  return joined(source, sink);
}

function connectWhole(path: string): Promise<UnixConnection> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(joined(socket, socket));
    });
  });
}

/** Errors are the streams' own; who reads or writes hears of them. */
function joined(source: Socket, sink: Socket): UnixConnection {
  source.on('error', () => {});
  sink.on('error', () => {});
  return {
    source,
    sink,
    destroy() {
      source.destroy();
      sink.destroy();
    },
  };
}
