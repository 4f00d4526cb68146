/**
 * Numbers of Linux's socket calls, alike on x86-64 and arm64. Options of sockets: socket-options.ts; errors: errno.ts.
 */

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
/** What every socket has that is made here for more than one blocking call. */
export const SOCK_FLAGS: number = SOCK_NONBLOCK | SOCK_CLOEXEC;

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;

export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
/** Bytes written but not yet acknowledged (TCP), the FIN included. */
export const SIOCOUTQ = 0x5411;

export const F_SETFD = 2;
export const F_DUPFD_CLOEXEC = 1030;
export const FD_CLOEXEC = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const O_NONBLOCK = 0o4000;
