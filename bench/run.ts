import type { Backend, BackendName, Lane, Setting } from './backends/backend.ts';
import { loopback } from './backends/loopback.ts';
import { passt } from './backends/passt.ts';
import { slipway } from './backends/slipway.ts';
import { slirp4netns } from './backends/slirp4netns.ts';
import { pause } from './process.ts';
import type { Bench, Cell, Outcome } from './rows/cell.ts';

const REGISTRY: Readonly<Record<BackendName, Backend>> = { slipway, passt, slirp4netns, loopback };
/** No cell takes this long when it works; one that does is wedged. */
const CELL_LIMIT_MS = 90_000;

/** figure id → backend → outcomes, one a round. */
export type Results = Map<string, Map<BackendName, Outcome[]>>;

export interface Plan {
  readonly cells: readonly Cell[];
  readonly backends: readonly BackendName[];
  readonly rounds: number;
  readonly progress: (line: string) => void;
}

/**
 * Runs every cell on every backend, round by round, so that a noisy minute of the computer falls on all of them alike.
 * A round starts every backend afresh; all stand ready beside each other, and only the measured one works.
 */
export async function runPlan(plan: Plan, bench: Bench): Promise<Results> {
  const results: Results = new Map();
  for (let round = 1; round <= plan.rounds; round++) {
    const lanes = new Lanes(bench);
    try {
      for (const cell of plan.cells) {
        for (const backend of cell.backends.filter((name) => plan.backends.includes(name))) {
          const outcomes = await measure(cell, backend, lanes, bench);
          record(results, cell, backend, outcomes);
          plan.progress(`round ${round}/${plan.rounds}  ${cell.id}  ${backend}: ${describe(cell, outcomes)}`);
        }
      }
    } finally {
      await lanes.stopAll();
    }
  }
  return results;
}

async function measure(cell: Cell, backend: BackendName, lanes: Lanes, bench: Bench): Promise<readonly Outcome[]> {
  const late = new AbortController();
  try {
    const lane = await lanes.get(backend, cell.setting);
    const tooLate = pause(CELL_LIMIT_MS, late.signal).then(() => {
      throw new Error(`no result within ${CELL_LIMIT_MS / 1000} s`);
    });
    tooLate.catch(() => {});
    return await Promise.race([cell.measure(lane, bench), tooLate]);
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    await lanes.drop(backend, cell.setting);
    return cell.figures.map(() => ({ failed }));
  } finally {
    late.abort();
  }
}

function record(results: Results, cell: Cell, backend: BackendName, outcomes: readonly Outcome[]): void {
  cell.figures.forEach((figure, at) => {
    const byBackend = results.get(figure.id) ?? new Map<BackendName, Outcome[]>();
    results.set(figure.id, byBackend);
    byBackend.set(backend, [...(byBackend.get(backend) ?? []), outcomes[at]!]);
  });
}

function describe(cell: Cell, outcomes: readonly Outcome[]): string {
  const words = outcomes.map((outcome, at) =>
    typeof outcome === 'number' ? `${outcome.toPrecision(4)} ${cell.figures[at]!.unit}` : `FAILED: ${outcome.failed}`,
  );
  return [...new Set(words)].join(', ');
}

/**
 * The running backends of a round, by name and setting; one that ended or failed is started again for the next cell.
 */
class Lanes {
  readonly #bench: Bench;
  readonly #running = new Map<string, Lane>();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async get(backend: BackendName, setting: Setting): Promise<Lane> {
    const key = laneKey(backend, setting);
    const running = this.#running.get(key);
    if (running?.alive()) return running;
    if (running) await this.drop(backend, setting);
    const lane = await REGISTRY[backend].start(setting, this.#bench.workshop);
    this.#running.set(key, lane);
    return lane;
  }

  async drop(backend: BackendName, setting: Setting): Promise<void> {
    const key = laneKey(backend, setting);
    const lane = this.#running.get(key);
    this.#running.delete(key);
    await lane?.stop();
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((lane) => lane.stop()));
    this.#running.clear();
  }
}

/** slirp4netns has one way to attach, so its tap cells use the guest of the stream cells. */
function laneKey(backend: BackendName, setting: Setting): string {
  return backend === 'slirp4netns'
    ? `${backend} ${setting.mtu}`
    : `${backend} ${setting.attachment} ${setting.mtu} ${setting.forwards ? 'forwards' : ''}`;
}
