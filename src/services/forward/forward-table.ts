import { SlipwayError } from '../../facts/errors.ts';
import {
  type ForwardOwner,
  type ForwardSpec,
  type ForwardStatus,
  forwardId,
  MAX_FORWARDS,
  type ServiceForward,
} from '../../config/forward.ts';
import type { HostErrorCode } from '../../env/host.ts';
import type { ForwardChange } from '../../forward/forward-request.ts';
import { checkedSpec, type GuestAddresses } from './checked-spec.ts';
import { describeForward } from './describe-forward.ts';
import type { ForwardEdges } from './edges.ts';
import { Forward } from './forward.ts';
import type { ForwardStore } from './forward-store.ts';
import type { ForwardExchange, Forwards } from './forwards.ts';
import { HostPlaces } from './host-places.ts';
import { overlap } from './overlap.ts';
import { ServiceTable } from './service-table.ts';

export interface ForwardTableOptions {
  readonly edges: ForwardEdges;
  readonly guests: GuestAddresses;
  /** Where persistent forwards are kept; without one they end with the process. */
  readonly store?: ForwardStore | undefined;
}

type ChangeListener = (status: ForwardStatus, removed: boolean) => void;

/**
 * All forwards that were asked for; see `Forward` for the life of one. `add` is for someone who waits for the answer: it rejects
 * when a port cannot be bound, and leaves nothing behind. `keep` is for the configuration and for an earlier process: it reports
 * the error, and the forward is tried again until it works. Both wait for missing addresses and absent guests.
 *
 * A range of ports is one forward. A port that the host chooses is chosen once; from then on the forward has that port.
 */
export class ForwardTable implements Forwards {
  readonly #edges: ForwardEdges;
  readonly #guests: GuestAddresses;
  readonly #store: ForwardStore | undefined;
  readonly #services: ServiceTable;
  /** All of them. One whose `add` has not been answered yet is not in `#accepted`. */
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
  /** Of an earlier process, and not possible now: in the way of what is wanted, of each other, or invalid. Still kept, for a start that has room for them. */
  readonly #leftOut = new Map<string, LeftOut>();
  #lastNumber = 0;

  constructor({ edges, guests, store }: ForwardTableOptions) {
    this.#edges = edges;
    this.#guests = guests;
    this.#store = store;
    this.#services = new ServiceTable(edges, guests);
  }

  async add(spec: ForwardSpec): Promise<ForwardStatus> {
    const { forward, isNew, news } = await this.#want(spec, (failure) => failure.code === 'ERR_PORT_ADDRESS');
    // It may stand without being written yet: somebody else has just asked for it.
    const isWritten = !isNew && !news && this.#store?.has(forward.id) === true;
    if (spec.persistent && !isWritten) await this.#keep(forward, isNew);
    return forward.status;
  }

  async keep(spec: ForwardSpec): Promise<ForwardStatus> {
    const { forward } = await this.#want(spec, () => true);
    return forward.status;
  }

  /**
   * Opens what the configuration wants, then what an earlier process kept, where it leaves room for that and for `claimed`: what the
   * caller is going to add. Ports that cannot be bound now are tried again and again. One that cannot be costs a line in the log and
   * none of the others; of an earlier process, it is listed as failed and stays kept.
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
    const kept = this.#keptBeside([...forwards, ...claimed]);
    const begun = [...forwards, ...kept].map((spec) => ({ spec, standing: this.#want(spec, () => true) }));
    await Promise.allSettled(begun.map(({ standing }) => standing));
    for (const [index, { spec, standing }] of begun.entries()) {
      try {
        const { id, state, why, code } = (await standing).forward.status;
        if (code !== '') log.warn(`the forward ${id} is ${state}: ${why}`);
      } catch (error) {
        if (index >= forwards.length) this.#leaveOut(spec, error as Error);
        else log.warn(`the forward ${describeForward(spec)} is left out: ${(error as Error).message}`);
      }
    }
  }

  async remove(id: string, options: { readonly connections?: boolean } = {}): Promise<boolean> {
    const forward = this.#accepted.get(id);
    const leftOut = this.#leftOut.get(id);
    const isKept = forward?.spec.persistent === true || this.#store?.has(id) === true;
    if (forward === undefined) {
      if (isKept) await this.#forgetKept(id);
      if (this.#leftOut.delete(id) && leftOut !== undefined) this.#announce(leftOut.status, true);
      return isKept;
    }
    // In the way of others until it is gone, and there as before when it cannot be forgotten.
    await this.#leave(forward, async () => {
      if (isKept) await this.#forgetKept(id);
      this.#leftOut.delete(id);
      await this.#end(forward, options.connections === true);
    });
    return true;
  }

  async exchange({ owner, gone, come, changed, failed }: ForwardExchange): Promise<void> {
    for (const spec of gone) {
      const forward = this.#accepted.get(forwardId(spec));
      // Somebody asked for it beside the configuration.
      if (forward === undefined || forward.spec.owner !== owner || forward.spec.persistent) continue;
      await this.#leave(forward, () => this.#end(forward, false));
      changed(spec, 'removed');
    }
    for (const spec of come) {
      try {
        changed(spec, await this.keep(spec));
      } catch (error) {
        failed(spec, error as Error);
      }
    }
    await this.#standLeftOut();
  }

  list(): readonly ForwardStatus[] {
    const leftOut = [...this.#leftOut.values()].filter(({ status }) => !this.#accepted.has(status.id));
    return inOrder([...this.#accepted.values(), ...leftOut]);
  }

  get(id: string): ForwardStatus | undefined {
    return (this.#accepted.get(id) ?? this.#leftOut.get(id))?.status;
  }

  ownedBy(owner: ForwardOwner): readonly ForwardStatus[] {
    return inOrder([...(this.#byOwner.get(owner) ?? [])]);
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
    this.stopNow();
    await this.#store?.stop();
  }

  /** The same without waiting: for process.on('exit'). */
  stopNow(): void {
    for (const forward of this.#forwards) forward.abandon();
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

  /** Waits until the forward is written. Where it cannot be kept, it is as it was before, and that is an error: who asks relies on it. */
  async #keep(forward: Forward, isNew: boolean): Promise<void> {
    const { spec } = forward;
    // What was left out would be in its way at the next start.
    const instead = [...this.#leftOut.values()].filter(
      (one) => one.id !== forward.id && overlap(one.status.spec, spec),
    );
    const why =
      this.#store === undefined
        ? 'this daemon has no state folder'
        : await this.#store.keep(
            spec,
            instead.map(({ id }) => id),
          );
    if (why === undefined) {
      for (const { id } of [...instead, forward]) this.#leftOut.delete(id);
      return;
    }
    // Nothing of it is on disk.
    forward.keep(false);
    if (isNew) await this.#leave(forward, () => this.#end(forward, true));
    else this.#announce(forward.status, false);
    throw new SlipwayError(
      'ERR_FORWARD_NOT_KEPT',
      `${describeForward(spec)} cannot be kept for the next start: ${why}`,
      'Put that right, or publish it without persistence; slipway up --state FOLDER says where it is kept.',
    );
  }

