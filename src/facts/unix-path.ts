import { utf8From } from '../wire/utf8.ts';

/** `sun_path` of sockaddr_un (unix(7)), its closing zero included. */
export const SUN_PATH_BYTES = 108;
/** The longest path of a unix socket. */
export const UNIX_PATH_BYTES: number = SUN_PATH_BYTES - 1;

/** An absolute path at which a unix socket can be. */
export function isUnixPath(path: unknown): path is string {
  return (
    typeof path === 'string' &&
    path.startsWith('/') &&
    !path.endsWith('/') &&
    !path.includes('\0') &&
    utf8From(path).length <= UNIX_PATH_BYTES
  );
}
