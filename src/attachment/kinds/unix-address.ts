import type { UnixPlace } from '../../env/attachment-place.ts';
import { UNIX_PATH_BYTES } from '../../facts/unix-path.ts';
import { utf8From } from '../../wire/utf8.ts';

/**
 * The socket file that `rest` of an address names, of at most `mostBytes`; as text, what was expected instead. Never
 * throws.
 */
export function unixAddress(scheme: string, rest: string, mostBytes: number = UNIX_PATH_BYTES): UnixPlace | string {
  let path: string;
  try {
    path = decodeURIComponent(rest);
  } catch {
    return 'a path whose percent signs are written as %25';
  }
  if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) {
    return `an absolute path, as in ${scheme}:///run/slipway.sock (three slashes)`;
  }
  const bytes = utf8From(path).length;
  if (bytes > mostBytes) return `a socket path of at most ${mostBytes} bytes (this one has ${bytes})`;
  return { kind: 'unix', path };
}
