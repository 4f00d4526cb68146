/**
 * Sockets that are bound but not yet listening, by libc: what Node's own sockets cannot be. Used by the daemon and, for
 * ports below 1024, by its privileged helper, so it knows nothing of either. Linux only.
 *
 * Every descriptor made here is close-on-exec and non-blocking; results are descriptors or the negative errno.
 */
import koffi from 'koffi';
import { close, declare, errnoName, socket } from '../namespace/libc.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  F_DUPFD_CLOEXEC,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_NONBLOCK,
  SOCK_DGRAM,
  SOCK_FLAGS,
  SOCK_STREAM,
} from '../socket-numbers.ts';
import {
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SO_REUSEADDR,
  SO_TYPE,
  type SocketOption,
} from '../socket-options.ts';

export type PortProtocol = 'tcp' | 'udp';

/** An address of the host to bind at. */
export interface Place {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** The interface's number for a link-local IPv6 address, else 0. */
  readonly scope: number;
}

const bind: (fd: number, name: Uint8Array, length: number) => number = declare(
  'int bind(int fd, const void *name, unsigned int length)',
);
const listen: (fd: number, backlog: number) => number = declare('int listen(int fd, int backlog)');
const accept4: (fd: number, name: null, length: null, flags: number) => number = declare(
  'int accept4(int fd, void *name, void *length, int flags)',
);
const connect: (fd: number, name: Uint8Array, length: number) => number = declare(
  'int connect(int fd, const void *name, unsigned int length)',
);
const getsockname: (fd: number, name: Uint8Array, length: Int32Array) => number = declare(
  'int getsockname(int fd, void *name, void *length)',
);
const setsockopt: (fd: number, level: number, option: number, value: Int32Array, length: number) => number = declare(
  'int setsockopt(int fd, int level, int option, const void *value, unsigned int length)',
);
const getsockopt: (fd: number, level: number, option: number, value: Int32Array, length: Int32Array) => number =
  declare('int getsockopt(int fd, int level, int option, void *value, void *length)');
const recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = declare(
  'intptr_t recv(int fd, void *bytes, size_t length, int flags)',
);
const send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = declare(
  'intptr_t send(int fd, const void *bytes, size_t length, int flags)',
);
const fcntl: (fd: number, command: number, argument: number) => number = declare(
  'int fcntl(int fd, int command, int64_t argument)',
);
const fchmod: (fd: number, mode: number) => number = declare('int fchmod(int fd, unsigned int mode)');

/** struct sockaddr_in6; sockaddr_in is shorter. */
const NAME_BYTES = 28;
const NAME4_BYTES = 16;
const name = new Uint8Array(NAME_BYTES);
const ON = new Int32Array([1]);
const OFF = new Int32Array([0]);

/**
 * A socket bound at `place` and `port` (0: the kernel chooses), or the negative errno. TCP: SO_REUSEADDR is on for the
 * bind, so that connections of a past listener in TIME-WAIT do not stand in the way, and off right after, so that
 * nobody can bind beside a socket that does not listen yet. IPv6 sockets take IPv6 alone.
 */
