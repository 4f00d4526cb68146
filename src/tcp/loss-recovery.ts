import { seqAdd, seqDiff, seqGt, seqGte, seqLt, seqMax } from '../wire/seqnum.ts';
import type { TcpOptions } from '../wire/tcp-options.ts';
import { Ranges } from './ranges.ts';

/** RFC 5681 §3.2, RFC 6675 §2 */
const DUPLICATE_THRESHOLD = 3;
/** SACK ranges remembered; more is refused and only costs a needless retransmission. */
const MAX_SACKED_RANGES = 64;

/**
 * What is known about segments in flight to the guest: which arrived early (SACK, RFC 2018), which are taken for lost,
 * which of those were sent again. RFC 6675 with one simplification: instead of a verdict per segment there is one edge,
 * `#lostEdge`; what lies before it, is not SACKed and was not sent again since, is lost. Without SACK the edge
 * moves one segment at a time (NewReno, RFC 6582); a timeout moves it to sndNxt (RFC 5681 §3.1).
 */
export class LossRecovery {
  readonly #size: { readonly mss: number };
  readonly #sacked = new Ranges(MAX_SACKED_RANGES);
  /** Next number to send again, at least sndUna. */
  #retransmitNxt: number;
  #lostEdge: number;
  /** Recovery ends when this is acknowledged. */
  #recover: number;
  #duplicates = 0;
  #sackSeen = false;
  /** Between a loss and the acknowledgement of all that was in flight then. */
  recovering = false;
  /** This recovery began with a timeout: the window may grow during it. */
  afterTimeout = false;

  constructor(size: { readonly mss: number }, start: number) {
    this.#size = size;
    this.#retransmitNxt = start;
    this.#lostEdge = start;
    this.#recover = start;
  }

