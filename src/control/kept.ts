import type { NetworkThreadHandle } from './network-thread-handle.ts';

/**
 * Calls `work` with a network thread that has all that the network has. Rejects with ERR_NETWORK_THREAD when there is
 * none any more.
 */
export type WithThread = <T>(work: (thread: NetworkThreadHandle) => Promise<T>) => Promise<T>;

/** A part of what the network has, kept on the control thread, where a network thread's death does not reach. */
export interface Kept {
  /** What must stay open of a thread that has died. */
  descriptors(dead: NetworkThreadHandle): readonly number[];
  /**
   * Gives a new thread all that the last one had. Rejects when the thread dies, or with what leaves no network worth
   * having.
   */
  restore(thread: NetworkThreadHandle): Promise<void>;
}
