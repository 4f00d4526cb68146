/**
 * Options of Linux's sockets: names, numbers and what sets several of them for one purpose. The same pairs of level and
 * number tell the kinds of control messages apart (cmsg(3)).
 */

export interface SocketOption {
  readonly level: number;
  readonly number: number;
}

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_TCP = 6;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
const SOL_RAW = 255;

export const SO_REUSEADDR: SocketOption = { level: SOL_SOCKET, number: 2 };
export const SO_TYPE: SocketOption = { level: SOL_SOCKET, number: 3 };
export const SO_ERROR: SocketOption = { level: SOL_SOCKET, number: 4 };
const SO_SNDBUF: SocketOption = { level: SOL_SOCKET, number: 7 };
export const SO_RCVBUF: SocketOption = { level: SOL_SOCKET, number: 8 };
export const SO_KEEPALIVE: SocketOption = { level: SOL_SOCKET, number: 9 };
export const SO_OOBINLINE: SocketOption = { level: SOL_SOCKET, number: 10 };
export const SO_LINGER: SocketOption = { level: SOL_SOCKET, number: 13 };
export const SO_PEERCRED: SocketOption = { level: SOL_SOCKET, number: 17 };
export const SO_ACCEPTCONN: SocketOption = { level: SOL_SOCKET, number: 30 };
const SO_SNDBUFFORCE: SocketOption = { level: SOL_SOCKET, number: 32 };
const SO_RCVBUFFORCE: SocketOption = { level: SOL_SOCKET, number: 33 };
export const SO_PROTOCOL: SocketOption = { level: SOL_SOCKET, number: 38 };
export const SO_DOMAIN: SocketOption = { level: SOL_SOCKET, number: 39 };
export const SO_PEEK_OFF: SocketOption = { level: SOL_SOCKET, number: 42 };
export const SO_PEERGROUPS: SocketOption = { level: SOL_SOCKET, number: 59 };

export const TCP_NODELAY: SocketOption = { level: SOL_TCP, number: 1 };
export const TCP_KEEPIDLE: SocketOption = { level: SOL_TCP, number: 4 };
const TCP_KEEPINTVL: SocketOption = { level: SOL_TCP, number: 5 };
const TCP_KEEPCNT: SocketOption = { level: SOL_TCP, number: 6 };
export const TCP_INFO: SocketOption = { level: SOL_TCP, number: 11 };

const IP_TOS: SocketOption = { level: SOL_IP, number: 1 };
export const IP_TTL: SocketOption = { level: SOL_IP, number: 2 };
const IP_PKTINFO: SocketOption = { level: SOL_IP, number: 8 };
const IP_MTU_DISCOVER: SocketOption = { level: SOL_IP, number: 10 };
const IP_RECVERR: SocketOption = { level: SOL_IP, number: 11 };
const IP_RECVTOS: SocketOption = { level: SOL_IP, number: 13 };

const IPV6_UNICAST_HOPS: SocketOption = { level: SOL_IPV6, number: 16 };
const IPV6_MTU_DISCOVER: SocketOption = { level: SOL_IPV6, number: 23 };
const IPV6_RECVERR: SocketOption = { level: SOL_IPV6, number: 25 };
export const IPV6_V6ONLY: SocketOption = { level: SOL_IPV6, number: 26 };
const IPV6_RECVPKTINFO: SocketOption = { level: SOL_IPV6, number: 49 };
const IPV6_PKTINFO: SocketOption = { level: SOL_IPV6, number: 50 };
const IPV6_TCLASS: SocketOption = { level: SOL_IPV6, number: 67 };

export const ICMP_FILTER: SocketOption = { level: SOL_RAW, number: 1 };

