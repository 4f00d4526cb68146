import type { Lane } from '../backends/backend.ts';
import { cpuSeconds, Program, pause, resident } from '../process.ts';
import { type Bench, type Cell, type Figure, GUEST_BACKENDS, type Outcome, stream } from './cell.ts';

const IDLE_FLOWS = [1_000, 10_000] as const;
const OPENING_MS = 15_000;
/** Late frees and a garbage collection, after the flows are open. */
const SETTLE_MS = 500;
/** After the start, before idle CPU counts. */
const CALM_MS = 1_000;
const IDLE_SECONDS = 10;

/** What a backend costs before and between transfers. The order matters: the first cells want a fresh process. */
export function footprintCells(): Cell[] {
  return [startCell(), idleCpuCell()];
}

/** Last of all, because 10,000 flows leave a process that is no longer fresh. */
export function idleFlowCells(): Cell[] {
  return [idleFlowsCell()];
}

function figure(id: string, title: string, unit: string): Figure {
  return { id, title, unit, better: 'less', group: 'footprint' };
}

function startCell(): Cell {
  return {
    id: 'start',
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: [
      figure('first-packet', 'From start to the first packet served', 'ms'),
      figure('rss', 'Resident before the first flow (VmRSS)', 'MiB'),
      figure('pss', 'Resident before the first flow (PSS)', 'MiB'),
    ],
    async measure(lane: Lane): Promise<readonly number[]> {
      const { rssKib, pssKib } = resident(pidOf(lane));
      return [lane.firstPacketMs ?? Number.NaN, rssKib / 1024, pssKib / 1024];
    },
  };
}

function idleCpuCell(): Cell {
  return {
    id: 'idle-cpu',
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: [figure('idle-cpu', `CPU when idle, over ${IDLE_SECONDS} s`, '%')],
    async measure(lane: Lane): Promise<readonly number[]> {
      await pause(CALM_MS);
      const before = cpuSeconds(pidOf(lane));
      await pause(IDLE_SECONDS * 1000);
      return [((cpuSeconds(pidOf(lane)) - before) / IDLE_SECONDS) * 100];
    },
  };
}

function idleFlowsCell(): Cell {
  return {
    id: 'idle-flows',
    setting: stream(1500),
    backends: GUEST_BACKENDS,
    figures: IDLE_FLOWS.map((flows) =>
      figure(`idle-flow-${flows}`, `Resident for each idle flow, at ${flows.toLocaleString('en')} flows`, 'KiB'),
    ),
    measure: measureIdleFlows,
  };
}

/** A backend that cannot hold the larger number still has its figure for the smaller one. */
async function measureIdleFlows(lane: Lane, { workshop }: Bench): Promise<readonly Outcome[]> {
  const client = new Program([...lane.prefix, workshop.load, 'idle', lane.host, workshop.port('echo')]);
  const outcomes: Outcome[] = [];
  try {
    const before = resident(pidOf(lane)).rssKib;
    for (const flows of IDLE_FLOWS) {
      client.write(`${flows}\n`);
      await client.line(/^open/, OPENING_MS);
      await pause(SETTLE_MS);
      outcomes.push((resident(pidOf(lane)).rssKib - before) / flows);
    }
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    while (outcomes.length < IDLE_FLOWS.length) outcomes.push({ failed });
  } finally {
    await client.kill();
  }
  return outcomes;
}

function pidOf(lane: Lane): number {
  if (lane.pid === undefined) throw new Error('no process to measure');
  return lane.pid;
}
