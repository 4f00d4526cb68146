import type { Neighbor } from '../ip/neighbor.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import { AwaitedGuests } from './awaited-guests.ts';

/** A forward's target that is no address: the first guest, whichever address it has. */
export const FIRST_GUEST = 0;
/**
 * An address is asked for so often, so far apart: a second in all (Linux waits as long, `retrans_time_ms` once for each
 * of three).
 */
const TRIES = 4;
const TRY_MS = 250;
/** How long the first guest's address stays the same without another look: it changes with leases, not with packets. */
const FIRST_MS = 1_000;
/** So long the guest that was first for an earlier network thread has to speak, before another is first. */
const PREFERRED_MS = 750;
/** Addresses that are asked for when nobody has spoken yet; the first guest is among the first. */
const MAX_LIKELY_ASKED = 8;

/** What the finder asks of the link. */
export interface GuestLink {
  /** The guest at an address, if it was heard and is attached. */
  find(address: number): Neighbor | undefined;
  /** All that were heard, attached or not. */
  known(): Iterable<Neighbor>;
  /** Addresses of leases in force, in ascending order. */
  leased(): Iterable<number>;
  /** Where guests may be that have not been heard; the likeliest first. */
  likely(): Iterable<number>;
  /** Asks every guest that has spoken who has `address`; false when there is none. */
  ask(address: number): boolean;
  /** A guest is attached that has not sent anything yet. */
  someUnheard(): boolean;
}

/** Waits for a guest; one of the two is called, once, unless it is cancelled. */
export interface GuestWaiter {
  found(neighbor: Neighbor): void;
  notFound(): void;
}

interface Question {
  readonly waiters: Set<GuestWaiter>;
  readonly timer: Timer;
  tries: number;
}

/**
 * Finds the guest that a forward is for. Most guests have spoken from the address and are known; else it is asked for
 * by ARP, and who answers is learned like whoever speaks. Nobody is asked who has not sent a frame yet: the relay in
 * front of a guest may not be ready for any. As many questions as forwards have targets, as many waiters as clients are
 * held: both are bounded there.
 *
 * The first guest, once found, stays the first until it leaves the link, whoever joins.
 */
export class GuestFinder {
  readonly #link: GuestLink;
  readonly #turn: Turn;
  readonly #questions = new Map<number, Question>();
  readonly #awaited: AwaitedGuests;
  #first: Neighbor | undefined;
  #firstUntilMs = 0;
  /** Who was first for an earlier network thread; 0 for nobody. */
  #preferred = 0;
  #preferredUntilMs = 0;

  constructor(link: GuestLink, turn: Turn) {
    this.#link = link;
    this.#turn = turn;
    this.#awaited = new AwaitedGuests(turn, (address) => void this.#ask(address));
  }

  /** A guest is attached that has not sent anything yet, so it may be the one that is missed. */
  get someUnheard(): boolean {
    return this.#link.someUnheard();
  }

