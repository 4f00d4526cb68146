import type { DnsTimer, DnsTimers } from '../../../../src/services/dns/upstream/timers.ts';

interface Due {
  readonly atMs: number;
  readonly call: () => void;
}

/** Time that stands still until the test moves it. */
export class ManualTimers implements DnsTimers {
  #nowMs = 1000;
  readonly #due = new Set<Due>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, call: () => void): DnsTimer {
    const due = { atMs: this.#nowMs + ms, call };
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }

  /** Calls that are still to come. */
  get waiting(): number {
    return this.#due.size;
  }

  /** Moves on, and makes the calls that fall due, in their order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#due.delete(next);
      this.#nowMs = next.atMs;
      next.call();
    }
    this.#nowMs = endMs;
  }

  #next(endMs: number): Due | undefined {
    return [...this.#due].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
  }
}
