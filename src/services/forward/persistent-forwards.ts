import { type ForwardSpec, type ForwardStatus, forwardId } from '../../config/forward.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { checkedSpec } from './checked-spec.ts';
import { describeForward } from './describe-forward.ts';
import type { ForwardStore } from './forward-store.ts';
import { HostPlaces } from './host-places.ts';
import { inTheWay, isSame, isToChoose, overlap } from './overlap.ts';
import type { AddressPlan } from '../../config/network.ts';

/** Of a forward of which nothing is open. */
const NOTHING_OPEN = {
  boundPort: 0,
  connections: 0,
  descriptors: 0,
  reaches: 0,
  guestListens: 'unseen',
  note: '',
} as const;

/**
 * The forwards that come back after a restart, and those of them that this process leaves out: in the way of what is
 * wanted, of each other, or invalid. They are still kept, for a start that has room for them. Bound: what the store
 * holds.
 */
export class PersistentForwards {
  readonly #store: ForwardStore | undefined;
  readonly #guests: AddressPlan;
  readonly #warn: (text: string) => void;
  readonly #leftOut = new Map<string, ForwardStatus>();

  /** Without a store nothing can be kept. */
  constructor(store: ForwardStore | undefined, guests: AddressPlan, warn: (text: string) => void) {
    this.#store = store;
    this.#guests = guests;
    this.#warn = warn;
  }

  /** Whether one of that id is on disk. */
  has(id: string): boolean {
    return this.#store?.has(id) === true;
  }

  /**
   * Writes a forward, in place of what was left out for it, which would be in its way at the next start. Rejects with
   * ERR_FORWARD_NOT_KEPT, nothing of it being on disk.
   */
  async keep(spec: ForwardSpec): Promise<void> {
    const id = forwardId(spec);
    const instead = [...this.#leftOut.values()].filter((one) => one.id !== id && overlap(one.spec, spec));
    const ids = instead.map((one) => one.id);
    const why = this.#store === undefined ? 'this daemon has no state folder' : await this.#store.keep(spec, ids);
    if (why !== undefined) {
      throw new SlipwayError(
        'ERR_FORWARD_NOT_KEPT',
        `${describeForward(spec)} cannot be kept for the next start: ${why}`,
        'Fix this, or publish it without persistence; slipway up --state FOLDER sets where it is kept.',
      );
    }
    for (const one of [...ids, id]) this.#leftOut.delete(one);
  }

  /** Rejects with ERR_FORWARD_STAYS, nothing having happened, where that cannot be written. */
  async forget(id: string): Promise<void> {
    const why = await this.#store?.forget(id);
    if (why === undefined) return;
    throw new SlipwayError(
      'ERR_FORWARD_STAYS',
      `${id} stays published: it is kept for the next start, and that cannot be undone now: ${why}`,
      'Fix this (a full disk, a read-only folder), then unexpose it again.',
    );
  }

  /**
   * Those of an earlier process that `wanted` leaves room for; the others are left out. Who starts a daemon cannot ask
   * one to remove the others first.
   */
  beside(wanted: readonly ForwardSpec[]): readonly ForwardSpec[] {
    const claims = new HostPlaces<ForwardSpec>((spec) => spec);
    for (const one of wanted) if (!isToChoose(one)) for (const claim of this.#check(one)) claims.put(claim);
    return (this.#store?.specs ?? []).filter((spec) => {
      const [checked] = this.#check(spec);
      // What cannot be is told when it is tried.
      const before = checked && claims.inTheWayOf(checked);
      if (before === undefined || (forwardId(before) === forwardId(spec) && isSame(before, spec))) return true;
      this.leaveOut(spec, inTheWay(spec, before));
      return false;
    });
  }

  leaveOut(spec: ForwardSpec, failure: Error): void {
    const { message: why } = failure;
    const code = failure instanceof SlipwayError ? failure.code : 'ERR_PORT_FAILED';
    const id = forwardId(spec);
    this.#leftOut.set(id, { id, spec, state: 'failed', why, code, ...NOTHING_OPEN });
    this.#warn(`the forward ${describeForward(spec)}, kept by an earlier process, is left out and stays kept: ${why}`);
  }

  /** How those that are left out are shown. */
  leftOut(): readonly ForwardStatus[] {
    return [...this.#leftOut.values()];
  }

  leftOutOf(id: string): ForwardStatus | undefined {
    return this.#leftOut.get(id);
  }

  /** It is not left out any more: it is open, or somebody closed it. */
  takeBack(id: string): void {
    this.#leftOut.delete(id);
  }

  /** Writes what is not written yet. */
  async stop(): Promise<void> {
    await this.#store?.stop();
  }

  /** What cannot be claims nothing; whoever adds it is told. */
  #check(spec: ForwardSpec): readonly ForwardSpec[] {
    try {
      return [checkedSpec(spec, this.#guests)];
    } catch {
      return [];
    }
  }
}
