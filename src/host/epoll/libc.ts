/**
 * The system calls of the epoll engine, bound by koffi. Addresses are plain numbers (exact below 2^53), so nothing but
 * integers crosses the border and a call costs about 150 ns more than the system call itself. Nothing here blocks as long
 * as the descriptors are non-blocking or MSG_DONTWAIT is given.
 *
 * Numbers are those of Linux on 64-bit little-endian machines, alike on x86-64 and arm64 but for `EPOLL_EVENT_BYTES`.
 */
import koffi from 'koffi';
import type { HostErrorCode } from '../../env/host.ts';

const libc = koffi.load(null);

type Call1 = (a: number) => number;
type Call2 = (a: number, b: number) => number;
type Call3 = (a: number, b: number, c: number) => number;
type Call4 = (a: number, b: number, c: number, d: number) => number;
type Call5 = (a: number, b: number, c: number, d: number, e: number) => number;

/** (domain, type, protocol) */
export const socket: Call3 = libc.func('int socket(int, int, int)');
/** (domain, type, protocol, address of int[2]) */
export const socketpair: Call4 = libc.func('int socketpair(int, int, int, int64_t)');
/** (fd, address, length) */
export const connect: Call3 = libc.func('int connect(int, int64_t, int)');
/** (fd, address, length) */
export const bind: Call3 = libc.func('int bind(int, int64_t, int)');
/** (fd, backlog) */
export const listen: Call2 = libc.func('int listen(int, int)');
/** (fd, address, address of length, flags) */
export const accept4: Call4 = libc.func('int accept4(int, int64_t, int64_t, int)');
/** (fd, address, address of length) */
export const getsockname: Call3 = libc.func('int getsockname(int, int64_t, int64_t)');
/** (fd, level, option, address, length) */
export const setsockopt: Call5 = libc.func('int setsockopt(int, int, int, int64_t, int)');
/** (fd, level, option, address, address of length) */
export const getsockopt: Call5 = libc.func('int getsockopt(int, int, int, int64_t, int64_t)');
/** (fd, how) */
export const shutdown: Call2 = libc.func('int shutdown(int, int)');
export const close: Call1 = libc.func('int close(int)');
/** (fd, address, length, flags) */
export const recv: Call4 = libc.func('int64_t recv(int, int64_t, int64_t, int)');
/** (fd, address, length, flags) */
export const send: Call4 = libc.func('int64_t send(int, int64_t, int64_t, int)');
/** (fd, msghdr, flags) */
export const recvmsg: Call3 = libc.func('int64_t recvmsg(int, int64_t, int)');
/** (fd, msghdr, flags) */
export const sendmsg: Call3 = libc.func('int64_t sendmsg(int, int64_t, int)');
/** (fd, mmsghdr array, count, flags, timeout) */
export const recvmmsg: Call5 = libc.func('int recvmmsg(int, int64_t, unsigned int, int, int64_t)');
/** (fd, mmsghdr array, count, flags) */
export const sendmmsg: Call4 = libc.func('int sendmmsg(int, int64_t, unsigned int, int)');
/** (fd, address, length) */
export const read: Call3 = libc.func('int64_t read(int, int64_t, int64_t)');
/** (fd, address, length) */
export const write: Call3 = libc.func('int64_t write(int, int64_t, int64_t)');
/** (fd, request, address) */
export const ioctl: Call3 = libc.func('int ioctl(int, unsigned long, int64_t)');
/** (fd, command, argument) */
export const fcntl: Call3 = libc.func('int fcntl(int, int, int64_t)');
/** (flags) */
export const epollCreate: Call1 = libc.func('int epoll_create1(int)');
/** (epoll, operation, fd, address of epoll_event) */
export const epollCtl: Call4 = libc.func('int epoll_ctl(int, int, int, int64_t)');
/** (epoll, events, capacity, timeout ms) */
export const epollWait: Call4 = libc.func('int epoll_wait(int, int64_t, int, int)');
/** (initial value, flags) */
export const eventfd: Call2 = libc.func('int eventfd(unsigned int, int)');

/** (clock, address of timespec) */
export const clockGetTime: Call2 = libc.func('int clock_gettime(int, int64_t)');

