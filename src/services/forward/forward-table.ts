import { SlipwayError } from '../../config/errors.ts';
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
import type { Forwards } from './forwards.ts';
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
  readonly #closing = new Map<Forward, Promise<void>>();
  readonly #byNumber = new Map<number, Forward>();
  /** Those of `#accepted`. A guest's request asks for its own. */
  readonly #byOwner = new Map<ForwardOwner, Set<Forward>>();
  readonly #listeners = new Set<ChangeListener>();
  /** Of an earlier process, and in the way of what is wanted now. Still kept: the next start may not want that any more. */
  #yielding: readonly ForwardSpec[] = [];
  #lastNumber = 0;
  /** `start` is opening what the configuration and an earlier process want; nothing is saved until it is done. */
  #starting = false;

  constructor({ edges, guests, store }: ForwardTableOptions) {
    this.#edges = edges;
    this.#guests = guests;
    this.#store = store;
    this.#services = new ServiceTable(edges, guests);
  }

  async add(spec: ForwardSpec): Promise<ForwardStatus> {
    return this.#want(spec, (failure) => failure.code === 'ERR_PORT_ADDRESS');
  }

  /** Like `add`, but ports that cannot be bound now are tried again and again. */
  async keep(spec: ForwardSpec): Promise<ForwardStatus> {
    return this.#want(spec, () => true);
  }

  /**
   * Opens what the configuration wants, then what an earlier process kept, where it leaves room for that and for `claimed`: what the
   * caller is going to add. Errors are logged.
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
    this.#starting = true;
    // All at the same time, since each waits for a look at its guest. Ports are still taken in the order of the list.
    const kept = this.#keptBeside([...forwards, ...claimed]);
    const begun = [...forwards, ...kept].map((spec) => ({ spec, standing: this.keep(spec) }));
    await Promise.allSettled(begun.map(({ standing }) => standing));
    for (const { spec, standing } of begun) {
      try {
        const { id, state, why, code } = await standing;
        if (code !== '') log.warn(`the forward ${id} is ${state}: ${why}`);
      } catch (error) {
        log.warn(`the forward ${describeForward(spec)} is left out: ${(error as Error).message}`);
      }
    }
    this.#starting = false;
    if ((this.#store?.specs.length ?? 0) > 0) this.#save();
  }

  async remove(id: string, options: { readonly connections?: boolean } = {}): Promise<boolean> {
    const forward = this.#accepted.get(id);
    if (forward === undefined) return false;
    const last = forward.status;
    this.#accepted.delete(id);
    this.#disown(forward);
    this.#forget(forward);
    const yielding = this.#yielding.length;
    this.#yielding = this.#yielding.filter((one) => forwardId(one) !== id);
    if (forward.spec.persistent || this.#yielding.length < yielding) this.#save();
    this.#announce(last, true);
    await this.#close(forward, options.connections === true);
    return true;
  }

  list(): readonly ForwardStatus[] {
    return inOrder([...this.#accepted.values()]);
  }

  get(id: string): ForwardStatus | undefined {
    return this.#accepted.get(id)?.status;
  }

  ownedBy(owner: ForwardOwner): readonly ForwardStatus[] {
    return inOrder([...(this.#byOwner.get(owner) ?? [])]);
  }

  async refresh(): Promise<void> {
    for (const { id, connections } of await this.#edges.network.forwardList()) {
      this.#byNumber.get(id)?.counted(connections);
    }
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
    for (const { id, state, why } of changes) this.#byNumber.get(id)?.reached(state, why);
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

  async #want(wanted: ForwardSpec, waits: (failure: SlipwayError) => boolean): Promise<ForwardStatus> {
    const spec = checkedSpec(wanted, this.#guests);
    // The kernel would say that a port of ours which is just being closed is somebody else's.
    for (let leaving = this.#leaving(spec); leaving !== undefined; leaving = this.#leaving(spec)) await leaving;
    const there = this.#standing(spec);
    const forward = there ?? this.#create(spec);
    const failure = await this.#opening.get(forward);
    if (failure !== undefined && !this.#accepted.has(forward.id)) {
      // A port that is to be chosen has no name to wait under.
      if (isToChoose(forward.spec) || !waits(failure)) {
        this.#forget(forward);
        await this.#close(forward, true);
        throw failure;
      }
    }
    if (!this.#forwards.has(forward)) return forward.status;
    // One that stands, of the configuration for instance, is kept from when that is asked for.
    const news = spec.persistent && !forward.spec.persistent;
    if (news) forward.keep(true);
    const isNew = !this.#accepted.has(forward.id);
    if (isNew) this.#accept(forward);
    else if (news) {
      this.#save();
      this.#announce(forward.status, false);
    }
    if (spec.persistent && !this.#starting) await this.#kept(forward, { isNew, news });
    return forward.status;
  }

  /** Waits until the forward is on disk. Where it cannot be kept, it is as it was before, and that is an error: who asks relies on it. */
  async #kept(forward: Forward, { isNew, news }: { readonly isNew: boolean; readonly news: boolean }): Promise<void> {
    const why = this.#store === undefined ? 'this daemon has no state folder' : await this.#store.written();
    if (why === undefined) return;
    if (isNew) await this.remove(forward.id, { connections: true });
    else if (news) {
      forward.keep(false);
      this.#save();
      this.#announce(forward.status, false);
    }
    throw new SlipwayError(
      'ERR_FORWARD_NOT_KEPT',
      `${describeForward(forward.spec)} cannot be kept for the next start: ${why}`,
      'Put that right, or publish it without persistence; slipway up --state FOLDER says where it is kept.',
    );
  }

  /** Those of an earlier process that what is wanted now leaves room for. Who starts a daemon cannot ask one to remove the others first. */
  #keptBeside(wanted: readonly ForwardSpec[]): readonly ForwardSpec[] {
    const kept: ForwardSpec[] = [];
    const yielding: ForwardSpec[] = [];
    const claims = wanted.filter((one) => !isToChoose(one)).flatMap((one) => this.#checked(one) ?? []);
    for (const spec of this.#store?.specs ?? []) {
      const before = claims.find((one) => overlap(one, spec));
      if (before === undefined || (forwardId(before) === forwardId(spec) && isSame(before, spec))) {
        kept.push(spec);
        continue;
      }
      yielding.push(spec);
      this.#edges.log.warn(
        `the forward ${describeForward(spec)}, kept by an earlier process, is left out beside ${describeForward(before)}`,
      );
    }
    this.#yielding = yielding;
    return kept;
  }

  /** What cannot be claims nothing; whoever adds it is told. */
  #checked(spec: ForwardSpec): ForwardSpec | undefined {
    try {
      return checkedSpec(spec, this.#guests);
    } catch {
      return undefined;
    }
  }

  /** The forward that is the same, perhaps still being opened. Throws ERR_FORWARD_EXISTS for one that is in the way. */
  #standing(spec: ForwardSpec): Forward | undefined {
    if (isToChoose(spec)) return undefined;
    for (const other of this.#forwards) {
      if (!overlap(spec, other.spec)) continue;
      if (forwardId(spec) === other.id && isSame(spec, other.spec)) return other;
      throw new SlipwayError(
        'ERR_FORWARD_EXISTS',
        `${describeForward(spec)} is not possible beside ${describeForward(other.spec)} (by ${other.spec.owner})`,
        `Remove that first: slipway ports unexpose ${other.id}`,
      );
    }
    return undefined;
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
    this.#byNumber.set(forward.number, forward);
    const opening = forward.open();
    this.#opening.set(forward, opening);
    void opening.then(() => this.#opening.delete(forward));
    return forward;
  }

  #accept(forward: Forward): void {
    this.#accepted.set(forward.id, forward);
    const { owner } = forward.spec;
    this.#byOwner.set(owner, (this.#byOwner.get(owner) ?? new Set()).add(forward));
    if (forward.spec.persistent) this.#save();
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
    this.#byNumber.delete(forward.number);
  }

  /** Settles when its ports are free. */
  #close(forward: Forward, connections: boolean): Promise<void> {
    const closing = forward.close(connections).finally(() => this.#closing.delete(forward));
    this.#closing.set(forward, closing);
    return closing;
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

  #save(): void {
    // Half of a list that is being taken up must not replace the whole.
    if (this.#starting) return;
    const specs = [...this.#accepted.values()].map(({ spec }) => spec).filter(({ persistent }) => persistent);
    const yielding = this.#yielding.filter((one) => !specs.some((spec) => overlap(one, spec)));
    this.#store?.keep([...specs, ...yielding]);
  }
}

function inOrder(forwards: readonly Forward[]): ForwardStatus[] {
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
