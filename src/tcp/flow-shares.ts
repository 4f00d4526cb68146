import type { Port } from '../link/port.ts';
import { Tally } from '../turn/tally.ts';

/** One guest leaves so much of all flows (a sixteenth) to the others: a table that one has filled serves nobody else. */
const RESERVE_SHIFT = 4;

/** How many flows there may be, and how many of them one guest may have, whatever addresses it speaks from. */
export class FlowShares {
  readonly #limit: number;
  readonly #perGuest = new Tally<Port>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Why the guest behind `port` may not have one more while there are `count`, a counter's word; undefined when it may. */
  refusal(port: Port, count: number): 'tcp-flow-limit' | 'tcp-flow-limit-of-guest' | undefined {
    if (count >= this.#limit) return 'tcp-flow-limit';
    const most = this.#limit - (this.#limit >> RESERVE_SHIFT);
    return this.#perGuest.of(port) >= most ? 'tcp-flow-limit-of-guest' : undefined;
  }

  begin(port: Port): void {
    this.#perGuest.add(port);
  }

  /** `port` as it was at `begin`: where the guest is now may differ. */
  end(port: Port): void {
    this.#perGuest.drop(port);
  }
}
