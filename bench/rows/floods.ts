import { fileURLToPath } from 'node:url';
import type { Lane } from '../backends/backend.ts';
import { Program, waitedSeconds } from '../process.ts';
import { type Bench, type Cell, type Figure, stream } from './cell.ts';
import { HASTY, hasten, onGuestProcessor, pin } from './processors.ts';

const FLOODING_GUESTS = fileURLToPath(new URL('../../test/support/flooding-guests.py', import.meta.url));
const GUESTS = 16;
const PING_EVERY_MS = 10;
const GATEWAY = '192.168.65.1';

/**
 * A ping of one guest beside sixteen that send valid packets, each from a new port, as fast as they are taken, from the
 * moment that they begin. Slipway has a processor to itself, whatever else the computer does, and ping and relay come
 * before the flood on the other: what remains is Slipway's own. How long its threads waited all the same stands beside
 * it. passt and slirp4netns have one guest.
 */
export function floodCells(): Cell[] {
  return [
    {
      id: 'floods',
      setting: stream(65520),
      backends: ['slipway'],
      figures: [
        figure('flood-ping-p50', `Ping beside ${GUESTS} guests that flood, median`, 'ms'),
        figure('flood-ping-p99', `Ping beside ${GUESTS} guests that flood, 99th percentile`, 'ms'),
        figure('flood-ping-max', `Ping beside ${GUESTS} guests that flood, longest`, 'ms'),
        figure('flood-waited', 'Of that time all threads waited for a processor', '%'),
      ],
      measure,
    },
  ];
}

function figure(id: string, title: string, unit: string): Figure {
  return { id, title, unit, better: 'less', group: 'flood' };
}

async function measure(lane: Lane, { workshop, seconds }: Bench): Promise<readonly number[]> {
  const { pid, socketPath } = lane;
  if (pid === undefined || socketPath === undefined) throw new Error('no place for more guests');
  const release = [pin(lane, workshop), hasten(lane)];
  const flood = new Program([
    ...[...onGuestProcessor(), 'python3', FLOODING_GUESTS],
    ...[socketPath, `${GUESTS}`, `${2 * seconds + 10}`, GATEWAY, lane.host],
  ]);
  let ping: Program | undefined;
  try {
    await flood.line(/^flooding$/);
    const [beganMs, waited] = [performance.now(), waitedSeconds(pid)];
    const count = Math.ceil((seconds * 1000) / PING_EVERY_MS);
    const asks = ['ping', '-n', '-c', `${count}`, '-i', `${PING_EVERY_MS / 1000}`, '-W', '5', GATEWAY];
    ping = new Program([...lane.prefix, ...onGuestProcessor(), ...HASTY, ...asks]);
    const times: number[] = [];
    for (;;) {
      const [, time] = await ping.line(/ time=([\d.]+) ms|packets transmitted/, seconds * 1000 + 10_000);
      if (time === undefined) break;
      times.push(Number(time));
    }
    const share = (waitedSeconds(pid) - waited) / ((performance.now() - beganMs) / 1000);
    flood.mustRun();
    if (times.length < count) throw new Error(`${times.length} of ${count} pings were answered`);
    times.sort((a, b) => a - b);
    const at = (part: number): number => times[Math.min(count - 1, Math.floor(count * part))]!;
    return [at(0.5), at(0.99), at(1), 100 * share];
  } finally {
    await ping?.kill();
    await flood.kill();
    for (const undo of release) undo();
  }
}
