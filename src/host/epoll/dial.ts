import type { HostAddress, HostErrorCode, HostStreamHandler } from '../../env/host.ts';
import { LOOPBACK6 } from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import { setStreamOptions } from './adopt-stream.ts';
import type { EpollContext } from './context.ts';
import { type Intake, KernelQueue } from './intake.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import { IPV6_V6ONLY, IP_TTL, SO_DOMAIN, SO_OOBINLINE, setDscp } from '../socket-options.ts';
import { RetentionRing } from './ring.ts';
import { EpollStream, type Transport } from './stream.ts';

/** A gateway service whose backlog is full is asked again this often, so many times: 2 s in all. */
const BACKLOG_RETRY_MS = 20;
const BACKLOG_RETRIES = 100;

/** Below it the kernel chooses no port for a dial (ip_local_port_range(5)). */
const FIRST_CHOSEN_PORT = 1024;

/** Starts a TCP connect; the stream, or the error when it failed at once. */
export function dialTcp(
  context: EpollContext,
  address: HostAddress,
  port: number,
  ttl: number,
  dscp: number,
  handler: HostStreamHandler,
): EpollStream | HostErrorCode {
  const { memory } = context;
  const inet6 = address === LOOPBACK6;
  const fd = openFlowSocket(context, inet6 ? libc.AF_INET6 : libc.AF_INET);
  if (fd < 0) return errorCode(libc.errno());
  memory.setOption(fd, SO_OOBINLINE, 1);
  memory.setResetOnClose(fd, true);
  if (dscp > 0) setDscp(memory, fd, dscp);
  // No router is on the way to [::1].
  const traced = ttl > 0 && !inet6;
  if (traced) memory.setOption(fd, IP_TTL, ttl);
  const length = memory.writeAddress(memory.name, address, port);
  if (libc.connect(fd, memory.base + memory.name, length) < 0 && libc.errno() !== Errno.EINPROGRESS) {
    return refuse(context, fd);
  }
  if (isDialToItself(context, fd, address, port)) {
    context.poller.closeDescriptor(fd);
    return 'ECONNREFUSED';
  }
  const peekOffset = inet6 ? context.peekOffset.inet6 : context.peekOffset.inet;
  const stream = openStream(context, fd, 'tcp', peekOffset, handler);
  stream.traced = traced;
  return stream.watch() === 0 ? stream : refuse(context, fd);
}

/**
 * Starts a TCP connect of a socket that another network namespace made (`SocketStock`) to its loopback: 127.0.0.0/8 or
 * LOOPBACK6. Owns `fd`, also when it fails.
 */
export function dialFrom(
  context: EpollContext,
  fd: number,
  address: HostAddress,
  port: number,
  handler: HostStreamHandler,
): EpollStream | HostErrorCode {
  const { memory, descriptors } = context;
  descriptors.record(fd, 'flow');
  const family = memory.option(fd, SO_DOMAIN);
  setStreamOptions(context, fd, family);
  const inet6 = family === libc.AF_INET6;
  if (inet6) memory.setOption(fd, IPV6_V6ONLY, 0);
  const length = inet6
    ? memory.writeMappedName(memory.name, address, port)
    : memory.writeAddress(memory.name, address, port);
  if (libc.connect(fd, memory.base + memory.name, length) < 0 && libc.errno() !== Errno.EINPROGRESS) {
    return refuse(context, fd);
  }
  const stream = openStream(context, fd, 'tcp', inet6 ? context.peekOffset.inet6 : context.peekOffset.inet, handler);
  return stream.watch() === 0 ? stream : refuse(context, fd);
}

/**
 * A dial to a port of this computer at which nobody listens can get that very port as its own: it meets itself, and the
 * kernel connects the two (RFC 9293 §3.5, simultaneous open). Nobody is there.
 */
function isDialToItself({ memory }: EpollContext, fd: number, address: HostAddress, port: number): boolean {
  if (port < FIRST_CHOSEN_PORT) return false;
  return memory.localAddress(fd) === address && memory.readPort(memory.name) === port;
}

/** Connects to a unix stream socket and writes `preamble` (at most a few hundred bytes) ahead of everything. */
export function dialUnix(
  context: EpollContext,
  path: string,
  preamble: Uint8Array,
  handler: HostStreamHandler,
): EpollStream | HostErrorCode {
  const fd = openFlowSocket(context, libc.AF_UNIX);
  if (fd < 0) return errorCode(libc.errno());
  const stream = openStream(context, fd, 'unix', context.peekOffset.unix, handler);
  const number = connectUnix(context, fd, path, preamble, stream);
  if (number === Errno.EAGAIN) retryUnix(context, fd, path, preamble, stream);
  else if (number !== 0) {
    context.poller.closeDescriptor(fd);
    return errorCode(number);
  }
  return stream;
}

/** 0 when connected and watched, else the errno. A full backlog is EAGAIN, and nothing tells when it has room. */
function connectUnix(
  context: EpollContext,
  fd: number,
  path: string,
  preamble: Uint8Array,
  stream: EpollStream,
): number {
  const { memory } = context;
  const length = memory.writeUnixAddress(path);
  if (length < 0) return Errno.ENOENT;
  if (libc.connect(fd, memory.base + memory.name, length) < 0) return libc.errno();
  memory.arena.bytes.set(preamble, memory.scratch);
  libc.send(fd, memory.base + memory.scratch, preamble.length, libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
  return stream.watch();
}

function retryUnix(context: EpollContext, fd: number, path: string, preamble: Uint8Array, stream: EpollStream): void {
  let left = BACKLOG_RETRIES;
  const timer = new Timer(() => {
    if (stream.closed) return;
    const number = connectUnix(context, fd, path, preamble, stream);
    if (number === 0) return;
    if (number === Errno.EAGAIN && --left > 0) context.poller.timers.arm(timer, BACKLOG_RETRY_MS);
    else stream.fail(number === Errno.EAGAIN ? Errno.ECONNREFUSED : number);
  });
  context.counters.add('host-service-backlog-full');
  context.poller.timers.arm(timer, BACKLOG_RETRY_MS);
}

function openFlowSocket(context: EpollContext, family: number): number {
  const fd = libc.socket(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  if (fd >= 0) context.descriptors.record(fd, 'flow');
  return fd;
}

function openStream(
  context: EpollContext,
  fd: number,
  transport: Transport,
  peekOffset: boolean,
  handler: HostStreamHandler,
): EpollStream {
  const intake: Intake = peekOffset
    ? new KernelQueue(context.memory, fd, transport === 'unix')
    : new RetentionRing(context.memory, fd);
  return new EpollStream(context, fd, transport, intake, handler);
}

/** Gives the descriptor back after a call that set errno. */
function refuse(context: EpollContext, fd: number): HostErrorCode {
  const code = errorCode(libc.errno());
  context.poller.closeDescriptor(fd);
  return code;
}
