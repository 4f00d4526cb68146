import type { Port } from '../link/port.ts';
import { Tally } from '../turn/tally.ts';

/**
 * Dials in flight: how many in all, and how many of them one guest may have (half), so that a port scan leaves room for
 * others. A guest is the port it is behind: it may speak from any address of the subnet that is free.
 */
export class DialLimits {
  readonly #limit: number;
  readonly #perGuest = new Tally<Port>();
  /** Each dial and the guest that it counts for; where that guest is now may differ. */
  readonly #dials = new Map<object, Port>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#dials.size;
  }

  /** Why the guest behind `port` may not dial now, a counter's word; undefined when it may. */
  refusal(port: Port): 'tcp-dial-limit' | 'tcp-dial-limit-of-guest' | undefined {
    if (this.#dials.size >= this.#limit) return 'tcp-dial-limit';
    return this.#perGuest.of(port) >= this.#limit >> 1 ? 'tcp-dial-limit-of-guest' : undefined;
  }

  /** `flow`, of the guest behind `port`, begins to dial. */
  begin(flow: object, port: Port): void {
    this.#dials.set(flow, port);
    this.#perGuest.add(port);
  }

  end(flow: object): void {
    const port = this.#dials.get(flow);
    if (port === undefined) return;
    this.#dials.delete(flow);
    this.#perGuest.drop(port);
  }
}
