import { constants, fstatSync, openSync, writeSync } from 'node:fs';

export const STANDARD_OUTPUT = 1;
export const STANDARD_ERROR = 2;

/**
 * Writes `text` to one of the standard streams, at once. Text that cannot be written is lost, and nothing else happens:
 * the reader went (`slipway up | head -1`), the disk is full, the stream was closed. The network does not end for a
 * line.
 *
 * Not process.stdout: an error that nobody listens to ends the process, and a pipe that Node takes over is made
 * non-blocking for everyone who shares it, the guest's command included.
 */
export function say(to: typeof STANDARD_OUTPUT | typeof STANDARD_ERROR, text: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(to, bytes, at);
  } catch {
    // EPIPE, ENOSPC, EAGAIN, EBADF: there is no one to tell.
  }
}

/** As writeSync, to where notes go without waiting; undefined before the first. */
let write: ((bytes: Uint8Array, at: number) => number) | undefined;
let lost = 0;

/**
 * Writes a line of the log to standard error without ever waiting for a reader: a pipe that is full because nobody
 * reads it, a terminal that was stopped by Ctrl-S, a journal that is stuck. Such lines are lost, and the next one that
 * finds room says how many.
 */
export function note(text: string): void {
  write ??= writerTo(withoutWaiting());
  const before = lost === 0 ? '' : `slipway: ${lost} lines were lost here: nobody read them\n`;
  const bytes = Buffer.from(before + text);
  try {
    for (let at = 0; at < bytes.length; ) at += write(bytes, at);
    lost = 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') lost++;
  }
}

/**
 * Once before the first note: a socket, as the journal's, takes a flag with each call, which is one for the FFI.
 * Without it a note to a socket waits for its reader.
 */
export async function noteWithoutWaiting(): Promise<void> {
  if (process.platform !== 'linux' || !isSocket()) return;
  const { errorName, sendBytes } = await import('../host/ports/socket-calls.ts');
  write = (bytes, at) => {
    const sent = sendBytes(STANDARD_ERROR, bytes, at);
    if (sent < 0) throw Object.assign(new Error('send'), { code: errorName(sent) });
    return sent;
  };
}

function isSocket(): boolean {
  try {
    return fstatSync(STANDARD_ERROR).isSocket();
  } catch {
    return false;
  }
}

function writerTo(fd: number): (bytes: Uint8Array, at: number) => number {
  return (bytes, at) => writeSync(fd, bytes, at);
}

/**
 * Opened anew: O_NONBLOCK on what others share would be theirs, too. A file never makes a writer wait, and a socket
 * cannot be opened (`noteWithoutWaiting`).
 */
function withoutWaiting(): number {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const kind = fstatSync(STANDARD_ERROR);
    if (kind.isFIFO() || kind.isCharacterDevice()) {
      return openSync(`/proc/self/fd/${STANDARD_ERROR}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    }
  } catch {
    // Another user's terminal (su), no /proc, or closed: as it is.
  }
  return STANDARD_ERROR;
}
