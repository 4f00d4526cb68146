import type { Counters } from '../env/counters.ts';
import { TupleTable } from '../flow/tuple-table.ts';
import { Places } from '../turn/places.ts';
import type { Turn } from '../turn/turn.ts';
import type { FlowEnds } from './flow-ends.ts';

/** RFC 9293 §3.4.2 asks for 2 MSL; guests are one hop away, and Linux keeps 60 s. */
const TIME_WAIT_MS = 60_000;
/** 7,000 connections a second would be 420,000 entries: the oldest goes first. */
const MAX_ENTRIES = 32_768;
/** One guest leaves a sixteenth to the others. */
const MAX_ENTRIES_OF_GUEST: number = MAX_ENTRIES - MAX_ENTRIES / 16;
/** Entries that are over and go with each new one: more than come. */
const SWEEP = 2;
/** Words of an entry: guest address, remote address, guest port << 16 | remote port, sndNxt, rcvNxt. */
const WORDS = 5;
const NONE = -1;

/** The entries of one guest, in the order in which they end. */
interface Queue {
  readonly owner: string;
  oldest: number;
  newest: number;
}

/**
 * Connections in TIME-WAIT: no descriptor, no flow, no timer, no object of their own (thousands a second would keep the
 * garbage collector busy). Places in arrays of numbers, in a queue for each guest (its attachment); when they are all
 * taken the oldest of the guest with most goes.
 */
export class TimeWaitTable {
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #table: TupleTable<number>;
  readonly #shares = new Places<string>(MAX_ENTRIES, MAX_ENTRIES_OF_GUEST);
  readonly #queues = new Map<string, Queue>();
  readonly #words: Uint32Array = new Uint32Array(MAX_ENTRIES * WORDS);
  readonly #untilMs: Float64Array = new Float64Array(MAX_ENTRIES);
  readonly #queueOf: (Queue | undefined)[] = new Array<Queue | undefined>(MAX_ENTRIES).fill(undefined);
  readonly #older: Int32Array = new Int32Array(MAX_ENTRIES);
  /** Of a free place: the next free one. */
  readonly #newer: Int32Array = Int32Array.from({ length: MAX_ENTRIES }, (_, i) =>
    i + 1 < MAX_ENTRIES ? i + 1 : NONE,
  );
  #free = 0;

  constructor(turn: Turn, counters: Counters, seed: number) {
    this.#turn = turn;
    this.#counters = counters;
    this.#table = new TupleTable(seed);
  }

  get size(): number {
    return this.#table.size;
  }

  /** The place of what is left of a connection, −1 when nothing is. Valid until the next `add` or `remove`. */
  find(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): number {
    const place = this.#table.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (place === undefined) return NONE;
    if (!this.#isOver(place)) return place;
    this.remove(place);
    return NONE;
  }

  /** The numbers with which a repeated FIN is acknowledged. */
  sndNxt(place: number): number {
    return this.#words[place * WORDS + 3]!;
  }

  rcvNxt(place: number): number {
    return this.#words[place * WORDS + 4]!;
  }

  /** `owner`: the guest whose share it takes. `sndNxt` and `rcvNxt`: the numbers with which it ended. */
  add(owner: string, ends: FlowEnds, sndNxt: number, rcvNxt: number): void {
    const { guestPort, remoteAddress, remotePort } = ends;
    const guestAddress = ends.neighbor.address;
    const before = this.#table.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (before !== undefined) this.remove(before);
    this.#makeRoom(owner);
    const place = this.#append(owner);
    const at = place * WORDS;
    this.#words[at] = guestAddress;
    this.#words[at + 1] = remoteAddress;
    this.#words[at + 2] = (guestPort << 16) | remotePort;
    this.#words[at + 3] = sndNxt;
    this.#words[at + 4] = rcvNxt;
    this.#untilMs[place] = this.#turn.nowMs + TIME_WAIT_MS;
    this.#table.set(guestAddress, guestPort, remoteAddress, remotePort, place);
  }

  /** Ends an entry early (a newer SYN, RFC 9293 §3.6.1). */
  remove(place: number): void {
    const at = place * WORDS;
    const ports = this.#words[at + 2]!;
    this.#table.delete(this.#words[at]!, ports >>> 16, this.#words[at + 1]!, ports & 0xffff);
    this.#unlink(place);
  }

  #isOver(place: number): boolean {
    return this.#untilMs[place]! <= this.#turn.nowMs;
  }

  #makeRoom(owner: string): void {
    for (let i = 0; i < SWEEP; i++) {
      const oldest = this.#queues.get(owner)?.oldest ?? NONE;
      if (oldest !== NONE && this.#isOver(oldest)) this.remove(oldest);
    }
    const payer = this.#shares.payer(owner);
    const oldest = payer === undefined ? NONE : (this.#queues.get(payer)?.oldest ?? NONE);
    if (oldest === NONE) return;
    if (!this.#isOver(oldest)) this.#counters.add('tcp-time-wait-evicted');
    this.remove(oldest);
  }

  /** Takes a free place at the end of the guest's queue. */
  #append(owner: string): number {
    const place = this.#free;
    this.#free = this.#newer[place]!;
    let queue = this.#queues.get(owner);
    if (queue === undefined) {
      queue = { owner, oldest: place, newest: NONE };
      this.#queues.set(owner, queue);
    }
    this.#older[place] = queue.newest;
    this.#newer[place] = NONE;
    if (queue.newest !== NONE) this.#newer[queue.newest] = place;
    queue.newest = place;
    this.#queueOf[place] = queue;
    this.#shares.add(owner);
    return place;
  }

  #unlink(place: number): void {
    const queue = this.#queueOf[place];
    if (queue === undefined) return;
    const older = this.#older[place]!;
    const newer = this.#newer[place]!;
    if (older === NONE) queue.oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) queue.newest = older;
    else this.#older[newer] = older;
    if (queue.oldest === NONE) this.#queues.delete(queue.owner);
    this.#shares.drop(queue.owner);
    this.#queueOf[place] = undefined;
    this.#newer[place] = this.#free;
    this.#free = place;
  }
}
