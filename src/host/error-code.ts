import type { HostErrorCode } from '../env/host.ts';

const CODES: ReadonlySet<string> = new Set<HostErrorCode>([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'EACCES',
  'EPERM',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EMSGSIZE',
  'EINVAL',
  'EPROTO',
  'ENOPROTOOPT',
  'EAFNOSUPPORT',
  'EIO',
]);

/** The seam's word for an error of Node: its `code`, or EIO when the seam has no such word. */
export function hostErrorCode(error: unknown): HostErrorCode {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code !== undefined && CODES.has(code) ? (code as HostErrorCode) : 'EIO';
}
