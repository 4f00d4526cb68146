/**
 * Puts fragments of guests together (RFC 791 §3.2, RFC 815).
 *
 * Bounds: SLOTS datagrams at a time, of which one guest has at most SLOTS_PER_GUEST; the oldest of the guest that has
 * most goes first. A guest is its port, whatever addresses it speaks from. 15 s for all fragments of one, then ICMP
 * time exceeded if its beginning had come (RFC 792). A fragment that overlaps another gives up the datagram (RFC 5722's
 * rule, which IPv4 is better off with too); one that repeats another byte for byte is ignored, as networks do
 * duplicate. Every way to end has a counter.
 *
 * A complete datagram is handed up where it lies; its slot is free again at the end of the turn, when nothing may point
 * into it any more. Those of a burst are copied out of their slots instead: small ones come by hundreds in a turn, and
 * neither they nor other guests' fragments may want for slots.
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Port } from '../link/port.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Shares } from '../turn/shares.ts';
import type { Turn } from '../turn/turn.ts';
import type { Ipv4Header } from '../wire/ipv4.ts';
import type { Neighbor } from './neighbor.ts';
import { ReassemblySlot, SLOT_BYTES } from './reassembly-slot.ts';

/** 256 datagrams of 64 KiB: 16 MiB of arena, touched only when used. */
export const SLOTS = 256;
/** A quarter: one guest that sends only beginnings leaves the others their share. */
export const SLOTS_PER_GUEST = 64;
/** RFC 791 §3.2 says 15 s; RFC 1122 §3.3.2 would have 60 to 120, which only serves who wants to fill the table. */
export const TIMEOUT_MS = 15_000;
/** Slots that complete datagrams may keep until the turn's end. */
const LENT_SLOTS = 16;
/** What guests send in one turn (the receive area) holds no more whole datagrams than this. Touched only by bursts. */
const BURST_BYTES = 4 * 2 ** 20;

/** A datagram put together: its header, as that of its first fragment was, and behind it `total` bytes of payload. */
export interface WholeDatagram {
  readonly headerAt: number;
  readonly headerBytes: number;
  readonly total: number;
  readonly ttl: number;
}

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
  readonly #free: ReassemblySlot[] = [];
  readonly #open = new Set<ReassemblySlot>();
  readonly #shares: Shares<Port, ReassemblySlot> = new Shares();
  readonly #lent: ReassemblySlot[] = [];
  /** Where a burst's datagrams are copied to; below 0 when the arena had no room. */
  readonly #burstAt: number;
  #burstUsed = 0;

  constructor(options: ReassemblyOptions) {
    this.#options = options;
    const slotsAt = options.arena.allocate(SLOTS * SLOT_BYTES);
    if (slotsAt < 0) throw new RangeError('the arena has no room for datagrams in fragments: make it larger');
    for (let i = 0; i < SLOTS; i++) {
      const at = slotsAt + i * SLOT_BYTES;
      this.#free.push(new ReassemblySlot(options.arena, at, (slot) => this.#expire(slot)));
    }
    this.#burstAt = options.arena.allocate(BURST_BYTES);
  }

  /** Datagrams that wait for more fragments. */
  get pending(): number {
    return this.#open.size;
  }

  /**
   * Takes the fragment whose header is at `at`. Returns the datagram when that completes it (its bytes stay until the
   * end of the turn), else undefined. Counts exactly one outcome for each fragment that completes nothing.
   */
  add(header: Ipv4Header, at: number, neighbor: Neighbor): WholeDatagram | undefined {
    const { counters } = this.#options;
    const slot = this.#find(header, neighbor) ?? this.#begin(header, neighbor);
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
    return this.#handOut(slot);
  }

  #handOut(slot: ReassemblySlot): WholeDatagram {
    const { arena, turn } = this.#options;
    turn.flushes.add(this);
    const { headerBytes, total, ttl } = slot;
    const length = headerBytes + total;
    const copied = this.#lent.length >= LENT_SLOTS && this.#burstAt >= 0 && this.#burstUsed + length <= BURST_BYTES;
    if (!copied) {
      this.#close(slot);
      this.#lent.push(slot);
      return slot;
    }
    const headerAt = this.#burstAt + this.#burstUsed;
    this.#burstUsed += length;
    arena.bytes.copyWithin(headerAt, slot.headerAt, slot.headerAt + length);
    this.#release(slot);
    return { headerAt, headerBytes, total, ttl };
  }

  /** The end of the turn: what was handed up is no longer pointed at. */
  work(): void {
    this.#free.push(...this.#lent);
    this.#lent.length = 0;
    this.#burstUsed = 0;
  }

  #find(header: Ipv4Header, neighbor: Neighbor): ReassemblySlot | undefined {
    for (const slot of this.#open) if (slot.matches(header, neighbor)) return slot;
    return undefined;
  }

  #begin(header: Ipv4Header, neighbor: Neighbor): ReassemblySlot | undefined {
    const { port } = neighbor;
    if (this.#shares.of(port) >= SLOTS_PER_GUEST) this.#evict(this.#shares.leastWantedOf(port));
    else if (this.#free.length === 0) this.#evict(this.#shares.leastWantedFor(port));
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    slot.open(header, neighbor);
    this.#open.add(slot);
    this.#shares.add(slot);
    this.#options.turn.timers.arm(slot.timer, TIMEOUT_MS);
    return slot;
  }

  #evict(slot: ReassemblySlot | undefined): void {
    if (slot === undefined) return;
    this.#options.counters.add('reassembly-evicted');
    this.#release(slot);
  }

  #expire(slot: ReassemblySlot): void {
    this.#options.counters.add('reassembly-timed-out');
    if (slot.headerBytes > 0) this.#options.onExpired(slot);
    this.#release(slot);
  }

  #release(slot: ReassemblySlot): void {
    this.#close(slot);
    this.#free.push(slot);
  }

  /** No fragment belongs to it any more; its bytes stay. */
  #close(slot: ReassemblySlot): void {
    this.#options.turn.timers.cancel(slot.timer);
    this.#open.delete(slot);
    this.#shares.remove(slot);
  }
}
