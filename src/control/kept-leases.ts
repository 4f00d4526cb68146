import type { LeaseBook } from '../services/leases/lease-book.ts';
import type { Kept } from './kept.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';

/** The leases of guests, which live in the book. */
export class KeptLeases implements Kept {
  readonly #book: LeaseBook;

  constructor(book: LeaseBook) {
    this.#book = book;
  }

  descriptors(): readonly number[] {
    return [];
  }

  /**
   * What the network does not take up has ended: it does not fit the configuration any more, or its time came
   * meanwhile.
   */
  async restore(thread: NetworkThreadHandle): Promise<void> {
    const leases = this.#book.records();
    if (leases.length === 0) return;
    const inForce = new Set(await thread.ask('restoreLeases', leases));
    for (const lease of leases) {
      if (lease.remainingMs > 0 && !inForce.has(lease.address)) this.#book.apply({ kind: 'ended', lease });
    }
  }
}
