import { chmodSync, closeSync, mkdtempSync, openSync, rmdirSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SlipwayError } from '../facts/errors.ts';

/** include/uapi/asm-generic/fcntl.h; Node does not name it. */
const O_PATH = 0o10000000;

/** A listening unix socket that only this process can reach. */
export interface ServiceSocket {
  /** What to connect to. */
  readonly path: string;
  /** Releases what holds the address; the server is closed by its owner. */
  close(): void;
}

/**
 * Lets `server` listen where no other user reaches it and nothing stays behind, not even after SIGKILL: the socket is
 * made in a private folder (0700) under $XDG_RUNTIME_DIR or the folder for temporary files, and on Linux both are
 * unlinked at once; it is reached through the process's own descriptor (/proc/self/fd/n). Throws SlipwayError
 * ERR_RUNTIME_FOLDER.
 */
export async function listenPrivately(server: Server, name: string): Promise<ServiceSocket> {
  const folder = privateFolder();
  const address = path.join(folder, `${name}.sock`);
  try {
    await listening(server, address);
  } catch (cause) {
    rmdirSync(folder);
    throw unusable(folder, cause);
  }
  const remove = (): void => {
    quietly(() => unlinkSync(address));
    quietly(() => rmdirSync(folder));
  };
  if (process.platform !== 'linux') return { path: address, close: remove };
  const fd = openSync(address, O_PATH);
  remove();
  return { path: `/proc/self/fd/${fd}`, close: () => quietly(() => closeSync(fd)) };
}

function privateFolder(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  const parents = runtime === undefined || runtime === '' ? [tmpdir()] : [runtime, tmpdir()];
  let failure: unknown;
  for (const parent of parents) {
    try {
      const folder = mkdtempSync(path.join(parent, 'slipway-'));
      chmodSync(folder, 0o700);
      return folder;
    } catch (cause) {
      failure = cause;
    }
  }
  throw unusable(parents.join(' and '), failure);
}

function unusable(where: string, cause: unknown): SlipwayError {
  return new SlipwayError(
    'ERR_RUNTIME_FOLDER',
    `cannot make a private folder in ${where}: ${(cause as Error).message}`,
    'Set XDG_RUNTIME_DIR or TMPDIR to a folder that you may write to.',
    { cause },
  );
}

function listening(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // It is gone already, which is what was wanted.
  }
}
