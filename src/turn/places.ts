import { Tally } from './tally.ts';

/**
 * The places of a table that owners share. One owner leaves a reserve to the others; and when all places are taken,
 * whoever has most gives one up to whoever has fewer, so that however many owners are at their bound, no one is left
 * with nothing. Which place that is, the table knows.
 *
 * `Shares` is another rule for another thing, so neither stands on the other: it ranks the items themselves, takes
 * first from owners that are gone, and an owner that has as many as the fullest pays itself; there what goes is a
 * mapping that the next packet makes anew, here a connection.
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

  /** Who has to give up a place before `owner` takes another: itself perhaps. Undefined while there is room. */
  payer(owner: Owner): Owner | undefined {
    if (this.#tally.of(owner) >= this.#most) return owner;
    return this.isFull ? this.payerOfAll(owner) : undefined;
  }

  /** The same where nothing is left for `owner`, though the table has room. */
  payerOfAll(owner: Owner): Owner {
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