  /** Waits until a forward does not come back. Nothing has happened to it where that cannot be written. */
  async #forgetKept(id: string): Promise<void> {
    const why = await this.#store?.forget(id);
    if (why === undefined) return;
    throw new SlipwayError(
      'ERR_FORWARD_STAYS',
      `${id} stays published: it is kept for the next start, and that cannot be undone now: ${why}`,
      'Put that right (a full disk, a folder that became read-only) and unexpose it again.',
    );
  }

  /** Those of an earlier process that what is wanted now leaves room for. Who starts a daemon cannot ask one to remove the others first. */
  #keptBeside(wanted: readonly ForwardSpec[]): readonly ForwardSpec[] {
    const claims = new HostPlaces<ForwardSpec>((spec) => spec);
    for (const one of wanted) if (!isToChoose(one)) for (const claim of this.#checked(one)) claims.put(claim);
    return (this.#store?.specs ?? []).filter((spec) => {
      const [checked] = this.#checked(spec);
      // What cannot be is told when it is tried.
      const before = checked && claims.inTheWayOf(checked);
      if (before === undefined || (forwardId(before) === forwardId(spec) && isSame(before, spec))) return true;
      this.#leaveOut(spec, inTheWay(spec, before));
      return false;
    });
  }

  /** What was in their way may have gone. */
  async #standLeftOut(): Promise<void> {
    for (const { id, status } of [...this.#leftOut.values()]) {
      try {
        await this.keep(status.spec);
        this.#leftOut.delete(id);
      } catch {
        // It stays left out, for the reason that was told or another.
      }
    }
  }

  #leaveOut(spec: ForwardSpec, failure: Error): void {
    const { message } = failure;
    const leftOut = new LeftOut(spec, message, failure instanceof SlipwayError ? failure.code : 'ERR_PORT_FAILED');
    this.#leftOut.set(leftOut.id, leftOut);
    this.#edges.log.warn(
      `the forward ${describeForward(spec)}, kept by an earlier process, is left out and stays kept: ${message}`,
    );
  }

  /** What cannot be claims nothing; whoever adds it is told. */
  #checked(spec: ForwardSpec): readonly ForwardSpec[] {
    try {
      return [checkedSpec(spec, this.#guests)];
    } catch {
      return [];
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
  async #end(forward: Forward, connections: boolean): Promise<void> {
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

/** One that is kept and does not stand. */
class LeftOut {
  readonly status: ForwardStatus;

  constructor(spec: ForwardSpec, why: string, code: string) {
    const nothing = {
      boundPort: 0,
      connections: 0,
      descriptors: 0,
      reaches: 0,
      guestListens: 'unseen',
      note: '',
    } as const;
    this.status = { id: forwardId(spec), spec, state: 'failed', why, code, ...nothing };
  }

  get id(): string {
    return this.status.id;
  }
}

function inTheWay(spec: ForwardSpec, other: ForwardSpec): SlipwayError {
  return new SlipwayError(
    'ERR_FORWARD_EXISTS',
    `${describeForward(spec)} is not possible beside ${describeForward(other)} (by ${other.owner})`,
    `Remove that first: slipway ports unexpose ${forwardId(other)}`,
  );
}

function inOrder(forwards: readonly { readonly status: ForwardStatus }[]): ForwardStatus[] {
  return forwards.map(({ status }) => status).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The host chooses the port, or one of several. */
function isToChoose({ host }: ForwardSpec): boolean {
  return host.kind === 'port' && (host.port === 0 || (host.lastPort ?? host.port) > host.port);
}

/** Whether two forwards of the same host end do the same; who asked, and for how long, is no difference. */
function isSame(one: ForwardSpec, other: ForwardSpec): boolean {
  return sameness(one) === sameness(other);
}

function sameness({ guest, count, ipv4Only, source, proxy, waitSeconds }: ForwardSpec): string {
  const ends = guest.kind === 'ssh' ? [guest.user, guest.path, guest.keyFile, guest.passphrase] : [];
  return JSON.stringify([guest.kind, guest.address, guest.port, ...ends, count, ipv4Only, source, proxy, waitSeconds]);
}
