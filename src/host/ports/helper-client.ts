/** The daemon's end of the privileged helper: one connection for each port (see src/host/ports/helper-protocol.ts). */
import { setTimeout as pause } from 'node:timers/promises';
import { type HelperAnswer, parseAnswer, writeRequest } from './helper-protocol.ts';
import { close, watch } from '../namespace/libc.ts';
import { receiveDescriptor, sendDescriptor } from '../namespace/scm-rights.ts';
import { boundAt, connectUnixSocket, errorName, type Place, type PortProtocol } from './socket-calls.ts';

/** A helper that systemd must start first is a Node process that must start. */
const ANSWER_WITHIN_MS = 10_000;
const CONNECT_TRIES = 50;
const CONNECT_PAUSE_MS = 20;

/**
 * The bound descriptor, now ours; or what the helper said; or why it said nothing: ENOENT, ECONNREFUSED, EACCES,
 * ETIMEDOUT, EPROTO …
 */
export type HelperOutcome =
  | { readonly fd: number }
  | { readonly answer: HelperAnswer }
  | { readonly unreachable: string };

/** Asks the helper at `path` for one socket. Never throws. */
export async function askHelper(
  path: string,
  protocol: PortProtocol,
  place: Place,
  port: number,
): Promise<HelperOutcome> {
  const fd = await connectToHelper(path);
  if (fd < 0) return { unreachable: errorName(fd) };
  try {
    // What the helper says first (it may be full) and its end both come as a message.
    sendDescriptor(fd, writeRequest({ protocol, place, port }));
    const message = await nextMessage(fd);
    if (message === undefined) return { unreachable: 'ETIMEDOUT' };
    const answer = parseAnswer(message.payload);
    if (answer?.status === 'bound' && message.descriptor >= 0) {
      const at = boundAt(message.descriptor);
      if (at?.protocol === protocol && at.port === port) return { fd: message.descriptor };
    }
    if (message.descriptor >= 0) close(message.descriptor);
    return answer === undefined || answer.status === 'bound' ? { unreachable: 'EPROTO' } : { answer };
  } catch {
    return { unreachable: 'ECONNRESET' };
  } finally {
    close(fd);
  }
}

/** A connection, or the negative errno; a backlog that is full is waited for. */
async function connectToHelper(path: string): Promise<number> {
  let fd = connectUnixSocket(path);
  for (let tries = 0; fd < 0 && errorName(fd) === 'EAGAIN' && tries < CONNECT_TRIES; tries++) {
    await pause(CONNECT_PAUSE_MS);
    fd = connectUnixSocket(path);
  }
  return fd;
}

/** An answer of 8 bytes is written at once, so it comes as one piece. */
function nextMessage(fd: number): Promise<ReturnType<typeof receiveDescriptor>> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      clearTimeout(deadline);
      stop();
      act();
    };
    const deadline = setTimeout(() => finish(() => resolve(undefined)), ANSWER_WITHIN_MS);
    const stop = watch(fd, () => {
      try {
        const message = receiveDescriptor(fd);
        if (message !== undefined) finish(() => resolve(message));
      } catch (error) {
        finish(() => reject(error as Error));
      }
    });
  });
}
