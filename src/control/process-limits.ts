import { SlipwayError } from '../facts/errors.ts';
import { readProc } from '../host/proc/proc.ts';

/** The soft limit of a system where it cannot be read. */
const MODEST_DESCRIPTORS = 1024;
/** What Node and Slipway hold before the first guest is there, and as much again for a few flows. */
const MIN_DESCRIPTORS = 96;
/**
 * V8 reserves 8 GiB and guards around them for the frame memory, whatever of it is used, and about one for a thread's
 * heap.
 */
const MIN_ADDRESS_SPACE_BYTES = 10 * 2 ** 30;

/** RLIMIT_NOFILE, soft (Node raises it to the hard one when it starts). */
export function descriptorLimit(limits: string = readProc('/proc/self/limits')): number {
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? MODEST_DESCRIPTORS);
}

/**
 * Throws ERR_PROCESS_LIMITS where what the process may have is too little to start with. Asked before the network
 * thread is made: V8 ends the whole process, without a word of ours, when there is no address space for it.
 */
export function assertLimits(
  limits: string = readProc('/proc/self/limits'),
  status: string = readProc('/proc/self/status'),
): void {
  const descriptors = descriptorLimit(limits);
  if (descriptors < MIN_DESCRIPTORS) throw tooFewDescriptors(descriptors);
  const bytes = Number(/^Max address space\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const used = 1024 * Number(/^VmSize:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
  if (bytes - used >= MIN_ADDRESS_SPACE_BYTES) return;
  throw new SlipwayError(
    'ERR_PROCESS_LIMITS',
    `the address space of this process is limited to ${mebibytes(bytes)} MiB, and ${mebibytes(used + MIN_ADDRESS_SPACE_BYTES)} are needed (reserved, not used)`,
    'Lift the limit: ulimit -v unlimited. To bound memory, use a cgroup (systemd: MemoryMax=).',
  );
}

function tooFewDescriptors(limit: number): SlipwayError {
  return new SlipwayError(
    'ERR_PROCESS_LIMITS',
    `this process may open ${limit} files at once, and at least ${MIN_DESCRIPTORS} are needed`,
    'Raise the limit: ulimit -n 4096. Each connection of a guest takes one.',
  );
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
