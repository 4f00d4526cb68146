/**
 * The few C library calls that a namespace guest needs on either side, and the one way they fail: by a SlipwayError
 * that names the call and the errno. Buffers handed over are read and written only during the call.
 *
 * Layouts built by hand here and in the neighbouring files are those of 64-bit Linux (x86-64, arm64, riscv64).
 */
import koffi from 'koffi';
import { SlipwayError } from '../../facts/errors.ts';

const libc = koffi.load(null);

/** Declares one function of the C library; the signature in TypeScript is the caller's promise. */
export function declare<Signature>(prototype: string): Signature {
  return libc.func(prototype) as unknown as Signature;
}

/** The errno of the call just made, as its name ('EPERM'), or 'errno 4242' for one without a name. */
export function errnoName(errno: number = koffi.errno()): string {
  for (const [name, value] of Object.entries(koffi.os.errno)) {
    if (value === errno && name !== 'EWOULDBLOCK' && name !== 'EOPNOTSUPP') return name;
  }
  return `errno ${errno}`;
}

/** Passes a call's result through; −1 becomes an ERR_SYSTEM_CALL that names `what` and the errno. */
export function check(what: string, result: number): number {
  if (result === -1) throw new SlipwayError('ERR_SYSTEM_CALL', `${what} failed: ${errnoName()}`);
  return result;
}

/**
 * Where a buffer's bytes lie, for a pointer inside a structure. The caller keeps the buffer alive until the call is
 * over.
 */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

/** koffi closes a poll handle that the collector finds unreferenced, its callback notwithstanding. */
const watched = new Set<object>();

/** Calls `ready` when the descriptor is readable or its other end is gone, until the returned function is called. */
export function watch(fd: number, ready: () => void): () => void {
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, ready);
  watched.add(handle);
  return () => {
    watched.delete(handle);
    handle.stop();
    handle.close();
  };
}

export const open: (path: string, flags: number) => number = declare('int open(const char *path, int flags)');
export const close: (fd: number) => number = declare('int close(int fd)');
export const socket: (domain: number, type: number, protocol: number) => number = declare(
  'int socket(int domain, int type, int protocol)',
);
export const memfdCreate: (name: string, flags: number) => number = declare(
  'int memfd_create(const char *name, unsigned int flags)',
);
export const kill: (pid: number, signal: number) => number = declare('int kill(int pid, int signal)');
export const waitpid: (pid: number, status: Int32Array, options: number) => number = declare(
  'int waitpid(int pid, void *status, int options)',
);
/** Ends the process at once: no exit handlers, no joining of threads, no terminal settings restored. */
export const exitNow: (code: number) => never = declare('void _exit(int code)');

export const O_RDWR = 2;
export const O_CLOEXEC = 0o2000000;
export const O_NOCTTY = 0o400;
export const MFD_CLOEXEC = 1;
/** waitpid: return 0 instead of waiting. */
export const WNOHANG = 1;
