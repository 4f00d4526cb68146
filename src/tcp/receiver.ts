import { FAILED, type HostStream } from '../env/host.ts';
import { seqAdd, seqDiff, seqGt } from '../wire/seqnum.ts';
import type { TcpContext } from './context.ts';
import { Ranges } from './ranges.ts';
import { SequenceBuffer } from './sequence-buffer.ts';
import { WindowTarget } from './window-target.ts';

/** Gaps that one flow may hold open at once; more is a loss pattern that retransmission mends anyway. */
const MAX_GAPS = 64;

/**
 * The receiving half of a connection: text from the guest on its way to the host socket.
 *
 * Sequence space, left to right: `hostNxt` (the kernel took all before it) … waiting bytes … `rcvNxt` … gaps and early
 * ranges … `edge` (what was promised). In-order text of a turn is only noted where it lies in the receive area and
 * handed to the host in one write at the turn's commit; what the host does not take, and what came early, is copied
 * into the sequence buffer. Nothing is acknowledged before commit, so what finds no chunk can still be forgotten.
 *
 * The promised edge never moves left (RFC 9293 §3.8.6.2.1) and is reserved from the window budget; when the host socket
 * is slow, hostNxt stands still and so does the edge: that is the back-pressure.
 */
export class Receiver {
  /** Next sequence number expected; counts a FIN in order. */
  rcvNxt: number;
  /** The guest's FIN has been reached in order. */
  finReached = false;
  /** An acknowledgement is due at once (gap, duplicate, FIN, or two full segments). */
  ackNow = false;
  /** Something unacknowledged came. */
  ackDue = false;
  /** Scale of the window fields we send: WINDOW_SCALE when the guest offered the option, else 0. */
  windowScale = 0;
  /** Bytes that the guest sent, in order. */
  bytes = 0;
  readonly held: Ranges = new Ranges(MAX_GAPS);
  readonly #context: TcpContext;
  readonly #owner: string;
  readonly #mss: number;
  #hostNxt: number;
  #edge: number;
  readonly #target: WindowTarget;
  #finSequence = -1;
  #unacknowledged = 0;
  #blocked = false;
  #hostFailed = false;
  #buffer: SequenceBuffer | undefined;
  #gatherHead = -1;
  #gatherTail = -1;
  #gatherBytes = 0;
  /** Bytes of the first gathered frame that the host already took. */
  #gatherSkip = 0;

  /**
   * @param owner the guest whose share of the chunks it takes (`Port.attachment`). @param next the sequence number
   * after the guest's SYN. @param mss bytes of the guest's full segments.
   */
  constructor(context: TcpContext, owner: string, next: number, mss: number) {
    this.#context = context;
    this.#owner = owner;
    this.#mss = mss;
    this.rcvNxt = next;
    this.#hostNxt = next;
    this.#edge = next;
    this.#target = new WindowTarget(context.budget, context.turn.nowMs);
    this.#advanceEdge();
  }

  /** The host refused text that the guest sent. */
  get refused(): boolean {
    return this.#hostFailed;
  }

  /** True when the kernel has everything that the guest sent so far. */
  get delivered(): boolean {
    return this.#hostNxt === this.#dataEnd;
  }

