import type { BackendName } from './backends/backend.ts';
import type { Figure, Outcome } from './rows/cell.ts';
import type { Results } from './run.ts';

/** The results of a run, asked by figure and backend. */
export class Table {
  readonly figures: readonly Figure[];
  readonly #results: Results;

  constructor(figures: readonly Figure[], results: Results) {
    this.figures = figures.filter((figure) => results.has(figure.id));
    this.#results = results;
  }

  /** Outcomes of every round; empty where the backend does not take part. */
  outcomes(figure: string, backend: BackendName): readonly Outcome[] {
    return this.#results.get(figure)?.get(backend) ?? [];
  }

  /** The median of the rounds; a figure that failed in any round has none. */
  median(figure: string, backend: BackendName): number | undefined {
    const outcomes = this.outcomes(figure, backend);
    const values = numbers(outcomes);
    return values.length > 0 && values.length === outcomes.length ? median(values) : undefined;
  }

  /** How much better Slipway is than the peer: above 1 is better, whether more or less of the unit is. */
  ratio(figure: Figure, peer: BackendName): number | undefined {
    const own = this.median(figure.id, 'slipway');
    const other = this.median(figure.id, peer);
    if (own === undefined || other === undefined) return undefined;
    const ratio = figure.better === 'more' ? own / other : other / own;
    return Number.isFinite(ratio) ? ratio : undefined;
  }
}

export function numbers(outcomes: readonly Outcome[]): number[] {
  return outcomes.filter((outcome) => typeof outcome === 'number');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
