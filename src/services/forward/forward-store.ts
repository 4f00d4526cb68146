import type { ForwardSpec } from '../../config/forward.ts';
import { type Cidr, formatCidr } from '../../wire/cidr.ts';
import { StateFile, type StoreLog } from '../state-file.ts';
import { formatForwards, parseForwards } from './forward-text.ts';

export interface ForwardStoreOptions {
  /** Made when it is missing, for its owner only. */
  readonly folder: string;
  readonly subnet: Cidr;
  readonly log: StoreLog;
}

/** Keeps the persistent forwards on disk, one file for each subnet. */
export class ForwardStore {
  readonly #file: StateFile;
  #specs: readonly ForwardSpec[] = [];

  /** Reads what there is. Never throws. */
  constructor({ folder, subnet, log }: ForwardStoreOptions) {
    this.#file = new StateFile({
      folder,
      name: `forwards-${formatCidr(subnet).replace('/', '-')}.json`,
      what: 'forwards',
      loss: 'persistent ones do not come back after a restart',
      read: (text) => {
        const specs = parseForwards(text, subnet);
        if (typeof specs === 'string') return specs;
        this.#specs = specs;
        return undefined;
      },
      write: () => formatForwards(subnet, this.#specs),
      log,
    });
  }

  /** What an earlier process kept, or the last `keep`. */
  get specs(): readonly ForwardSpec[] {
    return this.#specs;
  }

  /** All that is to come back, from now on. */
  keep(specs: readonly ForwardSpec[]): void {
    this.#specs = specs;
    this.#file.changed();
  }

  /** Resolves when all is on disk, or with why it is not. */
  written(): Promise<string | undefined> {
    return this.#file.written();
  }

  /** Writes what is not written yet, and gives the file free. */
  stop(): Promise<void> {
    return this.#file.stop();
  }
}
