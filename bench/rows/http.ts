import type { Lane } from '../backends/backend.ts';
import { Program } from '../process.ts';
import { type Bench, type Cell, GUEST_BACKENDS, stream } from './cell.ts';

export const CONNECTIONS = '32';
export const WARM_UP_SECONDS = 2;

/** wrk in the guest against a small server on the host: a connection for each request, and many requests on each. */
export function httpCells(): Cell[] {
  return [
    httpCell('http-connections', 'HTTP connections', '1/s', ['-H', 'Connection: close']),
    httpCell('http-requests', 'HTTP requests', '1/s', []),
  ];
}

/** wrk behind `prefix`. */
export async function requestsPerSecond(
  prefix: readonly string[],
  args: readonly string[],
  seconds: number,
): Promise<number> {
  const client = new Program([...prefix, 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...args]);
  try {
    const [, rate] = await client.line(/^Requests\/sec:\s+([\d.]+)/, 10_000 + seconds * 1000);
    if (!(Number(rate) > 0)) throw new Error('wrk: no request was answered');
    return Number(rate);
  } finally {
    await client.kill();
  }
}

function httpCell(id: string, title: string, unit: string, headers: readonly string[]): Cell {
  return {
    id,
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: [{ id, title: `${title}, ${CONNECTIONS} at once`, unit, better: 'more', group: 'http' }],
    async measure(lane: Lane, { workshop, seconds }: Bench): Promise<readonly number[]> {
      const url = `http://${lane.host}:${workshop.port('http')}/`;
      // A daemon runs for days: whatever it still compiles or caches in its first second is not measured, of none.
      await requestsPerSecond(lane.prefix, [...headers, url], WARM_UP_SECONDS);
      return [await requestsPerSecond(lane.prefix, [...headers, url], Math.max(1, Math.round(seconds)))];
    },
  };
}
