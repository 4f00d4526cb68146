import type { Counters } from '../env/counters.ts';
import type { DialRefusal } from './dial-limits.ts';
import type { FlowRefusal, FlowShares } from './flow-shares.ts';
import type { GuestDials } from './guest-dials.ts';

/**
 * Room for another flow of a guest (named by its attachment), if need be by the end of one that is less wanted. Flows
 * and dials are bounded apart, but a dial is a flow too: one whose guest has stopped asking makes room for either.
 */
export class Admission {
  readonly #shares: FlowShares;
  readonly #dials: GuestDials;
  readonly #counters: Counters;

  constructor(shares: FlowShares, dials: GuestDials, counters: Counters) {
    this.#shares = shares;
    this.#dials = dials;
    this.#counters = counters;
  }

  /** Makes room for a flow. Returns why there is none, a counter's word that has been counted. */
  flow(owner: string): FlowRefusal | undefined {
    const payer = this.#shares.payer(owner);
    if (payer === undefined || this.#giveUp(payer, payer === owner)) return undefined;
    const { refusal } = this.#shares;
    this.#counters.add(refusal);
    return refusal;
  }

  /** The same for a flow that begins with a dial. */
  dial(owner: string): FlowRefusal | DialRefusal | undefined {
    return this.#dials.makeRoom(owner) ?? this.flow(owner);
  }

  /**
   * The host had no descriptor left for the guest `owner`: a flow is given up as in a full table, so that the next SYN
   * finds one.
   */
  shortage(owner: string): void {
    const payer = this.#shares.payerOfAll(owner);
    this.#giveUp(payer, payer === owner);
  }

  /** `own`: for another flow of the same guest, which costs none that is in use. */
  #giveUp(payer: string, own: boolean): boolean {
    const unwanted = this.#shares.unwantedOf(payer);
    if (unwanted === undefined && this.#dials.endLeastWanted(payer, own)) return true;
    const flow = unwanted ?? (own ? undefined : this.#shares.unheardOf(payer));
    if (flow === undefined) return false;
    this.#counters.add('tcp-flow-evicted');
    flow.abort();
    return true;
  }
}
