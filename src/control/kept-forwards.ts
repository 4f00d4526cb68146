import type { ServiceForward } from '../config/forward.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { ForwardChange, ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import type { Kept, WithThread } from './kept.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';

/** Who hears what becomes of open forwards. */
export interface ForwardEvents {
  /** Guests came, went or changed their minds. */
  changed(changes: readonly ForwardChange[]): void;
  /** After a recovery the host refused its sockets; the forward is not open any more. */
  lost(id: number, errno: HostErrorCode): void;
}

/** What a thread died over: the next one reports its state. */
const OPENED_LATER: Omit<ForwardReport, 'id'> = {
  state: 'up',
  why: '',
  guestAddress: 0,
  guestListens: 'unseen',
  connections: 0,
  note: '',
};

/**
 * The forwards and services that the network has: when a network thread dies the sockets stay bound, clients that come
 * meanwhile wait in the kernel, and a new thread listens on.
 */
export class KeptForwards implements Kept {
  readonly #withThread: WithThread;
  readonly #events: ForwardEvents | undefined;
  readonly #forwards = new Map<number, ForwardRequest>();
  #services: readonly ServiceForward[] = [];

  constructor(withThread: WithThread, events: ForwardEvents | undefined) {
    this.#withThread = withThread;
    this.#events = events;
  }

  /**
   * Begins to listen on bound sockets. The network owns them from the call on, whatever the outcome. Resolves with the
   * state of the forward, or with the host's error word; what a thread dies over is opened by the next one.
   */
  open(forward: ForwardRequest): Promise<ForwardReport | HostErrorCode> {
    const { id } = forward;
    return this.#withThread(async (thread) => {
      this.#forwards.set(id, forward);
      try {
        const outcome = await thread.ask('openForward', forward);
        if (typeof outcome === 'string') this.#forwards.delete(id);
        else this.#keepGuests([outcome]);
        return outcome;
      } catch (error) {
        if (thread.over) return { ...OPENED_LATER, id };
        this.#forwards.delete(id);
        throw error;
      }
    });
  }

  /**
   * Closes its listeners; established connections live on unless `connections`. An id that is not open is no error.
   * What a thread dies over is closed.
   */
  close(id: number, connections: boolean): Promise<void> {
    return this.#withThread(async (thread) => {
      this.#forwards.delete(id);
      try {
        await thread.ask('closeForward', { id, connections });
      } catch (error) {
        if (!thread.over) throw error;
      }
    });
  }

  /** In order of id. */
  list(): Promise<readonly ForwardReport[]> {
    return this.#withThread((thread) => thread.ask('forwards'));
  }

  /** All gateway ports and virtual addresses from now on. */
  setServices(services: readonly ServiceForward[]): Promise<void> {
    return this.#withThread(async (thread) => {
      const before = this.#services;
      this.#services = services;
      try {
        await thread.ask('setServices', services);
      } catch (error) {
        if (thread.over) return;
        this.#services = before;
        throw error;
      }
    });
  }

  /** From the network thread: guests of forwards came, went or changed their minds. */
  changed(changes: readonly ForwardChange[]): void {
    this.#keepGuests(changes);
    this.#events?.changed(changes);
  }

  descriptors(): readonly number[] {
    return [...this.#forwards.values()].flatMap(({ sockets }) => (sockets.kind === 'descriptors' ? sockets.fds : []));
  }

  async restore(thread: NetworkThreadHandle): Promise<void> {
    if (this.#services.length > 0) await thread.ask('setServices', this.#services);
    // All at once: the network answers each when it has looked for its guest.
    await Promise.all(Array.from(this.#forwards.values(), (forward) => this.#reopen(thread, forward)));
  }

  async #reopen(thread: NetworkThreadHandle, forward: ForwardRequest): Promise<void> {
    const outcome = await thread.ask('openForward', forward).catch((error: unknown): HostErrorCode => {
      if (thread.over) throw error;
      return 'EIO';
    });
    if (typeof outcome !== 'string') {
      this.#events?.changed([outcome]);
      return;
    }
    // One that cannot be is no reason to end the network.
    this.#forwards.delete(forward.id);
    this.#events?.lost(forward.id, outcome);
  }

  /** A new thread shall not choose another first guest. */
  #keepGuests(changes: readonly ForwardChange[]): void {
    for (const { id, guestAddress } of changes) {
      const forward = this.#forwards.get(id);
      if (forward !== undefined && guestAddress !== 0) this.#forwards.set(id, { ...forward, firstGuest: guestAddress });
    }
  }
}