/** The calling thread's errno; valid right after a call that returned −1. */
export const errno: () => number = koffi.errno;

/** Where the kernel sees the first byte of a buffer that never moves. */
export function addressOf(buffer: ArrayBuffer): number {
  return Number(koffi.address(buffer));
}

/** What the calling thread has used of a processor. */
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
/** SOCK_NONBLOCK | SOCK_CLOEXEC: every socket of this engine has both. */
export const SOCK_FLAGS: number = 0o4000 | 0o2000000;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const NETLINK_ROUTE = 0;

export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const SOL_TCP = 6;
export const SOL_IPV6 = 41;
export const SOL_RAW = 255;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_OOBINLINE = 10;
export const SO_LINGER = 13;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_ACCEPTCONN = 30;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_PEEK_OFF = 42;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_INFO = 11;
/** A state in struct tcp_info. */
export const TCP_SYN_SENT = 2;
export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_PKTINFO = 8;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVERR = 11;
export const IP_RECVTOS = 13;
export const IP_PMTUDISC_DONT = 0;
export const IP_PMTUDISC_DO = 2;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_RECVERR = 25;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_TCLASS = 67;
export const ICMP_FILTER = 1;

export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const SCM_RIGHTS = 1;
export const SHUT_RD = 0;
export const SHUT_WR = 1;
/** Bytes written but not yet acknowledged (TCP), the FIN included. */
export const SIOCOUTQ = 0x5411;
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const O_NONBLOCK = 0o4000;

export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x80000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CLOEXEC = 0o2000000;
export const EFD_FLAGS: number = 0o4000 | 0o2000000;
/** struct epoll_event is packed on x86-64 only; `data` is its last 8 bytes. */
export const EPOLL_EVENT_BYTES: number = process.arch === 'x64' ? 12 : 16;

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EAGAIN = 11;
export const ENOTSOCK = 88;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EINPROGRESS = 115;
export const EMSGSIZE = 90;
export const EINVAL = 22;
export const EIO = 5;

/**
 * What accept() says when one client is gone, by itself or by the errors of its network, which accept(2) passes on: EINTR,
 * ENONET, EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH, ECONNABORTED, ECONNRESET, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH. With any
 * other error (EMFILE, ENOMEM, what a security module forbids) trying again at once is in vain.
 */
export const CLIENT_LEFT: ReadonlySet<number> = new Set([
  EINTR,
  64,
  71,
  92,
  ENETDOWN,
  101,
  103,
  104,
  ETIMEDOUT,
  112,
  113,
]);

/** include/uapi/asm-generic/errno*.h, for what the seam knows; alike on x86-64 and arm64. */
const CODES: ReadonlyMap<number, HostErrorCode> = new Map<number, HostErrorCode>([
  [EPERM, 'EPERM'],
  [EIO, 'EIO'],
  [12, 'ENOMEM'],
  [13, 'EACCES'],
  [EINVAL, 'EINVAL'],
  [23, 'ENFILE'],
  [24, 'EMFILE'],
  [32, 'EPIPE'],
  [71, 'EPROTO'],
  [EMSGSIZE, 'EMSGSIZE'],
  [92, 'ENOPROTOOPT'],
  [97, 'EAFNOSUPPORT'],
  [EADDRINUSE, 'EADDRINUSE'],
  [EADDRNOTAVAIL, 'EADDRNOTAVAIL'],
  [ENETDOWN, 'ENETDOWN'],
  [101, 'ENETUNREACH'],
  [103, 'ECONNABORTED'],
  [104, 'ECONNRESET'],
  [ENOBUFS, 'ENOBUFS'],
  [ETIMEDOUT, 'ETIMEDOUT'],
  [111, 'ECONNREFUSED'],
  [112, 'EHOSTDOWN'],
  [113, 'EHOSTUNREACH'],
  // A service's socket file that is missing is a service that does not listen.
  [ENOENT, 'ECONNREFUSED'],
]);

/** The seam's word for an errno; what it has no word for is EIO. */
export function errorCode(number: number): HostErrorCode {
  return CODES.get(number) ?? 'EIO';
}
