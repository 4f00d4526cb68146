import { type ErrorCode, SlipwayError } from '../../facts/errors.ts';
import type { ForwardSpec } from '../../config/forward.ts';
import { joinHostPort } from './host-port.ts';

/** The kernel's words. */
const WORDS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ERR_PORT_IN_USE: 'address already in use',
  ERR_FORWARD_EXISTS: 'address already in use',
  ERR_PORT_DENIED: 'permission denied',
  ERR_HELPER_DENIED: 'permission denied',
  ERR_HELPER_UNAVAILABLE: 'permission denied',
  ERR_PORT_ADDRESS: 'cannot assign requested address',
  ERR_PORT_LIMIT: 'too many open files',
};

/**
 * Why a guest's forward could not be opened, in gvproxy's words and no others: our own errors name processes, users,
 * paths and other forwards of this computer, which are nothing for a guest.
 */
export function guestRefusal(error: unknown, { protocol, host }: ForwardSpec): string {
  const code = error instanceof SlipwayError ? error.code : undefined;
  // It speaks of what the guest asked for and of nothing else.
  if (error instanceof SlipwayError && code === 'ERR_FORWARD_INVALID') return error.message;
  const place = host.kind === 'port' ? joinHostPort(host.address, host.port) : host.path;
  return `listen ${protocol} ${place}: bind: ${(code && WORDS[code]) ?? 'input/output error'}`;
}
