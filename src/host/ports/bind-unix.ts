/**
 * A forward's unix socket on the host: bound for this user alone, in the place of one that a killed process left
 * behind.
 */
import { unlinkSync } from 'node:fs';
import path from 'node:path';
import { SlipwayError } from '../../facts/errors.ts';
import { makeFolder } from '../files/make-folder.ts';
import { close } from '../namespace/libc.ts';
import { SocketFile } from '../files/socket-file.ts';
import type { BoundPorts } from './bind.ts';
import { describeOwner, inodeOwner } from './owner.ts';
import { bindUnixSocket, connectUnixSocket, errorName } from './socket-calls.ts';
import { unixSocketAt } from './socket-table.ts';
import { isUnixPath, UNIX_PATH_BYTES } from '../../facts/unix-path.ts';

export interface BoundUnix extends BoundPorts {
  readonly file: SocketFile;
}

/** Readable and writable for its user alone; who may write to a socket may connect to it. */
const PRIVATE = 0o600;

/**
 * Binds a stream socket at `place` (absolute), with `mode` less the umask; a missing folder is made,
 * for this user alone. Errors: ERR_PORT_IN_USE (someone's socket, or another kind of file), ERR_PORT_DENIED,
 * ERR_PORT_ADDRESS, ERR_PORT_LIMIT, ERR_PORT_FAILED.
 */
export function bindUnix(place: string, mode: number = PRIVATE): BoundUnix {
  if (!isUnixPath(place)) {
    throw unixError(
      'ERR_PORT_ADDRESS',
      place,
      'invalid argument',
      `Give an absolute path of at most ${UNIX_PATH_BYTES} bytes.`,
    );
  }
  try {
    makeFolder(path.dirname(place));
  } catch (error) {
    throw refused(place, (error as NodeJS.ErrnoException).code ?? 'EIO');
  }
  const file = new SocketFile(place);
  makeFree(file);
  const fd = bindUnixSocket(place, mode);
  if (fd < 0) throw refused(place, errorName(fd));
  file.claim();
  return { sockets: { kind: 'descriptors', fds: [fd], index: [0] }, boundPort: 0, descriptors: 1, file };
}

/** Removes a socket that nobody holds; throws for everything else that is there. */
function makeFree(made: SocketFile): void {
  const file = made.path;
  const found = made.look();
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw unixError(
      'ERR_PORT_IN_USE',
      file,
      'address already in use: it exists and is not a socket',
      'Choose another path, or move that file away.',
    );
  }
  // A forward that waits for its guest refuses connections like a dead one, but the kernel still lists its socket.
  const holder = unixSocketAt(file);
  const answer = connectUnixSocket(file);
  if (answer >= 0) close(answer);
  if (holder === undefined && answer < 0 && errorName(answer) === 'ECONNREFUSED') {
    try {
      unlinkSync(file);
    } catch (error) {
      throw refused(file, (error as NodeJS.ErrnoException).code ?? 'EIO');
    }
    return;
  }
  const owner = holder === undefined ? undefined : inodeOwner(holder);
  const held = describeOwner(owner ?? { kind: 'hidden', uid: found.uid });
  throw unixError('ERR_PORT_IN_USE', file, `address already in use: ${held}`, 'Stop it, or choose another path.');
}

function refused(file: string, errno: string): SlipwayError {
  switch (errno) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return unixError(
        'ERR_PORT_DENIED',
        file,
        'permission denied',
        `Choose a path in a folder that this user may write to.`,
      );
    case 'EADDRINUSE':
      return unixError('ERR_PORT_IN_USE', file, 'address already in use', 'Choose another path.');
    case 'EMFILE':
    case 'ENFILE':
      return unixError('ERR_PORT_LIMIT', file, 'too many open files', 'Raise the limit: ulimit -n.');
    case 'ENOENT':
      return unixError(
        'ERR_PORT_FAILED',
        file,
        `its folder ${path.dirname(file)} does not exist and cannot be made`,
        'Choose a path in a folder that exists.',
      );
    case 'ENOTDIR':
    case 'EEXIST':
      return unixError('ERR_PORT_ADDRESS', file, 'not a directory', 'A part of the path is a file.');
    default:
      return unixError('ERR_PORT_FAILED', file, errno, '');
  }
}

function unixError(code: SlipwayError['code'], file: string, why: string, hint: string): SlipwayError {
  return new SlipwayError(code, `listen unix ${file}: bind: ${why}`, hint);
}
