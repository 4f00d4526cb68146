import type { BackendName, Lane } from '../backends/backend.ts';
import { Program, pause } from '../process.ts';
import type { Service } from '../programs.ts';
import { transferBy } from './bulk.ts';
import { type Bench, type Cell, MTUS, stream } from './cell.ts';
import { CONNECTIONS, requestsPerSecond, WARM_UP_SECONDS } from './http.ts';

const LOOPBACK = '127.0.0.1';
/** slirp4netns forwards by another program's requests and is not measured here. */
const BACKENDS: readonly BackendName[] = ['slipway', 'passt'];
const OPEN_TRIES = 100;
const OPEN_PAUSE_MS = 100;
const WORDS = { in: 'host client→guest', out: 'guest→host client' } as const;
type Way = keyof typeof WORDS;

/** Ports of the guest, forwarded from the host's loopback: clients on the host, servers in the guest. */
export function forwardCells(): Cell[] {
  const tcp = MTUS.flatMap((mtu) => (['in', 'out'] as const).map((way) => tcpCell(mtu, way)));
  return [...tcp, connectionCell()];
}

function tcpCell(mtu: number, way: Way): Cell {
  const id = `forward-${way}-${mtu}`;
  return {
    id,
    setting: { ...stream(mtu), forwards: true },
    backends: BACKENDS,
    figures: [
      {
        id,
        title: `Forwarded TCP, ${WORDS[way]}, MTU ${mtu}, 1 flow`,
        unit: 'Gbit/s',
        better: 'more',
        group: 'forward',
      },
    ],
    async measure(lane: Lane, bench: Bench): Promise<readonly number[]> {
      const [command, service] = way === 'in' ? (['send', 'sink'] as const) : (['receive', 'source'] as const);
      const { load, countersPath } = bench.workshop;
      const port = await openPort(lane, service);
      const moved = await transferBy(lane, bench, [load, command, countersPath, LOOPBACK, port, '1']);
      if (moved.tcpBytes === 0) throw new Error('nothing arrived');
      return [(moved.tcpBytes * 8) / moved.seconds / 1e9];
    },
  };
}

function connectionCell(): Cell {
  const id = 'forward-connections';
  const title = `HTTP connections through a forward, ${CONNECTIONS} at once`;
  return {
    id,
    setting: { ...stream(1500), forwards: true },
    backends: BACKENDS,
    figures: [{ id, title, unit: '1/s', better: 'more', group: 'forward' }],
    async measure(lane: Lane, { seconds }: Bench): Promise<readonly number[]> {
      const url = `http://${LOOPBACK}:${await openPort(lane, 'http')}/`;
      const args = ['-H', 'Connection: close', url];
      await requestsPerSecond([], args, WARM_UP_SECONDS);
      return [await requestsPerSecond([], args, Math.max(1, Math.round(seconds)))];
    },
  };
}

/**
 * The forwarded port of a service, once the guest behind it answers; another port is tried, for a probe of its own
 * would leave its mark.
 */
async function openPort(lane: Lane, service: Service): Promise<string> {
  const { forwarded } = lane;
  if (forwarded === undefined) throw new Error('this backend forwards nothing');
  for (let tries = 0; tries < OPEN_TRIES; tries++) {
    const echo = `exec 3<>/dev/tcp/${LOOPBACK}/${forwarded.get('echo')} && echo >&3 && read -r <&3`;
    if ((await new Program(['bash', '-c', echo]).exited) === 0) return forwarded.get(service)!;
    await pause(OPEN_PAUSE_MS);
  }
  throw new Error(`nothing answers at ${LOOPBACK}:${forwarded.get('echo')}`);
}
