import type { Neighbor } from '../ip/neighbor.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';

/** A forward's target that is no address: the first guest, whichever address it has. */
export const FIRST_GUEST = 0;
/** An address is asked for so often, so far apart: a second in all (Linux waits as long, `retrans_time_ms` once for each of three). */
const TRIES = 4;
const TRY_MS = 250;
/** How long the first guest stays the same without another look: who is first changes with leases, not with packets. */
const FIRST_MS = 1_000;
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
  /** Asks every guest who has `address`; false when no guest is attached. */
  ask(address: number): boolean;
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
 * Finds the guest that a forward is for. Most guests have spoken and are known; one that has not (after a restart of the
 * network) is asked for by ARP, and who answers is learned like whoever speaks. As many questions as forwards have
 * targets, as many waiters as clients are held: both are bounded there.
 */
export class GuestFinder {
  readonly #link: GuestLink;
  readonly #turn: Turn;
  readonly #questions = new Map<number, Question>();
  #first: Neighbor | undefined;
  #firstUntilMs = 0;

  constructor(link: GuestLink, turn: Turn) {
    this.#link = link;
    this.#turn = turn;
  }

  /** Addresses being asked for. */
  get pending(): number {
    return this.#questions.size;
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
    this.#first = undefined;
    this.#answer(neighbor.address, neighbor);
    if (!this.#questions.has(FIRST_GUEST)) return;
    const first = this.#findFirst();
    if (first !== undefined) this.#answer(FIRST_GUEST, first);
  }

  /** Nobody hears of anything any more. */
  close(): void {
    for (const { timer } of this.#questions.values()) this.#turn.timers.cancel(timer);
    this.#questions.clear();
  }

  #again(address: number): void {
    const question = this.#questions.get(address);
    if (question === undefined) return;
    if (question.waiters.size > 0 && question.tries++ < TRIES && this.#ask(address)) {
      this.#turn.timers.arm(question.timer, TRY_MS);
      return;
    }
    this.#questions.delete(address);
    for (const waiter of question.waiters) waiter.notFound();
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
    let asked = 0;
    for (const likely of this.#link.likely()) {
      if (asked === MAX_LIKELY_ASKED || !this.#link.ask(likely)) break;
      asked++;
    }
    return asked > 0;
  }

  /** The one with the lowest leased address; without leases the one with the lowest address. */
  #findFirst(): Neighbor | undefined {
    const { nowMs } = this.#turn;
    const kept = this.#first;
    if (kept?.port.attached === true && nowMs < this.#firstUntilMs) return kept;
    this.#first = this.#leasedFirst() ?? this.#lowest();
    this.#firstUntilMs = nowMs + FIRST_MS;
    return this.#first;
  }

  #leasedFirst(): Neighbor | undefined {
    for (const address of this.#link.leased()) {
      const neighbor = this.#link.find(address);
      if (neighbor !== undefined) return neighbor;
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
