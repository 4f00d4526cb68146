/**
 * Reading /proc. Processes end while they are looked at, and those of other users may not be looked at: both read as
 * empty, as does a file that this kernel does not have.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The text of a file. */
export function readProc(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Where a link leads, such as "socket:[4242]" for a descriptor. */
export function procLink(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

/** The process with the lowest number that has the socket open: of a server and its workers, mostly the server. */
export function processWithSocket(inode: number): number | undefined {
  const wanted = `socket:[${inode}]`;
  const processes = entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  return processes.find((pid) => entries(`/proc/${pid}/fd`).some((fd) => procLink(`/proc/${pid}/fd/${fd}`) === wanted));
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
