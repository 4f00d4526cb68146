import { Tally } from './tally.ts';

/**
 * The places of a table that owners share. One owner leaves a reserve to the others; and when all places are taken, whoever has
 * most gives one up to whoever has fewer, so that however many owners are at their bound, no one is left with nothing. Which
 * place that is, the table knows.
 */
export class Places<Owner> {
  readonly #limit: number;
  readonly #most: number;
  readonly #tally = new Tally<Owner>();
  #taken = 0;

  /** @param limit places in all. @param most places of one owner. */
  constructor(limit: number, most: number) {
    this.#limit = limit;
    this.#most = most;
  }

  /** Whether all are taken. */
  get isFull(): boolean {
    return this.#taken >= this.#limit;
  }

  /** Who has most; undefined when nobody has any. */
  get largest(): Owner | undefined {
    return this.#tally.largest;
  }

  /** Who has to give up a place before `owner` takes another: itself perhaps. Undefined while there is room. */
  payer(owner: Owner): Owner | undefined {
    if (this.#tally.of(owner) >= this.#most) return owner;
    if (!this.isFull) return undefined;
    const { largest } = this.#tally;
    // One more than one's own is no reason: two equals would take from each other for ever.
    return largest !== undefined && this.#tally.of(largest) > this.#tally.of(owner) + 1 ? largest : owner;
  }

  add(owner: Owner): void {
    this.#tally.add(owner);
    this.#taken++;
  }

  /** `owner` has one. */
  drop(owner: Owner): void {
    this.#tally.drop(owner);
    this.#taken--;
  }
}
