import type { Socket } from 'node:net';

/** How a request begins. */
export interface RequestLine {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
}

/** What node:http takes for all headers. */
const MAX_LINE_BYTES = 16 * 1024;
/** How long a client may take for its first line. */
const LINE_MS = 10_000;
const LINE_FEED = 0x0a;

/**
 * Reads the first line of a new connection and hands the socket on with all that was read still in it. `begin` gets
 * undefined if it is not a request line; it returns bytes to put behind the line, if any. A connection that ends or
 * dawdles before is closed.
 */
export function firstLine(socket: Socket, begin: (line: RequestLine | undefined) => HandOver): void {
  const parts: Buffer[] = [];
  let length = 0;
  const late = setTimeout(() => socket.destroy(), LINE_MS);
  const stop = (): void => {
    clearTimeout(late);
    socket.off('readable', look);
    socket.off('close', stop);
    socket.off('end', ended);
  };
  const ended = (): void => void socket.destroy();
  const look = (): void => {
    for (let part = socket.read() as Buffer | null; part !== null; part = socket.read() as Buffer | null) {
      parts.push(part);
      length += part.length;
    }
    const bytes = Buffer.concat(parts, length);
    const end = bytes.indexOf(LINE_FEED);
    if (end < 0 && length < MAX_LINE_BYTES) return;
    stop();
    const { insert, serve } = begin(requestLine(bytes.subarray(0, Math.max(end, 0))));
    const at = end + 1;
    socket.unshift(
      insert === '' ? bytes : Buffer.concat([bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at)]),
    );
    serve(socket);
  };
  socket.on('readable', look);
  socket.once('end', ended);
  socket.once('close', stop);
}

export interface HandOver {
  /** Bytes to put behind the first line. */
  readonly insert: string;
  serve(socket: Socket): void;
}

function requestLine(bytes: Buffer): RequestLine | undefined {
  const match = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?$/.exec(bytes.toString('latin1'));
  return match === null ? undefined : { method: match[1] ?? '', target: match[2] ?? '' };
}
