/**
 * How much receive window all flows together may have promised to guests: what is advertised may arrive, so it is
 * reserved here first (65,536 flows of 1 MiB would be 64 GiB).
 *
 * A flow may grow to a sixteenth of what is still free (a dynamic threshold, as shared-memory switches use): a few bulk
 * flows get large windows, and when many compete each new promise is smaller, but never below the floor.
 */
export class WindowBudget {
  readonly #bytes: number;
  #reserved = 0;

  /** @param bytes total promise in bytes; the chunk pool behind it is of the same size. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Bytes promised now. */
  get reserved(): number {
    return this.#reserved;
  }

  /** The largest window that one flow may promise now. */
  get share(): number {
    return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, (this.#bytes - this.#reserved) >> 4));
  }

  /**
   * What a new flow may promise. It can never be taken back, and most connections never use it: ten thousand idle ones
   * must not leave the busy ones the floor. Up to half of the budget each gets all it asks for, then a 4,096th of what
   * is free.
   */
  get first(): number {
    const free = this.#bytes - this.#reserved;
    if (free >= this.#bytes >> 1) return FIRST_WINDOW_BYTES;
    return Math.max(MIN_WINDOW_BYTES, Math.min(FIRST_WINDOW_BYTES, free >> 12));
  }

  /** A flow's promise changed by `bytes` (negative: kept or given up). */
  reserve(bytes: number): void {
    this.#reserved += bytes;
  }
}

/** Below this a flow would crawl; 65,536 flows of it are 256 MiB, the size of the pool. */
const MIN_WINDOW_BYTES = 4 * 1024;
/** What fills the longest batch that an attachment reads at once, twice over. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;
/** What a SYN-ACK can say without scaling; a flow doubles it while it fills it. */
const FIRST_WINDOW_BYTES = 65_535;
