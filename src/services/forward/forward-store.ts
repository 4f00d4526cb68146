import { type ForwardSpec, forwardId } from '../../config/forward.ts';
import { type Cidr, formatCidr } from '../../wire/cidr.ts';
import { Journal } from '../journal.ts';
import type { StoreLog } from '../kept-file.ts';
import { forwardObject, forwardOf } from './forward-text.ts';

export interface ForwardStoreOptions {
  /** Made when it is missing, for its owner only. */
  readonly folder: string;
  readonly subnet: Cidr;
  readonly log: StoreLog;
}

/** Keeps the persistent forwards on disk, one file for each subnet, each under its id. */
export class ForwardStore {
  /** What an earlier process kept, in the order in which it was kept. */
  readonly specs: readonly ForwardSpec[];
  readonly #journal: Journal;

  /** Reads what there is; an entry that cannot be used is logged and stays. Never throws. */
  constructor({ folder, subnet, log }: ForwardStoreOptions) {
    const name = `forwards-${formatCidr(subnet).replace('/', '-')}.jsonl`;
    this.#journal = new Journal({
      folder,
      name,
      what: 'forwards',
      loss: 'persistent ones do not come back after a restart',
      head: { version: 1, subnet: formatCidr(subnet), what: 'forwards' },
      log,
    });
    this.specs = [...this.#journal.values].flatMap(([id, value]) => {
      const spec = forwardOf(value);
      if (spec !== undefined) return spec;
      log.warn(`the forward ${id} in ${name} cannot be used; it stays there: slipway ports unexpose ${id} removes it`);
      return [];
    });
  }

  /** Whether one of that id is on disk. */
  has(id: string): boolean {
    return this.#journal.values.has(id);
  }

  /**
   * Keeps a forward, and forgets others in the same step. Resolves when that is written, or with why nothing of it is.
   */
  keep(spec: ForwardSpec, instead: readonly string[]): Promise<string | undefined> {
    const gone = instead.map((key) => ({ key, value: undefined }));
    return this.#journal.change(...gone, { key: forwardId(spec), value: forwardObject(spec) });
  }

  /** Resolves when it does not come back, or with why it does. */
  forget(id: string): Promise<string | undefined> {
    return this.#journal.change({ key: id, value: undefined });
  }

  /** Writes what is not written yet, and gives the file free. */
  stop(): Promise<void> {
    return this.#journal.stop();
  }
}
