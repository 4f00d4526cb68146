import type { BackendName, Lane } from '../backends/backend.ts';
import { cpuSeconds, Program, pause } from '../process.ts';
import type { Counters } from '../programs.ts';
import { type Bench, type Cell, type Figure, GUEST_BACKENDS, MTUS, stream } from './cell.ts';

/** Long enough for the windows to open and the first allocations to pass. */
const WARM_UP_MS = 2_000;
const DIRECTIONS = ['up', 'down'] as const;
type Direction = (typeof DIRECTIONS)[number];
const WORDS: Record<Direction, string> = { up: 'guest→host', down: 'host→guest' };

export interface Transfer extends Counters {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** TCP and UDP as fast as they go, both ways, and what the backend's processes spent on it. */
export function bulkCells(): Cell[] {
  const tcp = MTUS.flatMap((mtu) => [1, 8].flatMap((flows) => DIRECTIONS.map((way) => tcpCell(mtu, flows, way))));
  return [...tcp, ...DIRECTIONS.map(udpCell), ...DIRECTIONS.map(tapCell)];
}

function tcpCell(mtu: number, flows: number, way: Direction): Cell {
  const id = `tcp-${way}-${mtu}-${flows}`;
  const title = `TCP ${WORDS[way]}, MTU ${mtu}, ${flows} ${flows === 1 ? 'flow' : 'flows'}`;
  const goodput: Figure = { id, title, unit: 'Gbit/s', better: 'more', group: 'tcp' };
  const cpu: Figure = {
    id: `cpu-${way}-${mtu}`,
    title: `CPU, TCP ${WORDS[way]}, MTU ${mtu}, 1 flow`,
    unit: 's/GB',
    better: 'less',
    group: 'cpu',
  };
  return tcpTransfer(
    { id, setting: stream(mtu), backends: GUEST_BACKENDS },
    flows,
    way,
    flows === 1 ? [goodput, cpu] : [goodput],
  );
}

function tapCell(way: Direction): Cell {
  const id = `tap-${way}-1500`;
  const backends: readonly BackendName[] = ['slipway', 'slirp4netns', 'loopback'];
  const title = `TCP ${WORDS[way]}, tap, MTU 1500, 1 flow`;
  return tcpTransfer({ id, setting: { attachment: 'tap', mtu: 1500 }, backends }, 1, way, [
    { id, title, unit: 'Gbit/s', better: 'more', group: 'tap' },
  ]);
}

function tcpTransfer(
  cell: Pick<Cell, 'id' | 'setting' | 'backends'>,
  flows: number,
  way: Direction,
  figures: readonly Figure[],
): Cell {
  return {
    ...cell,
    figures,
    async measure(lane: Lane, bench: Bench): Promise<readonly number[]> {
      const [command, service] = way === 'up' ? (['send', 'sink'] as const) : (['receive', 'source'] as const);
      const moved = await transfer(lane, bench, command, bench.workshop.port(service), [`${flows}`]);
      if (moved.tcpBytes === 0) throw new Error('nothing arrived');
      const all = [(moved.tcpBytes * 8) / moved.seconds / 1e9, moved.cpuSeconds / (moved.tcpBytes / 1e9)];
      return all.slice(0, figures.length);
    },
  };
}

function udpCell(way: Direction): Cell {
  const id = `udp-${way}`;
  const what = `UDP ${WORDS[way]}, 1,400-byte datagrams, up to 5 Gbit/s offered`;
  return {
    id,
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: [
      { id, title: `${what}, goodput`, unit: 'Gbit/s', better: 'more', group: 'udp' },
      { id: `${id}-loss`, title: `${what}, lost`, unit: '%', better: 'less', group: 'loss' },
    ],
    async measure(lane: Lane, bench: Bench): Promise<readonly number[]> {
      const [command, service] =
        way === 'up' ? (['udp-send', 'udp-sink'] as const) : (['udp-receive', 'udp-source'] as const);
      const moved = await transfer(lane, bench, command, bench.workshop.port(service), []);
      if (moved.udpReceived === 0) throw new Error('nothing arrived');
      const loss = Math.max(0, 1 - moved.udpReceived / Math.max(1, moved.udpSent));
      return [(moved.udpBytes * 8) / moved.seconds / 1e9, loss * 100];
    },
  };
}

/** A client in the guest. */
async function transfer(
  lane: Lane,
  { workshop, seconds }: Bench,
  command: string,
  port: string,
  rest: readonly string[],
): Promise<Transfer> {
  return await transferBy(lane, { workshop, seconds }, [
    ...lane.prefix,
    workshop.load,
    command,
    workshop.countersPath,
    lane.host,
    port,
    ...rest,
  ]);
}

/** Runs a client of load.c and reads the receivers' counters over the middle of its transfer. */
export async function transferBy(lane: Lane, { workshop, seconds }: Bench, argv: readonly string[]): Promise<Transfer> {
  const client = new Program(argv);
  try {
    await client.line(/^ready$/);
    await pause(WARM_UP_MS);
    const before = sample(lane, workshop.counters());
    await pause(seconds * 1000);
    const after = sample(lane, workshop.counters());
    client.mustRun();
    return {
      seconds: after.seconds - before.seconds,
      cpuSeconds: after.cpuSeconds - before.cpuSeconds,
      tcpBytes: after.tcpBytes - before.tcpBytes,
      udpBytes: after.udpBytes - before.udpBytes,
      udpReceived: after.udpReceived - before.udpReceived,
      udpSent: after.udpSent - before.udpSent,
    };
  } finally {
    await client.kill();
  }
}

function sample(lane: Lane, counters: Counters): Transfer {
  const seconds = performance.now() / 1000;
  return { ...counters, seconds, cpuSeconds: lane.pid === undefined ? 0 : cpuSeconds(lane.pid) };
}
