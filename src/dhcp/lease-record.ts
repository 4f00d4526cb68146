/**
 * A lease as it crosses the core's edge: times are spans, because the core's clock means nothing outside or after a
 * restart.
 */
export interface LeaseRecord {
  readonly address: number;
  /** A 48-bit number. */
  readonly mac: number;
  /** How the client is recognised, as `clientKey` makes it. */
  readonly clientKey: string;
  /** What the client calls itself, or what its reservation calls it; '' for neither. Not checked in any way. */
  readonly hostName: string;
  /**
   * Until the lease ends; ≤ 0 when it has ended (the address stays remembered for the client). Infinity for one that
   * never ends.
   */
  readonly remainingMs: number;
  /** Since the client was last heard. */
  readonly seenAgoMs: number;
}

/** What happened to a lease: it was given or renewed, or it ended (released, declined, expired, given to another). */
export type LeaseChange =
  | { readonly kind: 'bound'; readonly lease: LeaseRecord }
  | { readonly kind: 'ended'; readonly lease: LeaseRecord };
