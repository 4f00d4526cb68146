import type { Lane } from '../backends/backend.ts';
import { Program } from '../process.ts';
import { type Bench, type Cell, GUEST_BACKENDS, stream } from './cell.ts';
import { onGuestProcessor, pin } from './processors.ts';

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
      const client = new Program([...lane.prefix, ...onGuestProcessor(), ...load]);
      try {
        const [, median] = await client.line(/^([\d.]+) /, 10_000 + seconds * 1000);
        return [Number(median)];
      } finally {
        await client.kill();
        release();
      }
    },
  };
}