/** The control message with the type of service that a datagram came with (IP_RECVTOS): one byte. */
export const RECEIVED_TOS: SocketOption = IP_TOS;
/** The control message with our address: struct in_pktinfo. */
export const PACKET_INFO: SocketOption = IP_PKTINFO;
/** The same, of IPv6: struct in6_pktinfo. */
export const PACKET_INFO6: SocketOption = IPV6_PKTINFO;
/** The control messages of an error queue: struct sock_extended_err. */
export const QUEUED_ERROR: SocketOption = IP_RECVERR;
export const QUEUED_ERROR6: SocketOption = IPV6_RECVERR;
/** The control message that makes one super-datagram of many: the length of each, a u16. */
export const UDP_SEGMENT: SocketOption = { level: SOL_UDP, number: 103 };
/** The control message that carries descriptors. */
export const SCM_RIGHTS: SocketOption = { level: SOL_SOCKET, number: 1 };

/** IP_PMTUDISC_DONT, IP_PMTUDISC_DO */
const FRAGMENT = 0;
const DO_NOT_FRAGMENT = 2;

/** Sets options by setsockopt. */
export interface OptionSetter {
  /** False when the kernel refuses. */
  setOption(fd: number, option: SocketOption, value: number): boolean;
}

/** What a TCP socket of either family sends bears this DSCP. */
export function setDscp(setter: OptionSetter, fd: number, dscp: number): void {
  setter.setOption(fd, IP_TOS, dscp);
  setter.setOption(fd, IPV6_TCLASS, dscp);
}

/** What an IPv4 socket sends bears this type of service. */
export function setTypeOfService(setter: OptionSetter, fd: number, tos: number): void {
  setter.setOption(fd, IP_TOS, tos);
}

/** Time to live of what a socket of that family sends; 0: the host's own. */
export function setTimeToLive(setter: OptionSetter, fd: number, inet6: boolean, ttl: number): void {
  setter.setOption(fd, inet6 ? IPV6_UNICAST_HOPS : IP_TTL, ttl === 0 ? -1 : ttl);
}

/** Whether what is longer than the way takes is cut, or refused. */
export function setFragmenting(setter: OptionSetter, fd: number, inet6: boolean, fragment: boolean): void {
  setter.setOption(fd, inet6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, fragment ? FRAGMENT : DO_NOT_FRAGMENT);
}

/** Whether ICMP errors come to the socket's error queue. */
export function setErrorQueue(setter: OptionSetter, fd: number, inet6: boolean, on: boolean): void {
  setter.setOption(fd, inet6 ? IPV6_RECVERR : IP_RECVERR, on ? 1 : 0);
}

/** RECEIVED_TOS comes with each datagram of an IPv4 socket. */
export function receiveTos(setter: OptionSetter, fd: number): void {
  setter.setOption(fd, IP_RECVTOS, 1);
}

/** PACKET_INFO or PACKET_INFO6 comes with each datagram. */
export function receivePacketInfo(setter: OptionSetter, fd: number, inet6: boolean): void {
  setter.setOption(fd, inet6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
}

/** Buffers of so many bytes both ways, up to the limits of net.core (rmem_max, wmem_max). */
export function setBuffers(setter: OptionSetter, fd: number, bytes: number): void {
  setter.setOption(fd, SO_SNDBUF, bytes);
  setter.setOption(fd, SO_RCVBUF, bytes);
}

/** The same; as root beyond those limits too. */
export function raiseBuffers(setter: OptionSetter, fd: number, bytes: number): void {
  if (!setter.setOption(fd, SO_SNDBUFFORCE, bytes)) setter.setOption(fd, SO_SNDBUF, bytes);
  if (!setter.setOption(fd, SO_RCVBUFFORCE, bytes)) setter.setOption(fd, SO_RCVBUF, bytes);
}

/** Probes a silent TCP peer after so many seconds, and gives it up after as many more without an answer to `probes`. */
export function setKeepAlive(setter: OptionSetter, fd: number, seconds: number, probes: number): void {
  setter.setOption(fd, SO_KEEPALIVE, 1);
  setter.setOption(fd, TCP_KEEPIDLE, seconds);
  setter.setOption(fd, TCP_KEEPINTVL, Math.ceil(seconds / probes));
  setter.setOption(fd, TCP_KEEPCNT, probes);
}
