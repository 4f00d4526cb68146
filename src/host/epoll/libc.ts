/**
 * The system calls of the epoll engine, bound by koffi. Addresses are plain numbers (exact below 2^53), so nothing but
 * integers crosses the border and a call costs about 150 ns more than the system call itself. Nothing here blocks as
 * long as the descriptors are non-blocking or MSG_DONTWAIT is given.
 *
 * Numbers are those of Linux on 64-bit little-endian machines, alike on x86-64 and arm64 but for `EPOLL_EVENT_BYTES`.
 */
import koffi from 'koffi';

export * from '../socket-numbers.ts';

const libc = koffi.load(null);

type Call1 = (a: number) => number;
type Call2 = (a: number, b: number) => number;
type Call3 = (a: number, b: number, c: number) => number;
type Call4 = (a: number, b: number, c: number, d: number) => number;
type Call5 = (a: number, b: number, c: number, d: number, e: number) => number;
type Call6 = (a: number, b: number, c: number, d: number, e: number, f: number) => number;

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
/** (fd, address, address of length) */
export const getpeername: Call3 = libc.func('int getpeername(int, int64_t, int64_t)');
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
/** (fd, address, length, flags, address of name, address of name length) */
export const recvfrom: Call6 = libc.func('int64_t recvfrom(int, int64_t, int64_t, int, int64_t, int64_t)');
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
export const NETLINK_ROUTE = 0;
/** A state in struct tcp_info. */
export const TCP_SYN_SENT = 2;

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
