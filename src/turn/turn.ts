import { ReadyQueue } from './ready-queue.ts';
import { Timers } from './timers.ts';

/**
 * One pass of the network, in this order: frames from guests → commit what the batch gathered for the host → data from
 * the host → timers → commit once more → acknowledgements that no data carried → flush what lies in the outlets. Whoever has work adds itself to the queue of the phase.
 */
export class Turn {
  /** The time of this turn in ms (`Clock.nowMs`, read once a turn). */
  nowMs: number;
  /** Attachments with frames to read. */
  readonly ingress: ReadyQueue = new ReadyQueue();
  /** Flows and mappings that gathered payload for the host during this turn. */
  readonly commits: ReadyQueue = new ReadyQueue();
  /** Flows and mappings with data from the host to send to their guest. */
  readonly egress: ReadyQueue = new ReadyQueue();
  /** Flows that owe their guest an acknowledgement unless data carries it first. */
  readonly acknowledgements: ReadyQueue = new ReadyQueue();
  /** Attachments with frames to write. */
  readonly flushes: ReadyQueue = new ReadyQueue();
  readonly timers: Timers;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
    this.timers = new Timers(nowMs);
  }

  /** Moves the time between turns, for who arms timers there: after a long sleep the last turn's time is long ago. */
  catchUp(nowMs: number): void {
    this.nowMs = nowMs;
    this.timers.begin(nowMs);
  }

  /** Runs one turn at `nowMs`. */
  run(nowMs: number): void {
    this.catchUp(nowMs);
    this.ingress.run();
    this.commits.run();
    this.egress.run();
    this.timers.run(nowMs);
    this.commits.run();
    this.acknowledgements.run();
    this.flushes.run();
  }

  /** How long the engine may sleep before the next turn: 0 while work is left, else until the next timer, at most `limitMs`. */
  waitMs(limitMs: number): number {
    if (this.ingress.pending || this.commits.pending || this.egress.pending) return 0;
    if (this.acknowledgements.pending || this.flushes.pending) return 0;
    return this.timers.waitMs(limitMs);
  }
}
