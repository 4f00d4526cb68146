import { Places } from '../turn/places.ts';
import type { TcpConnection } from './connection.ts';

/** One guest leaves so much of all flows (a sixteenth) to the others. */
const RESERVE_SHIFT = 4;
/** Of so many flows the one unheard for longest goes; the others are looked at last. */
const SAMPLE = 32;

/** Why there is no room for a flow; each is a counter. */
export type FlowRefusal = 'tcp-flow-limit' | 'tcp-flow-limit-of-guest';

/** What is known of a flow here. */
type Flow = Pick<TcpConnection, 'openedBehind' | 'heardMs'>;

/** The flows of one guest. */
interface Holder<Held> {
  readonly wanted: Set<Held>;
  /** In the order in which that became known. */
  readonly unwanted: Set<Held>;
}

/**
 * How many flows there may be, and how many of them one guest may have: its attachment counts (`Port.attachment`),
 * whatever addresses it speaks from and however often it comes back.
 *
 * Where there is no room the least wanted flow of the guest that has most is given up: first what nobody waits for at
 * the guest's side (it drains, its guest left the link, or never answered our SYN). A flow in use goes only for another
 * guest that has fewer, never for one of its own guest: then it is the one unheard for longest.
 */
export class FlowShares<Held extends Flow = TcpConnection> {
  readonly #places: Places<string>;
  readonly #holders = new Map<string, Holder<Held>>();

  constructor(limit: number) {
    this.#places = new Places(limit, Math.max(1, limit - (limit >> RESERVE_SHIFT)));
  }

  /** Who has to give up a flow before the guest `owner` has one more; undefined while there is room. */
  payer(owner: string): string | undefined {
    return this.#places.payer(owner);
  }

  /** The same where the host has no room, though there is some here. */
  payerOfAll(owner: string): string {
    return this.#places.payerOfAll(owner);
  }

  /** The word for a guest that finds none. */
  get refusal(): FlowRefusal {
    return this.#places.isFull ? 'tcp-flow-limit' : 'tcp-flow-limit-of-guest';
  }

  /** The flow of the guest `owner` that nobody waits for, for longest. */
  unwantedOf(owner: string): Held | undefined {
    const [first] = this.#holders.get(owner)?.unwanted ?? [];
    return first;
  }

  /** Of some flows of the guest `owner` the one unheard for longest. */
  unheardOf(owner: string): Held | undefined {
    const wanted = this.#holders.get(owner)?.wanted;
    if (wanted === undefined) return undefined;
    const sample: Held[] = [];
    for (const flow of wanted) {
      sample.push(flow);
      if (sample.length === SAMPLE) break;
    }
    let longest = sample[0];
    for (const flow of sample) {
      wanted.delete(flow);
      wanted.add(flow);
      if (longest === undefined || flow.heardMs < longest.heardMs) longest = flow;
    }
    return longest;
  }

  begin(flow: Held): void {
    const owner = ownerOf(flow);
    this.#places.add(owner);
    let holder = this.#holders.get(owner);
    if (holder === undefined) {
      holder = { wanted: new Set(), unwanted: new Set() };
      this.#holders.set(owner, holder);
    }
    holder.wanted.add(flow);
  }

  /** Whether anybody at the guest's side waits for it. Nothing changes for one that has ended. */
  setWanted(flow: Held, isWanted: boolean): void {
    const holder = this.#holders.get(ownerOf(flow));
    if (holder === undefined) return;
    const [from, to] = isWanted ? [holder.unwanted, holder.wanted] : [holder.wanted, holder.unwanted];
    if (from.delete(flow)) to.add(flow);
  }

  end(flow: Held): void {
    const owner = ownerOf(flow);
    const holder = this.#holders.get(owner);
    if (holder === undefined || !(holder.wanted.delete(flow) || holder.unwanted.delete(flow))) return;
    this.#places.drop(owner);
    if (holder.wanted.size + holder.unwanted.size === 0) this.#holders.delete(owner);
  }
}

/** The guest where it was when the flow began: where it is now may differ. */
function ownerOf(flow: Flow): string {
  return flow.openedBehind.attachment;
}
