import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { SlipwayError } from '../../facts/errors.ts';

/** 256 bits, as base64url. */
const TOKEN_BYTES = 32;
/** What a person may write by hand. */
const LEAST_CHARACTERS = 32;
const MOST_CHARACTERS = 512;

export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Whether two tokens are the same, in a time that says nothing about where they differ. */
export function sameToken(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

export interface TokenFile {
  readonly token: string;
  /** Removes the file if it is the one that was made here. */
  remove(): void;
}

/**
 * The token in a file that is its owner's alone; a new one where there is no file. Throws ERR_CONTROL_TOKEN for a file
 * that others may read or that holds no token.
 */
export function tokenFile(path: string): TokenFile {
  const there = readToken(path);
  if (there !== undefined) return { token: there, remove: () => {} };
  const token = newToken();
  let inode: number;
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      const text = `${token}\n`;
      if (writeSync(fd, text) < text.length) throw new Error('there is not enough room');
      inode = fstatSync(fd).ino;
    } catch (error) {
      // On a full disk the file is there and the token is not: the next start would find no token in it.
      rmSync(path, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw refused(path, `cannot be written: ${(cause as Error).message}`, 'Choose another place for it.', cause);
  }
  const remove = (): void => {
    // Whoever removed ours and made another one needs that.
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === inode) rmSync(path, { force: true });
  };
  return { token, remove };
}

/** Undefined where there is no file. */
export function readToken(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let fd: number;
  try {
    // Without O_NONBLOCK a pipe without a writer would hold the daemon for ever.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw refused(path, `cannot be read: ${(cause as Error).message}`, 'Check that it is yours.', cause);
  }
  try {
    const stats = fstatSync(fd);
    const { mode, uid } = stats;
    if (!stats.isFile()) throw refused(path, 'is not a regular file', 'Choose another place for it.');
    if ((mode & 0o077) !== 0 || uid !== (process.getuid?.() ?? uid)) {
      throw refused(path, 'is open to other users', `Run: chmod 600 ${path}`);
    }
    const token = readFileSync(fd, 'utf8').trim();
    if (token.length >= LEAST_CHARACTERS && token.length <= MOST_CHARACTERS && /^[\x21-\x7e]+$/.test(token))
      return token;
    throw refused(
      path,
      `holds no token of ${LEAST_CHARACTERS} characters or more`,
      'Remove it; Slipway then makes a new one.',
    );
  } finally {
    closeSync(fd);
  }
}

function refused(path: string, why: string, hint: string, cause?: unknown): SlipwayError {
  return new SlipwayError('ERR_CONTROL_TOKEN', `the token file ${path} ${why}`, hint, { cause });
}
