import type { Counters } from '../env/counters.ts';
import { TupleTable } from '../flow/tuple-table.ts';
import type { Turn } from '../turn/turn.ts';

/** RFC 9293 §3.4.2 asks for 2 MSL; guests are one hop away, and Linux keeps 60 s. */
const TIME_WAIT_MS = 60_000;
/** 7,000 connections a second would be 420,000 entries: the oldest goes first. */
const MAX_ENTRIES = 32_768;

/** What is left of a connection that we closed first: enough to acknowledge a repeated FIN. */
export interface TimeWaitEntry {
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly sndNxt: number;
  readonly rcvNxt: number;
  readonly untilMs: number;
}

/** Connections in TIME-WAIT: no descriptor, no flow, no timer of their own; bounded, oldest first. */
export class TimeWaitTable {
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #table: TupleTable<TimeWaitEntry>;
  /** In order of age; entries that were removed stay until their turn. */
  readonly #queue: (TimeWaitEntry | undefined)[] = new Array<TimeWaitEntry | undefined>(MAX_ENTRIES).fill(undefined);
  #next = 0;

  constructor(turn: Turn, counters: Counters, seed: number) {
    this.#turn = turn;
    this.#counters = counters;
    this.#table = new TupleTable(seed);
  }

  get size(): number {
    return this.#table.size;
  }

  get(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): TimeWaitEntry | undefined {
    const entry = this.#table.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (entry === undefined) return undefined;
    if (entry.untilMs > this.#turn.nowMs) return entry;
    this.remove(entry);
    return undefined;
  }

  add(entry: Omit<TimeWaitEntry, 'untilMs'>): void {
    const oldest = this.#queue[this.#next];
    const { nowMs } = this.#turn;
    if (oldest !== undefined && this.remove(oldest) && oldest.untilMs > nowMs) {
      this.#counters.add('tcp-time-wait-evicted');
    }
    const kept: TimeWaitEntry = { ...entry, untilMs: nowMs + TIME_WAIT_MS };
    this.#queue[this.#next] = kept;
    this.#next = (this.#next + 1) % MAX_ENTRIES;
    this.#table.set(entry.guestAddress, entry.guestPort, entry.remoteAddress, entry.remotePort, kept);
  }

  /** Ends it early (a newer SYN, RFC 9293 §3.6.1). False when it was over already. */
  remove(entry: TimeWaitEntry): boolean {
    const { guestAddress, guestPort, remoteAddress, remotePort } = entry;
    if (this.#table.get(guestAddress, guestPort, remoteAddress, remotePort) !== entry) return false;
    this.#table.delete(guestAddress, guestPort, remoteAddress, remotePort);
    return true;
  }
}
