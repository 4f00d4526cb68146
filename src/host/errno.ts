/**
 * Errno names and numbers (include/uapi/asm-generic/errno*.h, alike on x86-64 and arm64), and the seam's words for
 * them.
 */
import type { HostErrorCode } from '../env/host.ts';

const OF_THE_SEAM: Readonly<Record<HostErrorCode, number>> = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EPROTO: 71,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
};

const OTHERS = {
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  ENOTDIR: 20,
  ENONET: 64,
  ENOTSOCK: 88,
  EPROTOTYPE: 91,
  ENOTCONN: 107,
  EINPROGRESS: 115,
};

/** Every errno that this program compares with. */
export const Errno: Readonly<Record<HostErrorCode | keyof typeof OTHERS, number>> = { ...OF_THE_SEAM, ...OTHERS };

/**
 * What accept() says when one client is gone, by itself or by the errors of its network, which accept(2) passes on.
 * With any other error (EMFILE, ENOMEM, what a security module forbids) trying again at once is in vain.
 */
export const CLIENT_LEFT: ReadonlySet<number> = new Set([
  Errno.EINTR,
  Errno.ENONET,
  Errno.EPROTO,
  Errno.ENOPROTOOPT,
  Errno.ENETDOWN,
  Errno.ENETUNREACH,
  Errno.ECONNABORTED,
  Errno.ECONNRESET,
  Errno.ETIMEDOUT,
  Errno.EHOSTDOWN,
  Errno.EHOSTUNREACH,
]);

const WORDS: ReadonlyMap<number, HostErrorCode> = new Map<number, HostErrorCode>([
  ...Object.entries(OF_THE_SEAM).map(([word, number]): [number, HostErrorCode] => [number, word as HostErrorCode]),
  // A service's socket file that is missing is a service that does not listen.
  [Errno.ENOENT, 'ECONNREFUSED'],
]);

/** The seam's word for an errno; EIO where it has none. */
export function errorCode(number: number): HostErrorCode {
  return WORDS.get(number) ?? 'EIO';
}

/** The seam's word for an error of Node, by its `code`; EIO where it has none. */
export function hostErrorCode(error: unknown): HostErrorCode {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code !== undefined && Object.hasOwn(OF_THE_SEAM, code) ? (code as HostErrorCode) : 'EIO';
}