export function bindSocket(protocol: PortProtocol, place: Place, port: number): number {
  const family = place.family === 4 ? AF_INET : AF_INET6;
  const fd = socket(family, (protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_FLAGS, 0);
  if (fd < 0) return -koffi.errno();
  if (place.family === 6) setOption(fd, IPV6_V6ONLY, ON);
  if (protocol === 'tcp') setOption(fd, SO_REUSEADDR, ON);
  if (bind(fd, writeName(family, place, port), place.family === 4 ? NAME4_BYTES : NAME_BYTES) !== 0) {
    const errno = koffi.errno();
    close(fd);
    return -errno;
  }
  if (protocol === 'tcp') setOption(fd, SO_REUSEADDR, OFF);
  return fd;
}

/** sin_family, sin_port, sin_addr; sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id */
function writeName(family: number, place: Place, port: number): Uint8Array {
  name.fill(0);
  name[0] = family;
  name[2] = port >>> 8;
  name[3] = port;
  name.set(place.address, place.family === 4 ? 4 : 8);
  if (place.family === 6) new DataView(name.buffer).setUint32(24, place.scope, true);
  return name;
}

function setOption(fd: number, { level, number }: SocketOption, value: Int32Array): void {
  setsockopt(fd, level, number, value, 4);
}

/** Fills `value`; false when the kernel refuses. */
function getOption(fd: number, { level, number }: SocketOption, value: Int32Array): boolean {
  return getsockopt(fd, level, number, value, new Int32Array([value.byteLength])) === 0;
}

/** What a bound socket is and where: to learn the chosen port, and to check a descriptor that came from elsewhere. */
export function boundAt(fd: number): { readonly protocol: PortProtocol; readonly port: number } | undefined {
  const bytes = new Uint8Array(NAME_BYTES);
  const type = new Int32Array(1);
  if (getsockname(fd, bytes, new Int32Array([NAME_BYTES])) !== 0) return undefined;
  if (!getOption(fd, SO_TYPE, type)) return undefined;
  if (bytes[0] !== AF_INET && bytes[0] !== AF_INET6) return undefined;
  return { protocol: type[0] === SOCK_STREAM ? 'tcp' : 'udp', port: (bytes[2]! << 8) | bytes[3]! };
}

/**
 * A stream socket bound at a new file with `mode`, less the umask, or the negative errno. 0600: only this user may
 * connect to it.
 */
export function bindUnixSocket(path: string, mode: number): number {
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
  if (fd < 0) return -koffi.errno();
  const at = unixName(path);
  // The file that bind makes has the mode of the socket: no moment in between belongs to others.
  if (fchmod(fd, mode) === 0 && bind(fd, at, at.length) === 0) return fd;
  const errno = koffi.errno();
  close(fd);
  return -errno;
}

/**
 * A stream socket connected to the listener at `path`, or the negative errno. Does not wait: a full backlog is EAGAIN.
 */
export function connectUnixSocket(path: string): number {
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
  if (fd < 0) return -koffi.errno();
  const at = unixName(path);
  if (connect(fd, at, at.length) === 0) return fd;
  const errno = koffi.errno();
  close(fd);
  return -errno;
}

/** Another descriptor for the same socket, close-on-exec. */
export function dup(fd: number): number {
  const other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return other < 0 ? -koffi.errno() : other;
}

function unixName(path: string): Uint8Array {
  return Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(path), Buffer.from([0])]);
}

/** Begins to listen. 0 or the negative errno. */
export function startListening(fd: number, backlog: number): number {
  return listen(fd, backlog) === 0 ? 0 : -koffi.errno();
}

/**
 * Makes a listening socket that this process was started with like those made here; false when the descriptor is none.
 */
export function adoptListener(fd: number): boolean {
  const listening = new Int32Array(1);
  if (!getOption(fd, SO_ACCEPTCONN, listening) || listening[0] !== 1) return false;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) === 0 && fcntl(fd, F_SETFL, O_NONBLOCK) === 0;
}

/** The next waiting connection, or the negative errno. */
export function acceptConnection(fd: number): number {
  const accepted = accept4(fd, null, null, SOCK_FLAGS);
  return accepted < 0 ? -koffi.errno() : accepted;
}

/** Who is at the other end of a unix connection, as the kernel noted it when it was made (unix(7)). */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  /** The primary group and the others. */
  readonly gids: readonly number[];
}

/** Enough for nearly everyone; the kernel says how much room the others need. */
const GROUPS_FIRST = 64;

/** Undefined when the kernel does not tell. */
export function peerCredentials(fd: number): PeerCredentials | undefined {
  const ucred = new Int32Array(3);
  if (!getOption(fd, SO_PEERCRED, ucred)) return undefined;
  const [pid, uid, gid] = [ucred[0]!, ucred[1]! >>> 0, ucred[2]! >>> 0];
  return { pid, uid, gids: [...new Set([gid, ...peerGroups(fd)])] };
}

/** The supplementary groups; none on kernels before 4.13. */
function peerGroups(fd: number): number[] {
  const bytes = new Int32Array([4 * GROUPS_FIRST]);
  for (let tries = 0; tries < 2; tries++) {
    const groups = new Int32Array(bytes[0]! / 4);
    if (getsockopt(fd, SO_PEERGROUPS.level, SO_PEERGROUPS.number, groups, bytes) === 0) {
      return Array.from(groups.subarray(0, bytes[0]! / 4), (group) => group >>> 0);
    }
    if (errorName(-koffi.errno()) !== 'ERANGE') break;
  }
  return [];
}

/**
 * Reads into bytes [at, bytes.length): the count, 0 at the end, or the negative errno. Descriptors that came along are
 * closed by the kernel.
 */
export function receiveBytes(fd: number, bytes: Uint8Array, at: number): number {
  const count = recv(fd, bytes.subarray(at), bytes.length - at, MSG_DONTWAIT);
  return count < 0 ? -koffi.errno() : count;
}

/** Sends bytes [at, bytes.length) as far as there is room just now: the count, or the negative errno. */
export function sendBytes(fd: number, bytes: Uint8Array, at: number): number {
  const count = send(fd, bytes.subarray(at), bytes.length - at, MSG_DONTWAIT | MSG_NOSIGNAL);
  return count < 0 ? -koffi.errno() : count;
}

/** The name of a negative errno: 'EADDRINUSE'. */
export function errorName(result: number): string {
  return errnoName(-result);
}
