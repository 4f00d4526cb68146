import { writeSync } from 'node:fs';

export const STANDARD_OUTPUT = 1;
export const STANDARD_ERROR = 2;

/**
 * Writes `text` to one of the standard streams, at once. What cannot be written is lost and nothing else: the reader
 * went (`slipway up | head -1`), the disk is full, the stream was closed. The network does not end for a line.
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