  /** The guest with this address shall be the first, where none is yet. */
  prefer(address: number): void {
    if (this.#first !== undefined || this.#preferred === address) return;
    this.#preferred = address;
    this.#preferredUntilMs = this.#turn.nowMs + PREFERRED_MS;
  }

  /** `who` misses the guest at `address`: it is asked for now and then, until `unawait`. */
  await(who: object, address: number): void {
    this.#awaited.add(who, address);
  }

  /** A guest is on the link that is sent frames before it has sent one: it may be one of those that are missed. */
  guestCame(): void {
    this.#awaited.soon();
  }

  unawait(who: object): void {
    this.#awaited.remove(who);
  }

  /** The guest, if it is known. */
  find(address: number): Neighbor | undefined {
    return address === FIRST_GUEST ? this.#findFirst() : this.#link.find(address);
  }

  /** The guest; 'none' when there is nobody to ask; 'asking' when `waiter` will hear. */
  resolve(address: number, waiter: GuestWaiter): Neighbor | 'asking' | 'none' {
    const known = this.find(address);
    if (known !== undefined) return known;
    const asked = this.#questions.get(address);
    if (asked !== undefined) {
      asked.waiters.add(waiter);
      return 'asking';
    }
    if (!this.#ask(address)) return 'none';
    const question: Question = { waiters: new Set([waiter]), timer: new Timer(() => this.#again(address)), tries: 1 };
    this.#questions.set(address, question);
    this.#turn.timers.arm(question.timer, TRY_MS);
    return 'asking';
  }

  cancel(waiter: GuestWaiter): void {
    for (const question of this.#questions.values()) question.waiters.delete(waiter);
  }

  /** A guest spoke from an address for the first time, or from another place. */
  heard(neighbor: Neighbor): void {
    this.#firstUntilMs = 0;
    this.#answer(neighbor.address, neighbor);
    if (!this.#questions.has(FIRST_GUEST)) return;
    const first = this.#findFirst();
    if (first !== undefined) this.#answer(FIRST_GUEST, first);
  }

  /** Nobody hears of anything any more. */
  close(): void {
    for (const { timer } of this.#questions.values()) this.#turn.timers.cancel(timer);
    this.#questions.clear();
    this.#awaited.close();
  }

  #again(address: number): void {
    const question = this.#questions.get(address);
    if (question === undefined) return;
    if (question.waiters.size > 0 && question.tries++ < TRIES && this.#ask(address)) {
      this.#turn.timers.arm(question.timer, TRY_MS);
      return;
    }
    this.#questions.delete(address);
    const guest = this.find(address);
    for (const waiter of question.waiters) {
      if (guest === undefined) waiter.notFound();
      else waiter.found(guest);
    }
  }

  #answer(address: number, neighbor: Neighbor): void {
    const question = this.#questions.get(address);
    if (question === undefined) return;
    this.#questions.delete(address);
    this.#turn.timers.cancel(question.timer);
    for (const waiter of question.waiters) waiter.found(neighbor);
  }

  /** Whether there was something to ask, and somebody. */
  #ask(address: number): boolean {
    if (address !== FIRST_GUEST) return this.#link.ask(address);
    let asked = this.#preferred !== 0 && this.#link.ask(this.#preferred) ? 1 : 0;
    for (const likely of this.#link.likely()) {
      if (asked === MAX_LIKELY_ASKED || !this.#link.ask(likely)) break;
      asked++;
    }
    return asked > 0;
  }

  /**
   * Who was first and is still there; else the one with the lowest leased address; without leases the one with the
   * lowest address.
   */
  #findFirst(): Neighbor | undefined {
    const { nowMs } = this.#turn;
    const kept = this.#first?.port.attached === true ? this.#first : undefined;
    if (kept !== undefined && nowMs < this.#firstUntilMs) return kept;
    this.#first = kept === undefined ? this.#choose() : this.#sameGuest(kept);
    this.#firstUntilMs = nowMs + FIRST_MS;
    return this.#first;
  }

  #choose(): Neighbor | undefined {
    if (this.#preferred !== 0) {
      const before = this.#link.find(this.#preferred);
      if (before !== undefined || this.#turn.nowMs < this.#preferredUntilMs) return before;
      this.#preferred = 0;
    }
    return this.#leased(() => true) ?? this.#lowest();
  }

  /** The guest at the address that it has now: it may have been given another. */
  #sameGuest(kept: Neighbor): Neighbor {
    const leased = this.#leased(({ address }) => address === kept.address);
    return leased ?? this.#leased(({ mac, port }) => mac === kept.mac && port === kept.port) ?? kept;
  }

  #leased(isWanted: (neighbor: Neighbor) => boolean): Neighbor | undefined {
    for (const address of this.#link.leased()) {
      const neighbor = this.#link.find(address);
      if (neighbor !== undefined && isWanted(neighbor)) return neighbor;
    }
    return undefined;
  }

  #lowest(): Neighbor | undefined {
    let lowest: Neighbor | undefined;
    for (const neighbor of this.#link.known()) {
      if (neighbor.port.attached && (lowest === undefined || neighbor.address < lowest.address)) lowest = neighbor;
    }
    return lowest;
  }
}
