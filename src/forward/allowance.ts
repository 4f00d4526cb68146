/** Who takes places of an allowance, and can do without the one of them that it wants least. */
export interface AllowanceHolder {
  /** Places that it has. */
  readonly held: number;
  /** Gives up the place that it wants least; false when it has none. */
  giveUp(): boolean;
}

/**
 * A bound that all forwards share. Nobody is turned away because of others: a forward that has half of all gives up a
 * place of its own for the next one, and when all are taken whoever has most gives one up.
 */
export class Allowance {
  readonly #most: number;
  readonly #holders = new Set<AllowanceHolder>();
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  join(holder: AllowanceHolder): void {
    this.#holders.add(holder);
  }

  leave(holder: AllowanceHolder): void {
    this.#holders.delete(holder);
  }

  /** One more for `holder`; false when nobody had one to give up. */
  take(holder: AllowanceHolder): boolean {
    if (holder.held >= Math.max(1, this.#most >> 1) && !holder.giveUp()) return false;
    if (this.#used >= this.#most && this.#largest()?.giveUp() !== true) return false;
    this.#used++;
    return true;
  }

  give(): void {
    this.#used--;
  }

  #largest(): AllowanceHolder | undefined {
    let largest: AllowanceHolder | undefined;
    for (const holder of this.#holders) if (largest === undefined || holder.held > largest.held) largest = holder;
    return largest;
  }
}
