import type { HostErrorCode, HostStreamHandler } from '../../env/host.ts';
import type { EpollContext } from './context.ts';
import { KernelQueue } from './intake.ts';
import * as libc from './libc.ts';
import { errorCode } from '../errno.ts';
import { SO_DOMAIN, SO_OOBINLINE, TCP_NODELAY } from '../socket-options.ts';
import { RetentionRing } from './ring.ts';
import { EpollStream } from './stream.ts';

/** Who hears of an accepted stream until somebody took it. */
const NOBODY: HostStreamHandler = { connected() {}, failed() {}, readable() {}, writable() {} };

/**
 * What accepted connections inherit from their listener instead of paying for it one by one: with the same options a
 * dialled stream begins.
 */
export function setStreamOptions(context: EpollContext, fd: number, family: number): void {
  if (family === libc.AF_UNIX) return;
  const { memory } = context;
  memory.setOption(fd, SO_OOBINLINE, 1);
  memory.setOption(fd, TCP_NODELAY, 1);
  memory.setResetOnClose(fd, true);
}

/**
 * An accepted connection of that family as a stream; set its `handler` before the next wait. Closes `fd` when it fails.
 */
export function adoptAccepted(context: EpollContext, fd: number, family: number): EpollStream | HostErrorCode {
  context.descriptors.record(fd, 'flow');
  return connectedStream(context, fd, family) ?? refused(context, fd);
}

/** As `HostListeners.adoptStream`. */
export function adoptStream(
  context: EpollContext,
  fd: number,
  handler: HostStreamHandler,
): EpollStream | HostErrorCode {
  context.descriptors.record(fd, 'flow');
  const family = context.memory.option(fd, SO_DOMAIN);
  if (family < 0) return refused(context, fd);
  setStreamOptions(context, fd, family);
  const stream = connectedStream(context, fd, family);
  if (stream === undefined) return refused(context, fd);
  stream.handler = handler;
  return stream;
}

/** Lets go of a descriptor that cannot be a stream, for the reason in errno. */
function refused(context: EpollContext, fd: number): HostErrorCode {
  const code = errorCode(libc.errno());
  context.poller.closeDescriptor(fd);
  return code;
}

/** Undefined, with errno set, when epoll has no room. */
function connectedStream(context: EpollContext, fd: number, family: number): EpollStream | undefined {
  const { memory, peekOffset } = context;
  const unix = family === libc.AF_UNIX;
  const canPeek = unix ? peekOffset.unix : family === libc.AF_INET6 ? peekOffset.inet6 : peekOffset.inet;
  const intake = canPeek ? new KernelQueue(memory, fd, unix) : new RetentionRing(memory, fd);
  const stream = new EpollStream(context, fd, unix ? 'unix' : 'tcp', intake, NOBODY);
  return stream.watchConnected() === 0 ? stream : undefined;
}
