import { type Cidr, formatCidr } from '../../wire/cidr.ts';
import type { StoreLog } from '../kept-file.ts';
import { StateFile } from '../state-file.ts';
import type { LeaseBook } from './lease-book.ts';
import { formatLeases, parseLeases } from './lease-text.ts';

export interface LeaseStoreOptions {
  /** Made when it is missing, for its owner only. */
  readonly folder: string;
  readonly subnet: Cidr;
  readonly book: LeaseBook;
  readonly log: StoreLog;
  /** The wall clock in milliseconds since 1970. */
  readonly wallMs?: () => number;
}

/**
 * Keeps a LeaseBook on disk, one file for each subnet. A guest that was told an address must find it again, so the
 * first change is written at once.
 */
export class LeaseStore {
  readonly #file: StateFile;

  /** Reads what there is into the book, then follows it. Never throws. */
  constructor({ folder, subnet, book, log, wallMs = Date.now }: LeaseStoreOptions) {
    this.#file = new StateFile({
      folder,
      name: `leases-${formatCidr(subnet).replace('/', '-')}.json`,
      what: 'leases',
      loss: 'guests may get other addresses after a restart',
      read: (text) => {
        const records = parseLeases(text, subnet, wallMs());
        if (typeof records === 'string') return records;
        book.restore(records);
        return undefined;
      },
      write: () => formatLeases(subnet, book.records(), wallMs()),
      log,
    });
    book.watch(() => this.#file.changed());
  }

  /** Writes what is not written yet, and gives the file free. */
  stop(): Promise<void> {
    return this.#file.stop();
  }
}
