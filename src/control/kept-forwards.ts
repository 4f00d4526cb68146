import type { ServiceForward } from '../config/forward.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { ForwardChange, ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import { HostRefusal, type NetworkThreadHandle } from './network-thread-handle.ts';

/** Who hears what becomes of open forwards. */
export interface ForwardEvents {
  /** Guests came, went or changed their minds. */
  changed(changes: readonly ForwardChange[]): void;
  /** After a recovery the host refused its sockets; the forward is not open any more. */
  lost(id: number, errno: HostErrorCode): void;
}

/** What a thread died over: the next one says how it stands. */
const OPENED_LATER: Omit<ForwardReport, 'id'> = {
  state: 'up',
  why: '',
  guestAddress: 0,
  guestListens: 'unseen',
  connections: 0,
  note: '',
};

/**
 * The forwards and services that the network has, kept where a network thread's death does not reach: the sockets stay
 * bound, clients that come meanwhile wait in the kernel, and a new thread listens on.
 */
export class KeptForwards {
  readonly #forwards = new Map<number, ForwardRequest>();
  #services: readonly ServiceForward[] = [];

  /** What must stay open when a thread dies. */
  descriptors(): number[] {
    return [...this.#forwards.values()].flatMap(({ sockets }) => (sockets.kind === 'descriptors' ? sockets.fds : []));
  }

  /** Resolves with the host's word when it refuses; what a thread dies over is opened by the next one. */
  async open(thread: NetworkThreadHandle, forward: ForwardRequest): Promise<ForwardReport | HostErrorCode> {
    this.#forwards.set(forward.id, forward);
    try {
      const report = await thread.request({ type: 'forward-open', forward });
      this.changed([report]);
      return report;
    } catch (error) {
      if (thread.over) return { ...OPENED_LATER, id: forward.id };
      this.#forwards.delete(forward.id);
      if (error instanceof HostRefusal) return error.errno;
      throw error;
    }
  }

  /** What a thread dies over is closed. */
  async close(thread: NetworkThreadHandle, id: number, connections: boolean): Promise<void> {
    this.#forwards.delete(id);
    try {
      await thread.request({ type: 'forward-close', id, connections });
    } catch (error) {
      if (!thread.over) throw error;
    }
  }

  /** A new thread shall not choose another first guest. */
  changed(changes: readonly ForwardChange[]): void {
    for (const { id, guestAddress } of changes) {
      const forward = this.#forwards.get(id);
      if (forward !== undefined && guestAddress !== 0) this.#forwards.set(id, { ...forward, firstGuest: guestAddress });
    }
  }

  async setServices(thread: NetworkThreadHandle, services: readonly ServiceForward[]): Promise<void> {
    const before = this.#services;
    this.#services = services;
    try {
      await thread.request({ type: 'services', services });
    } catch (error) {
      if (thread.over) return;
      this.#services = before;
      throw error;
    }
  }

  /** Gives a new thread all that the last one had. Rejects when the thread dies. */
  async restore(thread: NetworkThreadHandle, events: ForwardEvents | undefined): Promise<void> {
    if (this.#services.length > 0) await thread.request({ type: 'services', services: this.#services });
    // All at once: the network answers each when it has looked for its guest.
    await Promise.all(Array.from(this.#forwards.values(), (forward) => this.#reopen(thread, forward, events)));
  }

  async #reopen(
    thread: NetworkThreadHandle,
    forward: ForwardRequest,
    events: ForwardEvents | undefined,
  ): Promise<void> {
    try {
      events?.changed([await thread.request({ type: 'forward-open', forward })]);
    } catch (error) {
      if (thread.over) throw error;
      // One that cannot be is no reason to end the network.
      this.#forwards.delete(forward.id);
      events?.lost(forward.id, error instanceof HostRefusal ? error.errno : 'EIO');
    }
  }
}
