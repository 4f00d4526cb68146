import { FairQueue } from './fair-queue.ts';
import { ReadyQueue } from './ready-queue.ts';
import { type Pace, Slice } from './slice.ts';
import { Timers } from './timers.ts';

/**
 * Shares of a turn, so that whoever has little to say is heard soon however much the others say: a ping within 50 ms.
 * What the work of ingress and egress leaves for the other phases is bounded by theirs. Numbers bound a turn where no
 * clock is.
 */
const INGRESS_MS = 5;
/** At least: the backlog has what ingress leaves. */
const BACKLOG_MS = 1;
const EGRESS_MS = 10;
const TIMERS_MS = 5;
const INGRESS_PIECES = 64;
const EGRESS_PIECES = 1024;
const TIMER_PIECES = 1024;

/**
 * One pass of the network, in this order: frames from guests, first of those with little → commit what the batch
 * gathered for the host → data from the host → timers → commit once more → acknowledgements that no data carried →
 * flush what lies in the outlets. Whoever has work adds itself to the queue of the phase. Each phase has its share of
 * time and work; what it leaves over goes first in the next turn.
 */
export class Turn {
  /** The time of this turn in ms (`Clock.nowMs`, read once a turn). */
  nowMs: number;
  /** Attachments with frames to read. */
  readonly ingress: ReadyQueue = new ReadyQueue();
  /**
   * Attachments that used up their share and have more: after the others, so who has little waits for none of them. One
   * at least is served.
   */
  readonly backlog: ReadyQueue = new ReadyQueue();
  /** Flows and mappings that gathered payload for the host during this turn. */
  readonly commits: ReadyQueue = new ReadyQueue();
  /** Flows and mappings with data from the host to send to their guest. */
  readonly egress: FairQueue = new FairQueue();
  /** Flows that owe their guest an acknowledgement unless data carries it first. */
  readonly acknowledgements: ReadyQueue = new ReadyQueue();
  /** Attachments with frames to write. */
  readonly flushes: ReadyQueue = new ReadyQueue();
  readonly timers: Timers;
  readonly #slice: Slice;

  constructor(nowMs: number, pace: Pace = {}) {
    this.nowMs = nowMs;
    this.#slice = new Slice(pace);
    this.timers = new Timers(nowMs);
  }

  /**
   * Whether the running piece of work has had its part of the phase's time: who reads many frames of a guest asks now
   * and then.
   */
  get late(): boolean {
    return this.#slice.late;
  }

  /** Moves the time between turns, for who arms timers there: after a long sleep the last turn's time is long ago. */
  catchUp(nowMs: number): void {
    this.nowMs = nowMs;
    this.timers.begin(nowMs);
  }

  /** Runs one turn at `nowMs`. */
  run(nowMs: number): void {
    this.catchUp(nowMs);
    const slice = this.#slice;
    this.ingress.run(slice.begin(INGRESS_MS, INGRESS_PIECES));
    this.backlog.run(slice.goOn(BACKLOG_MS, INGRESS_PIECES));
    this.commits.run(slice.whole());
    this.egress.run(slice.begin(EGRESS_MS, EGRESS_PIECES));
    this.timers.run(nowMs, slice.begin(TIMERS_MS, TIMER_PIECES));
    this.commits.run(slice.whole());
    this.acknowledgements.run(slice.whole());
    this.flushes.run(slice.whole());
  }

  /** Runs what waits to be written, and nothing else: the last thing that a network does. */
  flush(): void {
    this.flushes.run(this.#slice.whole());
  }

  /**
   * How long the engine may sleep before the next turn: 0 while work is left, else until the next timer, at most
   * `limitMs`.
   */
  waitMs(limitMs: number): number {
    if (this.ingress.pending || this.backlog.pending || this.commits.pending || this.egress.pending) return 0;
    if (this.acknowledgements.pending || this.flushes.pending) return 0;
    return this.timers.waitMs(limitMs);
  }
}
