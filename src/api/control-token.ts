import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { SlipwayError } from '../config/errors.ts';

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
  /** Removes the file if it was made here. */
  remove(): void;
}

/**
 * The token in a file that is its owner's alone; a new one where there is no file. Throws ERR_CONTROL_TOKEN for a file that
 * others may read or that holds no token.
 */
export function tokenFile(path: string): TokenFile {
  const there = readToken(path);
  if (there !== undefined) return { token: there, remove: () => {} };
  const token = newToken();
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      writeSync(fd, `${token}\n`);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw refused(path, `cannot be written: ${(cause as Error).message}`, 'Choose another place for it.', cause);
  }
  return { token, remove: () => rmSync(path, { force: true }) };
}

/** Undefined where there is no file. */
export function readToken(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw refused(path, `cannot be read: ${(cause as Error).message}`, 'Check that it is yours.', cause);
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & 0o077) !== 0 || uid !== (process.getuid?.() ?? uid)) {
      throw refused(path, 'is not its owner’s alone', `Say: chmod 600 ${path}`);
    }
    const token = readFileSync(fd, 'utf8').trim();
    if (token.length >= LEAST_CHARACTERS && token.length <= MOST_CHARACTERS && /^[\x21-\x7e]+$/.test(token))
      return token;
    throw refused(
      path,
      `holds no token of ${LEAST_CHARACTERS} characters and more`,
      'Remove it, and a new one is made.',
    );
  } finally {
    closeSync(fd);
  }
}

function refused(path: string, why: string, hint: string, cause?: unknown): SlipwayError {
  return new SlipwayError('ERR_CONTROL_TOKEN', `the token file ${path} ${why}`, hint, { cause });
}
