/** Dials in flight: how many in all, and how many of them one guest may have (half), so that a port scan leaves room for others. */
export class DialLimits {
  readonly #limit: number;
  readonly #perGuest = new Map<number, number>();
  #inFlight = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Takes a place for a dial of that guest; a counter's word when there is none. */
  begin(guestAddress: number): 'tcp-dial-limit' | 'tcp-dial-limit-of-guest' | undefined {
    if (this.#inFlight >= this.#limit) return 'tcp-dial-limit';
    const own = this.#perGuest.get(guestAddress) ?? 0;
    if (own >= this.#limit >> 1) return 'tcp-dial-limit-of-guest';
    this.#inFlight++;
    this.#perGuest.set(guestAddress, own + 1);
    return undefined;
  }

  end(guestAddress: number): void {
    this.#inFlight--;
    const own = (this.#perGuest.get(guestAddress) ?? 1) - 1;
    if (own === 0) this.#perGuest.delete(guestAddress);
    else this.#perGuest.set(guestAddress, own);
  }
}
