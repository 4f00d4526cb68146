import { cpus } from 'node:os';
import type { Lane } from '../backends/backend.ts';
import { processTree, runNow, threadsOf } from '../process.ts';
import type { Workshop } from '../programs.ts';

/** Guest (client and relay) on one processor, host (backend and server) on the other. */
const GUEST_CPU = '0';
const HOST_CPU = '1';
const isPinned = cpus().length >= 2;

/** What to put before a command to run it on the guest's processor. */
export function onGuestProcessor(): readonly string[] {
  return isPinned ? ['taskset', '-c', GUEST_CPU] : [];
}

/** Pins both sides where there are two processors; the returned function lets them go. */
export function pin(lane: Lane, workshop: Workshop): () => void {
  if (!isPinned) return () => {};
  const host = [lane.pid, workshop.serversPid].flatMap((pid) => (pid === undefined ? [] : processTree(pid)));
  const guest = lane.relayPid === undefined ? [] : [lane.relayPid];
  const everywhere = `0-${cpus().length - 1}`;
  pinAll(host, HOST_CPU);
  pinAll(guest, GUEST_CPU);
  return () => pinAll([...host, ...guest], everywhere);
}

function pinAll(pids: readonly number[], processors: string): void {
  onEach(pids, 'taskset', '--all-tasks', '--cpu-list', '--pid', processors);
}

function onEach(pids: readonly (number | string)[], ...command: readonly string[]): void {
  for (const pid of pids) {
    try {
      runNow(...command, `${pid}`);
    } catch {
      // Ended meanwhile, which the measurement itself reports.
    }
  }
}

/** Both sides come before others of their processor, however busy the computer is; the returned function ends it. */
export function hasten(lane: Lane): () => void {
  const pids = [lane.pid, lane.relayPid].flatMap((pid) => (pid === undefined ? [] : processTree(pid)));
  const threads = pids.flatMap(threadsOf);
  // Real-time priority would have the kernel take the processor away for 50 ms of each second.
  onEach(threads, 'renice', '-n', '-20', '-p');
  return () => onEach(threads, 'renice', '-n', '0', '-p');
}

/** What to put before a command that is to come before others too. */
export const HASTY: readonly string[] = ['nice', '-n', '-20'];
