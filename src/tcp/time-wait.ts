import type { Counters } from '../env/counters.ts';
import { TupleTable } from '../flow/tuple-table.ts';
import type { Turn } from '../turn/turn.ts';

/** RFC 9293 §3.4.2 asks for 2 MSL; guests are one hop away, and Linux keeps 60 s. */
const TIME_WAIT_MS = 60_000;
/** 7,000 connections a second would be 420,000 entries: the oldest goes first. */
const MAX_ENTRIES = 32_768;
/** Words of an entry: guest address, remote address, guest port << 16 | remote port, sndNxt, rcvNxt. */
const WORDS = 5;

/**
 * Connections in TIME-WAIT: no descriptor, no flow, no timer, no object of their own (thousands a second would keep the
 * garbage collector busy). A ring of numbers, the oldest entry replaced first.
 */
export class TimeWaitTable {
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #places: TupleTable<number>;
  readonly #words: Uint32Array = new Uint32Array(MAX_ENTRIES * WORDS);
  /** When an entry ends; 0 for a place that holds none. */
  readonly #untilMs: Float64Array = new Float64Array(MAX_ENTRIES);
  #next = 0;

  constructor(turn: Turn, counters: Counters, seed: number) {
    this.#turn = turn;
    this.#counters = counters;
    this.#places = new TupleTable(seed);
  }

  get size(): number {
    return this.#places.size;
  }

  /** The place of what is left of a connection, −1 when nothing is. Valid until the next `add` or `remove`. */
  find(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): number {
    const place = this.#places.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (place === undefined) return -1;
    if (this.#untilMs[place]! > this.#turn.nowMs) return place;
    this.remove(place);
    return -1;
  }

  /** The numbers with which a repeated FIN is acknowledged. */
  sndNxt(place: number): number {
    return this.#words[place * WORDS + 3]!;
  }

  rcvNxt(place: number): number {
    return this.#words[place * WORDS + 4]!;
  }

  add(
    guestAddress: number,
    guestPort: number,
    remoteAddress: number,
    remotePort: number,
    sndNxt: number,
    rcvNxt: number,
  ): void {
    const before = this.#places.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (before !== undefined) this.remove(before);
    const place = this.#next;
    if (this.#untilMs[place]! > this.#turn.nowMs) this.#counters.add('tcp-time-wait-evicted');
    if (this.#untilMs[place]! > 0) this.remove(place);
    this.#next = (place + 1) % MAX_ENTRIES;
    const at = place * WORDS;
    this.#words[at] = guestAddress;
    this.#words[at + 1] = remoteAddress;
    this.#words[at + 2] = (guestPort << 16) | remotePort;
    this.#words[at + 3] = sndNxt;
    this.#words[at + 4] = rcvNxt;
    this.#untilMs[place] = this.#turn.nowMs + TIME_WAIT_MS;
    this.#places.set(guestAddress, guestPort, remoteAddress, remotePort, place);
  }

  /** Ends an entry early (a newer SYN, RFC 9293 §3.6.1). */
  remove(place: number): void {
    const at = place * WORDS;
    const ports = this.#words[at + 2]!;
    this.#untilMs[place] = 0;
    this.#places.delete(this.#words[at]!, ports >>> 16, this.#words[at + 1]!, ports & 0xffff);
  }
}