  /** Bytes in order that the kernel has not taken. */
  get waitingBytes(): number {
    return seqDiff(this.#dataEnd, this.#hostNxt);
  }

  /** Bytes that the guest may still send. */
  get window(): number {
    return Math.max(0, seqDiff(this.#edge, this.rcvNxt));
  }

  /**
   * RFC 9293 §3.4: whether a segment of `span` numbers lies in the window. A bare segment may stand at the window's
   * very end: a guest that used all of it has no other number for its acknowledgements.
   */
  acceptable(sequence: number, span: number): boolean {
    const offset = seqDiff(sequence, this.rcvNxt);
    const window = this.window + this.#rounding;
    if (span === 0 || offset === 0) return offset >= 0 && offset <= window;
    return offset < window && offset + span > 0;
  }

  /**
   * Whether a RST with this number is the guest's own (RFC 5961 §3.2). Behind a FIN that includes the FIN's number:
   * what a kernel answers by RST, its program being gone, was sent before our acknowledgement of the FIN.
   */
  isNext(sequence: number): boolean {
    return sequence === this.rcvNxt || (this.finReached && sequence === seqAdd(this.rcvNxt, -1));
  }

  /** Takes a segment's text [at, at + length) and FIN. Trims to the window (RFC 9293 §3.10.7.4, seventh). */
  receive(sequence: number, at: number, length: number, fin: boolean): void {
    const before = seqDiff(this.rcvNxt, sequence);
    if (before > 0) {
      // RFC 9293: a retransmission of what is known is acknowledged at once, so that a lost ACK is made good.
      this.ackNow = true;
      if (before >= length + (fin ? 1 : 0)) return;
      if (before >= length) length = 0;
      else length -= before;
      at += before;
      sequence = this.rcvNxt;
    }
    // RFC 9293 §3.10.7.4: text beyond a FIN is ignored.
    if (this.#finSequence >= 0) length = Math.max(0, Math.min(length, seqDiff(this.#finSequence, sequence)));
    const room = seqDiff(this.#edge, sequence) + this.#rounding;
    if (length > room) {
      this.#context.counters.add('tcp-beyond-window');
      this.ackNow = true;
      fin = false;
      length = Math.max(0, room);
    }
    if (fin && this.#finSequence < 0) this.#finSequence = seqAdd(sequence, length);
    if (length > 0) this.#take(sequence, at, length);
    this.#reachFin();
  }

  /**
   * Takes the text of a train (link/Frame): `count` times `length` bytes from `at` on, `stride` apart. False when it is
   * not simply the next text of a flow in good order: then take the frames one by one.
   */
  receiveTrain(sequence: number, at: number, length: number, count: number, stride: number): boolean {
    if (sequence !== this.rcvNxt || this.held.count > 0 || this.#finSequence >= 0) return false;
    return length * count <= this.window && this.#gather(at, length, count, stride);
  }

  /**
   * Hands what waits to the host. Returns FAILED once when the host socket broke, else 0; what still comes is dropped
   * then.
   */
  commit(stream: HostStream): number {
    if (this.#hostFailed) this.#dropAll();
    while (!this.#blocked && !this.delivered) {
      const asked = this.#fillPieces();
      const taken = stream.write(this.#context.pieces);
      if (taken === FAILED) {
        this.#hostFailed = true;
        this.#dropAll();
        return FAILED;
      }
      this.#advance(taken);
      if (taken < asked) this.#blocked = true;
    }
    this.#keepRest();
    if (this.finReached && this.delivered) this.#releaseWindow();
    return 0;
  }

  /** The host socket has room again. */
  hostWritable(): void {
    this.#blocked = false;
  }

  /** Whether the window has opened far enough to be worth telling (RFC 9293 §3.8.6.2.2, silly window avoidance). */
  get windowUpdateDue(): boolean {
    if (this.finReached) return false;
    const whole = this.#target.bytes;
    return seqDiff(this.#wantedEdge, this.#edge) >= Math.min(whole >> 1, Math.max(2 * this.#mss, whole >> 2));
  }

  /**
   * An acknowledgement is being written: what was due is done. Returns the window field to send with it. While there
   * are gaps only one that can carry SACK counts (`complete`): text with an ACK is no duplicate ACK to the guest.
   */
  acknowledge(complete: boolean): number {
    if (complete || this.held.count === 0) this.ackNow = false;
    this.ackDue = false;
    this.#unacknowledged = 0;
    this.#advanceEdge();
    const scale = this.windowScale;
    // Rounded up: rounding down would take back bytes that were promised (RFC 7323 §2.4).
    return Math.min(0xffff, (this.window + (1 << scale) - 1) >> scale);
  }

  /** Gives everything back. */
  destroy(): void {
    this.#forgetGather();
    this.#buffer?.clear();
    this.held.clear();
    this.#releaseWindow();
  }

  /** Nothing more will come: what is still promised is free for others. */
  #releaseWindow(): void {
    this.#context.budget.reserve(-seqDiff(this.#edge, this.#hostNxt));
    this.#edge = this.#hostNxt;
  }

  /** The window field is rounded up to whole units of the scale: so much more may come. */
  get #rounding(): number {
    return (1 << this.windowScale) - 1;
  }

  /** Where the in-order text ends (the FIN is not text). */
  get #dataEnd(): number {
    return this.finReached ? seqAdd(this.rcvNxt, -1) : this.rcvNxt;
  }

  #take(sequence: number, at: number, length: number): void {
    if (sequence === this.rcvNxt && this.held.count === 0) {
      this.#takeInOrder(at, length);
      return;
    }
    this.ackNow = true;
    const stored = this.#store(sequence, at, length);
    if (stored === 0) return;
    const end = seqAdd(sequence, stored);
    if (!this.held.insert(sequence, end)) {
      this.#context.counters.add('tcp-too-many-gaps');
      return;
    }
    if (this.held.left(0) === this.rcvNxt) {
      this.#inOrder(seqDiff(this.held.right(0), this.rcvNxt));
      this.held.dropBefore(this.rcvNxt);
    }
  }

  #takeInOrder(at: number, length: number): void {
    if (!this.#gather(at, length, 1, 0)) this.#inOrder(this.#store(this.rcvNxt, at, length));
  }

  /** Notes in-order text where it lies; false when it must be copied instead. */
  #gather(at: number, length: number, count: number, stride: number): boolean {
    if (this.#blocked || !this.#gatherPossible) return false;
    const piece = this.#context.gather.take(at, length, count, stride);
    if (piece < 0) return false;
    if (this.#gatherHead < 0) this.#gatherHead = piece;
    else this.#context.gather.next[this.#gatherTail] = piece;
    this.#gatherTail = piece;
    this.#gatherBytes += length * count;
    this.#inOrder(length * count);
    return true;
  }

  /** Gathered pieces stand right after hostNxt: nothing stored may lie between. */
  get #gatherPossible(): boolean {
    return seqAdd(this.#hostNxt, this.#gatherBytes) === this.rcvNxt;
  }

  #inOrder(length: number): void {
    this.rcvNxt = seqAdd(this.rcvNxt, length);
    this.bytes += length;
    this.ackDue = true;
    this.#unacknowledged += length;
    // RFC 9293 §3.8.6.3: an ACK for at least every second full-sized segment; sooner where that is much of the window.
    if (this.#unacknowledged >= Math.min(2 * this.#mss, this.#target.bytes >> 2)) this.ackNow = true;
  }

  #reachFin(): void {
    if (this.finReached || this.#finSequence !== this.rcvNxt) return;
    this.finReached = true;
    this.rcvNxt = seqAdd(this.rcvNxt, 1);
    this.ackNow = true;
  }

  #store(sequence: number, at: number, length: number): number {
    this.#buffer ??= new SequenceBuffer(this.#context.arena.bytes, this.#context.pool, this.#owner);
    const stored = this.#buffer.store(sequence, at, length, seqGt(sequence, this.rcvNxt));
    if (stored < length) this.#context.counters.add('tcp-chunk-pool-exhausted');
    return stored;
  }

  /** Lists the oldest waiting bytes; returns how many. */
  #fillPieces(): number {
    const { gather, pieces } = this.#context;
    const room = pieces.at.length;
    pieces.count = 0;
    let bytes = 0;
    let skip = this.#gatherSkip;
    for (let piece = this.#gatherHead; piece >= 0; piece = gather.next[piece]!) {
      const length = gather.length[piece]!;
      const stride = gather.stride[piece]!;
      let at = gather.at[piece]!;
      for (let left = gather.count[piece]!; left > 0; left--) {
        if (pieces.count === room) return bytes;
        pieces.at[pieces.count] = at + skip;
        pieces.length[pieces.count] = length - skip;
        pieces.count++;
        bytes += length - skip;
        skip = 0;
        at += stride;
      }
    }
    if (this.#buffer === undefined) return bytes;
    const gathered = pieces.count;
    this.#buffer.gather(seqAdd(this.#hostNxt, this.#gatherBytes), this.#dataEnd, pieces);
    for (let i = gathered; i < pieces.count; i++) bytes += pieces.length[i]!;
    return bytes;
  }

  /** The host took `taken` bytes. */
  #advance(taken: number): void {
    const from = this.#hostNxt;
    this.#hostNxt = seqAdd(from, taken);
    this.#context.budget.reserve(-taken);
    this.#dropGathered(Math.min(taken, this.#gatherBytes));
    this.#buffer?.release(from, this.#hostNxt, this.#hostNxt !== this.#dataEnd || this.held.count > 0);
  }

  /** Forgets the oldest `bytes` of what is gathered. */
  #dropGathered(bytes: number): void {
    const { gather } = this.#context;
    this.#gatherBytes -= bytes;
    let left = bytes + this.#gatherSkip;
    this.#gatherSkip = 0;
    while (left > 0) {
      const piece = this.#gatherHead;
      const length = gather.length[piece]!;
      const whole = Math.min(Math.floor(left / length), gather.count[piece]!);
      left -= whole * length;
      gather.at[piece]! += whole * gather.stride[piece]!;
      gather.count[piece]! -= whole;
      if (gather.count[piece] === 0) this.#gatherHead = gather.give(piece);
      else {
        this.#gatherSkip = left;
        return;
      }
    }
  }

  /** Copies gathered text that the host did not take, before the receive area is reused. */
  #keepRest(): void {
    const { gather } = this.#context;
    let sequence = this.#hostNxt;
    while (this.#gatherHead >= 0) {
      const piece = this.#gatherHead;
      const length = gather.length[piece]! - this.#gatherSkip;
      const stored = this.#store(sequence, gather.at[piece]! + this.#gatherSkip, length);
      sequence = seqAdd(sequence, stored);
      if (stored < length) {
        this.#forgetFrom(sequence);
        return;
      }
      this.#dropGathered(length);
    }
  }

  /**
   * No chunk was left: what lies from `sequence` on was not acknowledged yet and never came, as far as the guest knows.
   */
  #forgetFrom(sequence: number): void {
    this.#forgetGather();
    this.held.clear();
    this.ackNow = true;
    this.rcvNxt = sequence;
    this.finReached = false;
    this.#finSequence = -1;
  }

  /** The host socket broke: nothing waits for it any more. */
  #dropAll(): void {
    this.#forgetGather();
    this.#buffer?.clear();
    this.held.clear();
    this.#context.budget.reserve(-seqDiff(this.#dataEnd, this.#hostNxt));
    this.#hostNxt = this.#dataEnd;
  }

  #forgetGather(): void {
    while (this.#gatherHead >= 0) this.#gatherHead = this.#context.gather.give(this.#gatherHead);
    this.#gatherBytes = 0;
    this.#gatherSkip = 0;
  }

  get #wantedEdge(): number {
    return seqAdd(this.#hostNxt, this.#target.bytes);
  }

  #advanceEdge(): void {
    if (this.finReached) return;
    if (this.delivered) this.#target.progressed(this.bytes, this.#context.turn.nowMs);
    const wanted = this.#wantedEdge;
    const step = seqDiff(wanted, this.#edge);
    if (!seqGt(wanted, this.#edge) || step < Math.min(this.#mss, this.#target.bytes >> 1)) return;
    this.#context.budget.reserve(step);
    this.#edge = wanted;
  }
}
