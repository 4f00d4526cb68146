import { setImmediate } from 'node:timers/promises';
import {
  type ForwardOwner,
  type ForwardSpec,
  type ForwardStatus,
  forwardId,
  MAX_FORWARDS,
  type ServiceForward,
} from '../../config/forward.ts';
import type { AddressPlan } from '../../config/network.ts';
import type { HostErrorCode } from '../../env/host.ts';
import { SlipwayError } from '../../facts/errors.ts';
import type { ForwardChange } from '../../forward/forward-request.ts';
import { checkedSpec } from './checked-spec.ts';
import { describeForward } from './describe-forward.ts';
import type { ForwardEdges } from './edges.ts';
import { Forward } from './forward.ts';
import type { ForwardStore } from './forward-store.ts';
import type { ForwardExchange, Forwards } from './forwards.ts';
import { HostPlaces } from './host-places.ts';
import { inTheWay, isSame, isToChoose, overlap } from './overlap.ts';
import { PersistentForwards } from './persistent-forwards.ts';
import { ServiceTable } from './service-table.ts';

export interface ForwardTableOptions {
  readonly edges: ForwardEdges;
  readonly guests: AddressPlan;
  /** Where persistent forwards are kept; without one they end with the process. */
  readonly store?: ForwardStore | undefined;
}

/**
 * Forwards that a start begins before the process may do something else. What thousands begin in one go outlives each
 * collection of what is young, and the copying costs more than the forwards.
 */
const BEGUN_AT_ONCE = 64;

type ChangeListener = (status: ForwardStatus, removed: boolean) => void;

/**
 * All forwards that were asked for; see `Forward` for the life of one. `open` is for someone who waits for the answer:
 * it rejects when a port cannot be bound, and leaves nothing behind. What the configuration and an earlier process want
 * is told of an error and tried again until it works. Both wait for missing addresses and absent guests.
 *
 * A range of ports is one forward. A port that the host chooses is chosen once; from then on the forward has that port.
 */
export class ForwardTable implements Forwards {
  readonly #edges: ForwardEdges;
  readonly #guests: AddressPlan;
  readonly #persistent: PersistentForwards;
  readonly #services: ServiceTable;
  /** All of them. One whose `open` has not been answered yet is not in `#accepted`. */
  readonly #forwards = new Set<Forward>();
  readonly #opening = new Map<Forward, Promise<SlipwayError | undefined>>();
  readonly #accepted = new Map<string, Forward>();
  /** Removed, but their ports may still be bound. */
  readonly #closing = new Map<Forward, Promise<unknown>>();
  /** All of `#forwards`. */
  readonly #places = new HostPlaces<Forward>(({ spec }) => spec);
  readonly #byNumber = new Map<number, Forward>();
  /** Those of `#accepted`. A guest's request asks for its own. */
  readonly #byOwner = new Map<ForwardOwner, Set<Forward>>();
  readonly #listeners = new Set<ChangeListener>();
  #lastNumber = 0;

  constructor({ edges, guests, store }: ForwardTableOptions) {
    this.#edges = edges;
    this.#guests = guests;
    this.#persistent = new PersistentForwards(store, guests, (text) => edges.log.warn(text));
    this.#services = new ServiceTable(edges, guests);
  }

  async open(spec: ForwardSpec): Promise<ForwardStatus> {
    const { forward, isNew, news } = await this.#want(spec, (failure) => failure.code === 'ERR_PORT_ADDRESS');
    // It may stand without being written yet: somebody else has just asked for it.
    const isWritten = !isNew && !news && this.#persistent.has(forward.id);
    if (spec.persistent && !isWritten) await this.#keep(forward, isNew);
    return forward.status;
  }

