import type { Kept, WithThread } from './kept.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';
import type { RequestOf } from './operations.ts';

/** Operations that add to what the network has, and are never taken back. */
type Lasting = 'addOwnPlaces' | 'reserveLeases';

/**
 * Requests to this network thread that are repeated unchanged to every later one. Bound: its callers ask once for what
 * the configuration names.
 */
export class KeptRequests implements Kept {
  readonly #withThread: WithThread;
  readonly #asked: ((thread: NetworkThreadHandle) => Promise<void>)[] = [];

  constructor(withThread: WithThread) {
    this.#withThread = withThread;
  }

  async ask<N extends Lasting>(name: N, ...request: RequestOf<N>): Promise<void> {
    const ask = (thread: NetworkThreadHandle): Promise<void> => thread.ask(name, ...request);
    this.#asked.push(ask);
    await this.#withThread(ask);
  }

  descriptors(): readonly number[] {
    return [];
  }

  async restore(thread: NetworkThreadHandle): Promise<void> {
    for (const ask of this.#asked) await ask(thread);
  }
}