  /** Bytes thought to be in the network (RFC 6675 §4, pipe). */
  pipe(sndUna: number, sndNxt: number): number {
    const inFlight = seqDiff(sndNxt, sndUna);
    // Without SACK each duplicate stands for a segment that left the network (RFC 6582 §3.2, step 3).
    const arrived = this.#sackSeen ? this.#sacked.bytes : Math.min(inFlight, this.#duplicates * this.#size.mss);
    const out = inFlight - arrived;
    const from = seqMax(this.#retransmitNxt, sndUna);
    return Math.max(0, seqGt(this.#lostEdge, from) ? out - this.#unsacked(from, this.#lostEdge) : out);
  }

  /** Whether something lost waits to be sent again. Sets `holeStart` and `holeBytes` (at most one segment). */
  findHole(sndUna: number): boolean {
    let start = seqMax(this.#retransmitNxt, sndUna);
    let end = this.#lostEdge;
    for (let i = 0; i < this.#sacked.count; i++) {
      if (seqGte(start, this.#sacked.right(i))) continue;
      if (seqGte(start, this.#sacked.left(i))) {
        start = this.#sacked.right(i);
        continue;
      }
      if (seqLt(this.#sacked.left(i), end)) end = this.#sacked.left(i);
      break;
    }
    if (!seqLt(start, end)) return false;
    this.holeStart = start;
    this.holeBytes = Math.min(this.#size.mss, seqDiff(end, start));
    return true;
  }

  /** Result of `findHole`. */
  holeStart = 0;
  holeBytes = 0;

  /** The next hole is sent again whatever the window (RFC 6675 §5, step 4.3; RFC 6582 §3.2, step 5). */
  urgent = false;

  /** [holeStart, holeStart + length) was sent again. */
  retransmitted(length: number): void {
    this.urgent = false;
    this.#retransmitNxt = seqAdd(this.holeStart, length);
  }

  /** Notes the SACK blocks that lie in flight; others are hostile or old. Returns whether they told something new. */
  noteSack(options: TcpOptions, sndUna: number, sndNxt: number): boolean {
    let news = false;
    for (let i = 0; i < options.sackCount; i++) {
      const left = options.sackLeft[i]!;
      const right = options.sackRight[i]!;
      if (!seqLt(left, right) || seqLt(left, sndUna) || seqGt(right, sndNxt)) continue;
      this.#sackSeen = true;
      if (this.#sacked.covers(left, right)) continue;
      if (this.#sacked.insert(left, right)) news = true;
    }
    return news;
  }

  /** A duplicate acknowledgement (RFC 5681 §2). Returns true when it is the one that starts fast retransmit. */
  duplicate(sndUna: number, sndNxt: number): boolean {
    this.#duplicates++;
    if (this.recovering) {
      this.#moveLostEdge(sndUna);
      return false;
    }
    const sackedEnough = this.#sacked.bytes > (DUPLICATE_THRESHOLD - 1) * this.#size.mss;
    if (this.#duplicates < DUPLICATE_THRESHOLD && !sackedEnough) return false;
    this.recovering = true;
    this.afterTimeout = false;
    this.urgent = true;
    this.#recover = sndNxt;
    this.#retransmitNxt = sndUna;
    this.#lostEdge = seqAdd(sndUna, Math.min(this.#size.mss, seqDiff(sndNxt, sndUna)));
    this.#moveLostEdge(sndUna);
    return true;
  }

  /** sndUna moved to `sndUna`. */
  acknowledged(sndUna: number): void {
    this.#duplicates = 0;
    this.#sacked.dropBefore(sndUna);
    if (!this.recovering) return;
    if (seqGte(sndUna, this.#recover)) {
      this.recovering = false;
      this.afterTimeout = false;
      this.#lostEdge = sndUna;
      this.#retransmitNxt = sndUna;
      this.#sacked.clear();
      return;
    }
    if (this.afterTimeout) return;
    this.#moveLostEdge(sndUna);
    // A partial acknowledgement with no word of what came early: the next segment is lost too (RFC 6582 §3.2).
    if (!this.#sackSeen || this.#sacked.count === 0) {
      this.#retransmitNxt = seqMax(this.#retransmitNxt, sndUna);
      if (!seqGt(this.#lostEdge, this.#retransmitNxt)) {
        this.#retransmitNxt = sndUna;
        this.#lostEdge = seqAdd(sndUna, Math.min(this.#size.mss, seqDiff(this.#recover, sndUna)));
        this.urgent = true;
      }
    }
  }

  /**
   * The retransmission timer expired: all in flight is taken for lost, and SACK is forgotten (RFC 2018 §8: it may be
   * reneged).
   */
  timedOut(sndUna: number, sndNxt: number): void {
    this.#sacked.clear();
    this.lost(sndUna, sndNxt, sndNxt);
  }

  /** Of [from, until) all that is not SACKed is sent again. */
  lost(from: number, until: number, sndNxt: number): void {
    this.#duplicates = 0;
    this.recovering = true;
    this.afterTimeout = true;
    this.#recover = sndNxt;
    this.#retransmitNxt = from;
    this.#lostEdge = until;
  }

  /** With SACK: what lies three segments before the highest early byte is lost (RFC 6675 §4, IsLost). */
  #moveLostEdge(sndUna: number): void {
    if (this.#sacked.count === 0) return;
    const highest = this.#sacked.right(this.#sacked.count - 1);
    const edge = seqAdd(highest, -(DUPLICATE_THRESHOLD - 1) * this.#size.mss);
    if (seqGt(edge, this.#lostEdge) && seqGt(edge, sndUna)) this.#lostEdge = edge;
  }

  #unsacked(from: number, to: number): number {
    let bytes = seqDiff(to, from);
    for (let i = 0; i < this.#sacked.count; i++) {
      const left = seqMax(this.#sacked.left(i), from);
      const right = seqLt(this.#sacked.right(i), to) ? this.#sacked.right(i) : to;
      if (seqGt(right, left)) bytes -= seqDiff(right, left);
    }
    return bytes;
  }
}
