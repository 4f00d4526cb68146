/**
 * Named counters: each refusal and drop in the core has one, and the word is the same in the counter, the log, the
 * tests and the dashboard. Names are static strings, never made from guest bytes, so the table is bounded by the
 * source.
 */
export class Counters {
  readonly #values = new Map<string, number>();

  /** Adds `by` (1 unless told). */
  add(name: string, by = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + by);
  }

  get(name: string): number {
    return this.#values.get(name) ?? 0;
  }

  /** A copy, in alphabetical order. */
  snapshot(): Record<string, number> {
    return Object.fromEntries([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
