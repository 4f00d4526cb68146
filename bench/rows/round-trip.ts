import { cpus } from 'node:os';
import type { Lane } from '../backends/backend.ts';
import { Program, processTree, runNow } from '../process.ts';
import type { Workshop } from '../programs.ts';
import { type Bench, type Cell, GUEST_BACKENDS, stream } from './cell.ts';

/** Guest (client and relay) on one processor, host (backend and server) on the other. */
const GUEST_CPU = '0';
const HOST_CPU = '1';

/**
 * One byte over TCP, 64 bytes over UDP, to and fro; the median. The processes are pinned for it: left to itself the
 * scheduler puts them all on one processor or not, at random, which triples or thirds the result (35 µs, 110 µs).
 */
export function roundTripCells(): Cell[] {
  return [roundTripCell('tcp', 'echo'), roundTripCell('udp', 'udp-echo')];
}

function roundTripCell(protocol: 'tcp' | 'udp', service: 'echo' | 'udp-echo'): Cell {
  const id = `${protocol}-rr`;
  const title = `${protocol.toUpperCase()} round trip, median`;
  return {
    id,
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: [{ id, title, unit: 'µs', better: 'less', group: 'round-trip' }],
    async measure(lane: Lane, { workshop, seconds }: Bench): Promise<readonly number[]> {
      const release = pin(lane, workshop);
      const load = [workshop.load, id, lane.host, workshop.port(service), `${seconds}`];
      const client = new Program([...lane.prefix, ...(release ? ['taskset', '-c', GUEST_CPU] : []), ...load]);
      try {
        const [, median] = await client.line(/^([\d.]+) /, 10_000 + seconds * 1000);
        return [Number(median)];
      } finally {
        await client.kill();
        release?.();
      }
    },
  };
}

/** Pins both sides where there are two processors; the returned function lets them go. */
function pin(lane: Lane, workshop: Workshop): (() => void) | undefined {
  if (cpus().length < 2) return undefined;
  const host = [lane.pid, workshop.serversPid].flatMap((pid) => (pid === undefined ? [] : processTree(pid)));
  const guest = lane.relayPid === undefined ? [] : [lane.relayPid];
  const everywhere = `0-${cpus().length - 1}`;
  pinAll(host, HOST_CPU);
  pinAll(guest, GUEST_CPU);
  return () => pinAll([...host, ...guest], everywhere);
}

function pinAll(pids: readonly number[], processors: string): void {
  for (const pid of pids) {
    try {
      runNow('taskset', '--all-tasks', '--cpu-list', '--pid', processors, `${pid}`);
    } catch {
      // Ended meanwhile, which the measurement itself reports.
    }
  }
}
