/** A bound that all forwards share; one forward gets at most half of it. */
export class Allowance {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** One more for a forward that has `own` of them; false when it may not. */
  take(own: number): boolean {
    if (this.#used >= this.#most || own >= Math.max(1, this.#most >> 1)) return false;
    this.#used++;
    return true;
  }

  give(): void {
    this.#used--;
  }
}
