import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../env/clock.ts';
import type { Counters } from '../../env/counters.ts';
import type { Log } from '../../env/log.ts';
import { TokenBucket } from '../../turn/token-bucket.ts';

/**
 * Guests with a bucket of their own: 64 are there at once, and most come back under their name. Those beyond share one.
 */
const MAX_GUESTS = 4096;
/** A guest that asked nothing for so long is forgotten when room is needed: its bucket has long been full. */
const FORGET_AFTER_MS = 60_000;
const COMPLAIN_EVERY_MS = 60_000;
/** How often a TCP question that waits checks whether it is its turn. */
const LOOK_MS = 20;

/** What the front knows of one guest. */
interface Guest {
  readonly bucket: TokenBucket;
  seenMs: number;
  lookups: number;
  complainedMs: number;
}

/** The place of a lookup that is on its way. */
export type LookupPlace = { lookups: number };

interface QueryLimitOptions {
  /** Questions that one guest may ask a second, and at once after a rest. */
  readonly queriesPerSecond: number;
  /** Lookups at once, of all guests together; one guest has at most half. */
  readonly lookups: number;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
}

/**
 * How much one guest may ask, so that it takes nothing from the others: a token bucket for its questions, and a share
 * of the lookups that are on their way. A guest is its attachment: it may have many addresses.
 */
export class QueryLimit {
  readonly #options: QueryLimitOptions;
  readonly #guests = new Map<string, Guest>();
  /** Shared by all guests for which there was no room. */
  readonly #crowd: Guest;
  #lookups = 0;
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(options: QueryLimitOptions) {
    this.#options = options;
    this.#crowd = this.#newGuest();
  }

  /** Lookups on their way now. */
  get lookups(): number {
    return this.#lookups;
  }

  /**
   * Whether the guest may ask one more question now; a refusal is counted ('dns-over-limit') and told once a minute.
   */
  admit(attachment: string): boolean {
    const { clock, counters } = this.#options;
    const nowMs = clock.nowMs();
    const guest = this.#guest(attachment, nowMs);
    if (guest.bucket.take(nowMs)) return true;
    counters.add('dns-over-limit');
    this.#complain(guest, attachment, nowMs);
    return false;
  }

  /** After a refusal: settles when the guest may ask its question. A stream can wait where a datagram is dropped. */
  async waitForTurn(attachment: string): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      // A question that waits does not hold the process.
      await sleep(LOOK_MS, undefined, { ref: false });
      const nowMs = clock.nowMs();
      if (this.#guest(attachment, nowMs).bucket.take(nowMs)) return;
    }
  }

  /**
   * Takes a place for a lookup that is not answered at once; undefined when there is none ('dns-busy'). Paired with
   * `leave`.
   */
  enter(attachment: string): LookupPlace | undefined {
    const { lookups, clock, counters } = this.#options;
    const guest = this.#guest(attachment, clock.nowMs());
    if (this.#lookups >= lookups || guest.lookups >= Math.ceil(lookups / 2)) {
      counters.add('dns-busy');
      return undefined;
    }
    this.#lookups++;
    guest.lookups++;
    return guest;
  }

  leave(place: LookupPlace): void {
    this.#lookups--;
    place.lookups--;
  }

  #guest(attachment: string, nowMs: number): Guest {
    let guest = this.#guests.get(attachment);
    if (guest === undefined) {
      if (this.#guests.size >= MAX_GUESTS) this.#forget(nowMs);
      if (this.#guests.size >= MAX_GUESTS) return this.#crowd;
      guest = this.#newGuest();
      this.#guests.set(attachment, guest);
    }
    guest.seenMs = nowMs;
    return guest;
  }

  #newGuest(): Guest {
    const { queriesPerSecond } = this.#options;
    // A second's worth at once: a busy control thread sees the datagrams of a while in one batch.
    return {
      bucket: new TokenBucket(queriesPerSecond, queriesPerSecond),
      seenMs: 0,
      lookups: 0,
      complainedMs: Number.NEGATIVE_INFINITY,
    };
  }

  /** Goes through all guests, so at most once a second. */
  #forget(nowMs: number): void {
    if (nowMs - this.#sweptMs < 1000) return;
    this.#sweptMs = nowMs;
    for (const [attachment, guest] of this.#guests) {
      if (guest.lookups === 0 && nowMs - guest.seenMs > FORGET_AFTER_MS) this.#guests.delete(attachment);
    }
  }

  #complain(guest: Guest, attachment: string, nowMs: number): void {
    if (nowMs - guest.complainedMs < COMPLAIN_EVERY_MS) return;
    guest.complainedMs = nowMs;
    const { log, queriesPerSecond } = this.#options;
    log.warn(`${attachment} asks more than ${queriesPerSecond} DNS questions a second`, {
      hint: 'questions over the limit wait (TCP) or are dropped (UDP); dns.queriesPerSecond sets it',
    });
  }
}
