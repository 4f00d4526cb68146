/**
 * Puts fragments of guests together (RFC 791 §3.2, RFC 815).
 *
 * Bounds: SLOTS datagrams at a time, of which one guest has at most SLOTS_PER_GUEST; the oldest goes first. 15 s for all
 * fragments of one, then ICMP time exceeded if its beginning had come (RFC 792). A fragment that overlaps another gives up
 * the datagram (RFC 5722's rule, which IPv4 is better off with too); one that repeats another byte for byte is ignored, as
 * networks do duplicate. Every way to end has a counter.
 *
 * A complete datagram is handed up where it lies; its slot is free again at the end of the turn, when nothing may point
 * into it any more.
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';
import type { Ipv4Header } from '../wire/ipv4.ts';
import type { Neighbor } from './neighbor.ts';
import { ReassemblySlot, SLOT_BYTES } from './reassembly-slot.ts';

/** 64 datagrams of 64 KiB: 4 MiB of arena, touched only when used. */
export const SLOTS = 64;
/** A quarter: one guest that sends only beginnings leaves the others their share. */
export const SLOTS_PER_GUEST = 16;
/** RFC 791 §3.2 says 15 s; RFC 1122 §3.3.2 would have 60 to 120, which only serves who wants to fill the table. */
export const TIMEOUT_MS = 15_000;

export interface ReassemblyOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  /** A datagram timed out whose first fragment had come. The slot's bytes are valid during the call. */
  readonly onExpired: (slot: ReassemblySlot) => void;
}

export class Reassembly implements Work {
  queued = false;
  readonly #options: ReassemblyOptions;
  readonly #slots: ReassemblySlot[] = [];
  #lent: ReassemblySlot[] = [];
  #serial = 0;

  constructor(options: ReassemblyOptions) {
    this.#options = options;
    for (let i = 0; i < SLOTS; i++) {
      const at = options.arena.allocate(SLOT_BYTES);
      if (at < 0) break;
      this.#slots.push(new ReassemblySlot(options.arena, at, (slot) => this.#expire(slot)));
    }
  }

  /** Datagrams that wait for more fragments. */
  get pending(): number {
    return this.#slots.filter((slot) => slot.state === 'open').length;
  }

  /**
   * Takes the fragment whose header is at `at`. Returns the slot when that completes its datagram (its bytes stay until the
   * end of the turn), else undefined. Counts exactly one outcome for each fragment that completes nothing.
   */
  add(header: Ipv4Header, at: number, neighbor: Neighbor): ReassemblySlot | undefined {
    const { counters, turn } = this.#options;
    const slot = this.#slots.find((candidate) => candidate.matches(header, neighbor)) ?? this.#open(header, neighbor);
    if (slot === undefined) {
      counters.add('reassembly-full');
      return undefined;
    }
    const fault = slot.add(header, at);
    if (fault === 'duplicate') {
      counters.add('reassembly-duplicate');
      return undefined;
    }
    if (fault !== undefined) {
      counters.add(fault);
      this.#release(slot);
      return undefined;
    }
    if (!slot.complete) {
      counters.add('reassembly-held');
      return undefined;
    }
    turn.timers.cancel(slot.timer);
    slot.state = 'lent';
    this.#lent.push(slot);
    turn.flushes.add(this);
    return slot;
  }

  /** The end of the turn: what was handed up is no longer pointed at. */
  work(): void {
    for (const slot of this.#lent) slot.state = 'free';
    this.#lent.length = 0;
  }

  #open(header: Ipv4Header, neighbor: Neighbor): ReassemblySlot | undefined {
    let free: ReassemblySlot | undefined;
    let oldest: ReassemblySlot | undefined;
    let oldestOfGuest: ReassemblySlot | undefined;
    let ofGuest = 0;
    for (const slot of this.#slots) {
      if (slot.state === 'free') free = slot;
      if (slot.state !== 'open') continue;
      if (oldest === undefined || slot.serial < oldest.serial) oldest = slot;
      if (slot.neighbor?.port !== neighbor.port) continue;
      ofGuest++;
      if (oldestOfGuest === undefined || slot.serial < oldestOfGuest.serial) oldestOfGuest = slot;
    }
    const slot = ofGuest >= SLOTS_PER_GUEST ? oldestOfGuest : (free ?? oldest);
    if (slot === undefined) return undefined;
    if (slot.state === 'open') {
      this.#options.counters.add('reassembly-evicted');
      this.#release(slot);
    }
    slot.open(header, neighbor, this.#serial++);
    this.#options.turn.timers.arm(slot.timer, TIMEOUT_MS);
    return slot;
  }

  #expire(slot: ReassemblySlot): void {
    this.#options.counters.add('reassembly-timed-out');
    if (slot.headerBytes > 0) this.#options.onExpired(slot);
    this.#release(slot);
  }

  #release(slot: ReassemblySlot): void {
    this.#options.turn.timers.cancel(slot.timer);
    slot.state = 'free';
    slot.neighbor = undefined;
  }
}
