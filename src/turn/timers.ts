import type { Slice } from './slice.ts';

/**
 * Timers of the core: a hashed wheel with a granularity of 4 ms, so arming, re-arming and cancelling are O(1).
 *
 * Re-arming to a later time leaves the entry where it is and moves it when its old slot comes up (a retransmission
 * timer is pushed back with every acknowledgement). A timer never fires early; it may fire up to one granule late.
 */
const GRANULE_MS = 4;
/** 1,024 slots of 4 ms: four seconds a revolution; longer timers ride several revolutions. */
const SLOTS = 1024;

/** One timer; made once with its owner and armed any number of times. */
export class Timer {
  /** When it fires; Infinity while it is not armed. */
  deadlineMs: number = Number.POSITIVE_INFINITY;
  /** Wheel bookkeeping: the slot's tick at which the entry will be looked at, −1 when it is in no slot. */
  tick = -1;
  previous: Timer | undefined;
  next: Timer | undefined;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get armed(): boolean {
    return this.deadlineMs !== Number.POSITIVE_INFINITY;
  }
}

export class Timers {
  readonly #slots: (Timer | undefined)[] = new Array<Timer | undefined>(SLOTS).fill(undefined);
  #tick: number;
  #entries = 0;
  #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
    this.#tick = Math.floor(nowMs / GRANULE_MS);
  }

  /** Moves the time that delays count from, firing nothing: a turn begins, perhaps after a long sleep. */
  begin(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  /** Fires `delayMs` from the current turn's time (`begin` and `run` move it). Arms again if it was armed. */
  arm(timer: Timer, delayMs: number): void {
    const deadline = this.#nowMs + delayMs;
    const earlier = deadline < timer.deadlineMs;
    timer.deadlineMs = deadline;
    if (timer.tick >= 0 && !earlier) return;
    if (timer.tick >= 0) this.#unlink(timer);
    this.#link(timer);
  }

  cancel(timer: Timer): void {
    timer.deadlineMs = Number.POSITIVE_INFINITY;
    if (timer.tick >= 0) this.#unlink(timer);
  }

  /**
   * Moves the time and fires what is due, as far as `slice` goes: the rest is due still. A fired timer is disarmed
   * first, so it may arm itself again.
   */
  run(nowMs: number, slice: Slice): void {
    this.#nowMs = nowMs;
    const target = Math.floor(nowMs / GRANULE_MS);
    if (this.#entries === 0) {
      this.#tick = target;
      return;
    }
    // After a pause longer than a revolution each slot needs one look only.
    const first = Math.max(this.#tick, target - SLOTS + 1);
    for (let tick = first; tick <= target; tick++) {
      this.#tick = tick;
      if (!this.#runSlot(tick, nowMs, slice)) return;
    }
    this.#tick = target;
  }

  /** Milliseconds until something may be due, at most `limitMs`; may be early, never late by more than a granule. */
  waitMs(limitMs: number): number {
    if (this.#entries === 0) return limitMs;
    // What lies beyond a revolution is not looked at: sleep one revolution and look again.
    limitMs = Math.min(limitMs, (SLOTS - 1) * GRANULE_MS);
    const span = Math.ceil(limitMs / GRANULE_MS) + 1;
    for (let i = 0; i < span; i++) {
      const tick = this.#tick + i;
      for (let timer = this.#slots[tick % SLOTS]; timer !== undefined; timer = timer.next) {
        if (timer.tick <= tick) return Math.max(0, Math.min(limitMs, tick * GRANULE_MS - this.#nowMs));
      }
    }
    return limitMs;
  }

  /** False when `slice` ended before the slot. */
  #runSlot(tick: number, nowMs: number, slice: Slice): boolean {
    let timer = this.#slots[tick % SLOTS];
    while (timer !== undefined) {
      const following: Timer | undefined = timer.next;
      if (timer.tick <= tick) {
        if (timer.deadlineMs <= nowMs) {
          this.#unlink(timer);
          timer.deadlineMs = Number.POSITIVE_INFINITY;
          timer.fire();
          if (slice.spent()) return false;
          // What fired may have unlinked anything: begin the slot again. Each pass removes an entry, so it ends.
          timer = this.#slots[tick % SLOTS];
          continue;
        }
        this.#unlink(timer);
        this.#link(timer);
      }
      timer = following;
    }
    return true;
  }

  #link(timer: Timer): void {
    // Rounded up, and never the slot being run: a timer does not fire early and a zero delay waits for the next run.
    const tick = Math.max(Math.ceil(timer.deadlineMs / GRANULE_MS), this.#tick + 1);
    const slot = tick % SLOTS;
    timer.tick = tick;
    timer.previous = undefined;
    timer.next = this.#slots[slot];
    if (timer.next !== undefined) timer.next.previous = timer;
    this.#slots[slot] = timer;
    this.#entries++;
  }

  #unlink(timer: Timer): void {
    const slot = timer.tick % SLOTS;
    if (timer.previous === undefined) this.#slots[slot] = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next !== undefined) timer.next.previous = timer.previous;
    timer.previous = undefined;
    timer.next = undefined;
    timer.tick = -1;
    this.#entries--;
  }
}
