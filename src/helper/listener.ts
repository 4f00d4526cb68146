/** Where the helper listens: the socket that systemd hands over, or one of its own. */
import { SlipwayError } from '../facts/errors.ts';
import { type BoundUnix, bindUnix } from '../host/ports/bind-unix.ts';
import { adoptListener, startListening } from '../host/ports/socket-calls.ts';
import type { SocketFile } from '../host/files/socket-file.ts';

/** sd_listen_fds(3): the first descriptor handed over. */
const FIRST_DESCRIPTOR = 3;
const BACKLOG = 128;

export interface HelperListener {
  readonly fd: number;
  /** Of a socket of its own; systemd looks after the one that it hands over. */
  readonly file?: SocketFile;
}

/** With `path` a new socket there, which everyone may connect to; else the one of systemd's socket activation. */
export function helperListener(path: string | undefined): HelperListener {
  if (path !== undefined) {
    const { sockets, file } = bindForEveryone(path);
    const fd = sockets.fds[0]!;
    if (startListening(fd, BACKLOG) === 0) return { fd, file };
    throw new SlipwayError('ERR_HELPER_UNAVAILABLE', `the helper cannot listen at ${path}`, 'Choose another path.');
  }
  const { LISTEN_FDS, LISTEN_PID } = process.env;
  if (LISTEN_FDS === '1' && LISTEN_PID === String(process.pid) && adoptListener(FIRST_DESCRIPTOR)) {
    return { fd: FIRST_DESCRIPTOR };
  }
  throw new SlipwayError(
    'ERR_USAGE',
    'the helper was given no socket to listen at',
    'systemd hands one over (slipway helper install --print shows how); else give --socket <path>.',
  );
}

/**
 * Everyone may connect; the allow list decides who is served. A chmod of the path would follow a link that took its
 * place meanwhile.
 */
function bindForEveryone(path: string): BoundUnix {
  const umask = process.umask(0);
  try {
    return bindUnix(path, 0o666);
  } finally {
    process.umask(umask);
  }
}
