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

/** Where notes go without waiting; undefined before the first. */
let notes: number | undefined;
let lost = 0;

/**
 * Writes a line of the log to standard error without ever waiting for a reader: a pipe that is full because nobody
 * reads it, a terminal that was stopped by Ctrl-S. Such lines are lost, and the next one that finds room says how many.
 */
export function note(text: string): void {
  notes ??= withoutWaiting();
  const before = lost === 0 ? '' : `slipway: ${lost} lines were lost here: nobody read them\n`;
  const bytes = Buffer.from(before + text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(notes, bytes, at);
    lost = 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') lost++;
  }
}

/**
 * Opened anew: O_NONBLOCK on what others share would be theirs, too. A file never makes a writer wait, and a socket
 * cannot be opened.
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