  /**
   * Opens what the configuration wants, then what an earlier process kept, where it leaves room for that and for
   * `claimed`: what the caller is going to add. Ports that cannot be bound now are tried again and again. One that
   * cannot be costs a line in the log and none of the others; of an earlier process, it is listed as failed and stays
   * kept.
   */
  async start(
    forwards: readonly ForwardSpec[],
    services: readonly ServiceForward[],
    claimed: readonly ForwardSpec[] = [],
  ): Promise<void> {
    const { log } = this.#edges;
    for (const service of services) {
      await this.addService(service).catch((error: Error) => log.warn(error.message));
    }
    // All at the same time, since each waits for a look at its guest. Ports are still taken in the order of the list.
    const kept = this.#persistent.beside([...forwards, ...claimed]);
    const wanted = [...forwards, ...kept];
    const begun: Promise<PromiseSettledResult<{ readonly forward: Forward }>[]>[] = [];
    for (let at = 0; at < wanted.length; at += BEGUN_AT_ONCE) {
      if (at > 0) await setImmediate();
      const some = wanted.slice(at, at + BEGUN_AT_ONCE);
      begun.push(Promise.allSettled(some.map((spec) => this.#want(spec, () => true))));
    }
    for (const [index, outcome] of (await Promise.all(begun)).flat().entries()) {
      const spec = wanted[index]!;
      try {
        if (outcome.status === 'rejected') throw outcome.reason;
        const { id, state, why, code } = outcome.value.forward.status;
        if (code !== '') log.warn(`the forward ${id} is ${state}: ${why}`);
      } catch (error) {
        if (index >= forwards.length) this.#persistent.leaveOut(spec, error as Error);
        else log.warn(`the forward ${describeForward(spec)} is left out: ${(error as Error).message}`);
      }
    }
  }

  async close(id: string, options: { readonly connections?: boolean } = {}): Promise<boolean> {
    const forward = this.#accepted.get(id);
    const isKept = forward?.spec.persistent === true || this.#persistent.has(id);
    if (forward === undefined) {
      if (isKept) await this.#persistent.forget(id);
      const leftOut = this.#persistent.leftOutOf(id);
      this.#persistent.takeBack(id);
      if (leftOut !== undefined) this.#announce(leftOut, true);
      return isKept;
    }
    // In the way of others until it is gone, and there as before when it cannot be forgotten.
    await this.#leave(forward, async () => {
      if (isKept) await this.#persistent.forget(id);
      this.#persistent.takeBack(id);
      await this.#close(forward, options.connections === true);
    });
    return true;
  }

  async exchange({ owner, gone, come, changed, failed }: ForwardExchange): Promise<void> {
    for (const spec of gone) {
      const forward = this.#accepted.get(forwardId(spec));
      // Somebody asked for it beside the configuration.
      if (forward === undefined || forward.spec.owner !== owner || forward.spec.persistent) continue;
      await this.#leave(forward, () => this.#close(forward, false));
      changed(spec, 'removed');
    }
    for (const spec of come) {
      try {
        changed(spec, await this.#openInTime(spec));
      } catch (error) {
        failed(spec, error as Error);
      }
    }
    await this.#standLeftOut();
  }

  list(): readonly ForwardStatus[] {
    const leftOut = this.#persistent.leftOut().filter(({ id }) => !this.#accepted.has(id));
    return inOrder([...Array.from(this.#accepted.values(), ({ status }) => status), ...leftOut]);
  }

  get(id: string): ForwardStatus | undefined {
    return this.#accepted.get(id)?.status ?? this.#persistent.leftOutOf(id);
  }

  ownedBy(owner: ForwardOwner): readonly ForwardStatus[] {
    return inOrder(Array.from(this.#byOwner.get(owner) ?? [], ({ status }) => status));
  }

  async refresh(): Promise<void> {
    for (const report of await this.#edges.network.list()) this.#byNumber.get(report.id)?.counted(report);
  }

  addService(service: ServiceForward): Promise<void> {
    return this.#services.add(service);
  }

  removeService(service: Pick<ServiceForward, 'protocol' | 'address' | 'port'>): Promise<boolean> {
    return this.#services.remove(service);
  }

  services(): readonly ServiceForward[] {
    return this.#services.list();
  }

  onChange(listener: ChangeListener): () => void {
    // Its own function: the same listener given twice is two.
    const own: ChangeListener = (status, removed) => listener(status, removed);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** From the network: guests of forwards came, went or changed their minds. */
  changed(changes: readonly ForwardChange[]): void {
    for (const change of changes) this.#byNumber.get(change.id)?.reached(change);
  }

  /** From the network: it could not give the forward to a new thread. */
  lost(id: number, errno: HostErrorCode): void {
    this.#byNumber.get(id)?.lost(errno);
  }

  /** This computer's addresses changed. */
  networkChanged(): void {
    for (const forward of this.#forwards) forward.networkChanged();
  }

  /** Ends tries and sockets behind an sshd, removes files, writes what is to come back. The network closes its own. */
  async stop(): Promise<void> {
    this.abort();
    await this.#persistent.stop();
  }

  /** The same without waiting: for process.on('exit'). */
  abort(): void {
    for (const forward of this.#forwards) forward.abort();
  }

  /** Like `open`, but ports that cannot be bound now are tried again and again. */
  async #openInTime(spec: ForwardSpec): Promise<ForwardStatus> {
    return (await this.#want(spec, () => true)).forward.status;
  }

  /** `isNew`: it was not there. `news`: it was, but was not to be kept. */
  async #want(
    wanted: ForwardSpec,
    waits: (failure: SlipwayError) => boolean,
  ): Promise<{ readonly forward: Forward; readonly isNew: boolean; readonly news: boolean }> {
    const spec = checkedSpec(wanted, this.#guests);
    // The kernel would say that a port of ours which is just being closed is somebody else's.
    for (let leaving = this.#leaving(spec); leaving !== undefined; leaving = this.#leaving(spec)) await leaving;
    const there = this.#standing(spec);
    if (there !== undefined) await there.mend();
    const forward = there ?? this.#create(spec);
    const failure = await this.#opening.get(forward);
    if (failure !== undefined && !this.#accepted.has(forward.id)) {
      // A port that is to be chosen has no name to wait under.
      if (isToChoose(forward.spec) || !waits(failure)) {
        this.#forget(forward);
        await this.#leave(forward, () => forward.close(true));
        throw failure;
      }
    }
    if (!this.#forwards.has(forward)) return { forward, isNew: false, news: false };
    // One that stands, of the configuration for instance, is kept from when that is asked for.
    const news = spec.persistent && !forward.spec.persistent;
    if (news) forward.keep(true);
    const isNew = !this.#accepted.has(forward.id);
    if (isNew) this.#accept(forward);
    else if (news) this.#announce(forward.status, false);
    return { forward, isNew, news };
  }

  /**
   * Waits until the forward is written. Where it cannot be kept, it is as it was before, and that is an error: who asks
   * relies on it.
   */
  async #keep(forward: Forward, isNew: boolean): Promise<void> {
    try {
      await this.#persistent.keep(forward.spec);
    } catch (error) {
      forward.keep(false);
      if (isNew) await this.#leave(forward, () => this.#close(forward, true));
      else this.#announce(forward.status, false);
      throw error;
    }
  }

  /** What was in their way may have gone. */
  async #standLeftOut(): Promise<void> {
    for (const { id, spec } of this.#persistent.leftOut()) {
      try {
        await this.#openInTime(spec);
        this.#persistent.takeBack(id);
      } catch {
        // It stays left out, for the reason that was told or another.
      }
    }
  }

  /** The forward that is the same, perhaps still being opened. Throws ERR_FORWARD_EXISTS for one that is in the way. */
  #standing(spec: ForwardSpec): Forward | undefined {
    if (isToChoose(spec)) return undefined;
    const other = this.#places.inTheWayOf(spec);
    if (other === undefined || (forwardId(spec) === other.id && isSame(spec, other.spec))) return other;
    throw inTheWay(spec, other.spec);
  }

  #create(spec: ForwardSpec): Forward {
    if (this.#forwards.size >= MAX_FORWARDS) {
      throw new SlipwayError(
        'ERR_PORT_LIMIT',
        `there are ${MAX_FORWARDS} forwards already`,
        'A range of ports is one.',
      );
    }
    const forward = new Forward(++this.#lastNumber, spec, this.#edges, (one) => this.#hear(one));
    this.#forwards.add(forward);
    this.#places.put(forward);
    this.#byNumber.set(forward.number, forward);
    const opening = forward.open();
    this.#opening.set(forward, opening);
    void opening.then(() => {
      this.#opening.delete(forward);
      // The port that was chosen.
      if (this.#forwards.has(forward)) this.#places.put(forward);
    });
    return forward;
  }

  #accept(forward: Forward): void {
    this.#accepted.set(forward.id, forward);
    const { owner } = forward.spec;
    this.#byOwner.set(owner, (this.#byOwner.get(owner) ?? new Set()).add(forward));
    this.#announce(forward.status, false);
  }

  #disown(forward: Forward): void {
    const { owner } = forward.spec;
    const owned = this.#byOwner.get(owner);
    owned?.delete(forward);
    if (owned?.size === 0) this.#byOwner.delete(owner);
  }

  #forget(forward: Forward): void {
    this.#forwards.delete(forward);
    this.#places.delete(forward);
    this.#byNumber.delete(forward.number);
  }

  /** Settles when its ports are free. What has ended before stays so. */
  async #close(forward: Forward, connections: boolean): Promise<void> {
    const last = forward.status;
    if (!this.#accepted.delete(last.id)) return;
    this.#disown(forward);
    this.#forget(forward);
    this.#announce(last, true);
    await forward.close(connections);
  }

  /** Until `work` has settled, whoever wants its ports waits. */
  #leave(forward: Forward, work: () => Promise<void>): Promise<void> {
    const leaving = work().finally(() => this.#closing.delete(forward));
    this.#closing.set(forward, leaving);
    return leaving;
  }

  /** The end of one that was removed and is in the way of `spec`. Whoever removed it hears of a failure. */
  #leaving(spec: ForwardSpec): Promise<unknown> | undefined {
    for (const [forward, closing] of this.#closing) if (overlap(spec, forward.spec)) return closing.catch(() => {});
    return undefined;
  }

  #hear(forward: Forward): void {
    if (this.#accepted.get(forward.id) !== forward) return;
    this.#announce(forward.status, false);
  }

  #announce(status: ForwardStatus, removed: boolean): void {
    for (const listener of this.#listeners) listener(status, removed);
  }
}

function inOrder(forwards: ForwardStatus[]): ForwardStatus[] {
  return forwards.sort((a, b) => (a.id < b.id ? -1 : 1));
}
