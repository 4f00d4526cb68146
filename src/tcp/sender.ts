import { FAILED, type HostStream, WOULD_BLOCK } from '../env/host.ts';
import type { Outlet } from '../link/outlet.ts';
import { IPV4_MAX_BYTES } from '../wire/ipv4.ts';
import { seqAdd, seqDiff, seqGt } from '../wire/seqnum.ts';
import { ACK, FIN, PSH } from '../wire/tcp.ts';
import type { TcpOptions } from '../wire/tcp-options.ts';
import { CongestionWindow } from './congestion.ts';
import type { TcpContext } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import { GuestWindow } from './guest-window.ts';
import { LossRecovery } from './loss-recovery.ts';
import type { OutgoingSegment } from './outgoing-segment.ts';
import type { Receiver } from './receiver.ts';
import { RttEstimator } from './rtt.ts';
import { PACKET_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './segment-output.ts';
import { SegmentSize } from './segment-size.ts';

/**
 * What one flow may send in one turn: two of the largest guest windows of an untuned Linux, short enough that others
 * are served within a millisecond.
 */
const QUOTA_BYTES = 512 * 1024;
/** Slots of one peek (bound of HostStream.peekInto). */
const MAX_SLOTS = 64;
/** A first peek reserves this many segments; what fills doubles it. */
const FIRST_SLOTS = 4;

/** How the host's side of the flow ended. */
export type HostEnd = 'open' | 'fin' | 'failed';
/** Where a sender begins. */
export interface SenderStart {
  /** The first number after our SYN. */
  readonly sequence: number;
  /** Text bytes of a segment. */
  readonly mss: number;
  /** Bytes that the guest allows, scaled, and the number of its segment that said so. */
  readonly window: number;
  readonly windowSequence: number;
}

/**
 * Why the pump stopped: 'idle' (nothing to send or the guest's window is shut), 'more' (quota used), 'outlet-full',
 * 'reset' (the host failed and all it left is acknowledged).
 */
export type PumpResult = 'idle' | 'more' | 'outlet-full' | 'reset';

/**
 * The sending half of a connection: bytes from the host socket on their way to the guest.
 *
 * It keeps no copy: the host's receive queue is the retransmission buffer. Bytes are peeked straight into laid-out
 * frames, stay queued until acknowledged and are then consumed; `#consumed` is the sequence number of the queue's first
 * byte. When the host socket fails, what it still holds is delivered first and the reset follows at exactly sndNxt.
 */
export class Sender {
  sndUna: number;
  sndNxt: number;
  readonly window: GuestWindow;
  readonly rtt: RttEstimator = new RttEstimator();
  /** The host may have something to peek. */
  readable = true;
  /** Bytes that the guest acknowledged. */
  bytes = 0;
  readonly #context: TcpContext;
  readonly #to: FlowEnds;
  readonly #size: SegmentSize;
  readonly #recovery: LossRecovery;
  readonly #congestion: CongestionWindow;
  #consumed: number;
  #finSequence = -1;
  #hostEnd: HostEnd = 'open';
  #slots: number = FIRST_SLOTS;

  constructor(context: TcpContext, to: FlowEnds, start: SenderStart) {
    const { sequence, mss, window } = start;
    this.#context = context;
    this.#to = to;
    this.#size = new SegmentSize(mss);
    this.sndUna = sequence;
    this.sndNxt = sequence;
    this.window = new GuestWindow(window, start.windowSequence, sequence);
    this.#consumed = sequence;
    this.#recovery = new LossRecovery(this.#size, sequence);
    this.#congestion = new CongestionWindow(this.#size);
  }

  /** Payload bytes of a segment. */
  get mss(): number {
    return this.#size.mss;
  }

  get inFlight(): number {
    return seqDiff(this.sndNxt, this.sndUna);
  }

  get finSent(): boolean {
    return this.#finSequence >= 0;
  }

  get finAcknowledged(): boolean {
    return this.#finSequence >= 0 && seqGt(this.sndUna, this.#finSequence);
  }

  /** The host socket failed on the other path: deliver what it still holds, then reset. */
  hostFailed(): void {
    this.readable = true;
  }

  /** Whether the guest's shut window keeps data or our FIN back: the persist timer must probe (RFC 9293 §3.8.6.1). */
  get stalledByWindow(): boolean {
    return (
      this.inFlight === 0 && this.window.bytes === 0 && !this.finSent && (this.readable || this.#hostEnd === 'fin')
    );
  }

  /**
   * Takes an acceptable acknowledgement (sndUna ≤ number ≤ sndNxt) and window. `bare`: the segment had no text, SYN or
   * FIN, so an unchanged number may be a duplicate (RFC 5681 §2). Returns whether the window opened or bytes left the
   * network.
   */
  acknowledge(
    acknowledgment: number,
    window: number,
    sequence: number,
    bare: boolean,
    options: TcpOptions | undefined,
  ): boolean {
    const advanced = seqDiff(acknowledgment, this.sndUna);
    const newSack = options !== undefined && options.sackCount > 0 && this.#noteSack(options);
    const windowChanged = this.#takeWindow(acknowledgment, window, sequence);
    if (advanced > 0) {
      this.#advance(acknowledgment, advanced);
      return true;
    }
    // RFC 6675 §2: with SACK, text does not keep an acknowledgement from being a duplicate.
    if (this.inFlight > 0 && (newSack || (bare && !windowChanged))) {
      if (this.#recovery.duplicate(this.sndUna, this.sndNxt)) {
        this.#context.counters.add('tcp-fast-retransmit');
        if (!this.#size.lost(this.sndUna, this.#context.turn.nowMs)) this.#congestion.lost(this.inFlight);
      }
      return true;
    }
    return windowChanged;
  }

  /** Sends what may be sent: first what was lost, then new data. */
  pump(stream: HostStream, outlet: Outlet, receiver: Receiver): PumpResult {
    this.#consume(stream);
    let quota = QUOTA_BYTES;
    if (this.#recovery.recovering) {
      const result = this.#retransmit(stream, outlet, receiver);
      if (result !== 'idle') return result;
    }
    while (this.readable && !this.finSent && quota > 0) {
      const sent = this.#sendNew(stream, outlet, receiver, quota);
      if (sent === -1) return 'outlet-full';
      if (sent === 0) break;
      quota -= sent;
    }
    if (this.readable && (this.finSent || (this.inFlight === 0 && this.window.bytes === 0)))
      this.#lookAtEnd(stream, outlet);
    if (this.#hostEnd === 'failed' && this.inFlight === 0) return 'reset';
    if (this.#hostEnd === 'fin' && !this.finSent && this.inFlight < this.window.bytes) return this.#sendFin(receiver);
    return quota <= 0 ? 'more' : 'idle';
  }

  /** The retransmission timer expired with something in flight (RFC 6298 §5.4 to 5.6). */
  timedOut(): void {
    this.#context.counters.add('tcp-retransmission-timeout');
    this.rtt.timedOut();
    const { nowMs } = this.#context.turn;
    const probeLost = this.#size.lost(this.sndUna, nowMs);
    // Only the first timeout of a series says something about the path's queue.
    if (this.rtt.timeouts === 1 && !probeLost) this.#congestion.timedOut(this.inFlight);
    const reachable = this.#to.neighbor.port.attached && this.window.bytes > 0;
    if (reachable && this.#size.timedOut(this.rtt.timeouts, this.inFlight, nowMs)) {
      this.#context.counters.add('tcp-path-mtu-black-hole');
    }
    this.#recovery.timedOut(this.sndUna, this.sndNxt);
  }

  /**
   * Somebody says that the segment at `sequence` needs to be cut for a link of `mtu`. False when it is not in flight
   * (RFC 5927 §4.1) or the MTU is no news. What is lost by it is cut anew and goes out at once, without a word to
   * congestion control.
   */
  tooLong(sequence: number, mtu: number): boolean {
    const offset = seqDiff(sequence, this.sndUna);
    if (offset < 0 || offset >= this.inFlight) return false;
    const lost = this.#size.told(mtu, sequence, this.#context.turn.nowMs);
    if (lost === 'nothing') return false;
    this.rtt.sentAgain();
    // What a recovery that is under way has yet to send again lies before a probe, or behind it.
    if (lost === 'all' || this.#recovery.recovering) this.#recovery.lost(this.sndUna, this.sndNxt, this.sndNxt);
    else this.#recovery.lost(sequence, this.#size.probeEnd, this.sndNxt);
    return true;
  }

  /**
   * A segment that the guest must answer: no text, one number before what it expects (keepalive, RFC 9293 §3.8.4, and
   * window probe).
   */
  probe(receiver: Receiver): void {
    this.#control(ACK, seqAdd(this.sndUna, -1), receiver);
  }

  /** Consumes what was acknowledged, so that the host's window opens. */
  #consume(stream: HostStream): void {
    const until = this.finAcknowledged ? this.#finSequence : this.sndUna;
    const length = seqDiff(until, this.#consumed);
    if (length <= 0) return;
    stream.consume(length);
    this.#consumed = until;
  }

  /** Consumes what is left of what was acknowledged, before the stream is given up. */
  finish(stream: HostStream): void {
    this.#consume(stream);
  }

  #advance(acknowledgment: number, advanced: number): void {
    this.sndUna = acknowledgment;
    this.bytes += advanced;
    const { nowMs } = this.#context.turn;
    this.rtt.acknowledged(acknowledgment, nowMs);
    this.#size.acknowledged(acknowledgment, nowMs);
    if (!this.#recovery.recovering || this.#recovery.afterTimeout) this.#congestion.acknowledged(advanced);
    this.#recovery.acknowledged(acknowledgment);
  }

  #noteSack(options: TcpOptions): boolean {
    return this.#recovery.noteSack(options, this.sndUna, this.sndNxt);
  }

  #takeWindow(acknowledgment: number, window: number, sequence: number): boolean {
    const wasShut = this.window.bytes === 0;
    const changed = this.window.take(window, sequence, acknowledgment);
    if (wasShut && changed) this.rtt.progressed();
    return changed;
  }

  /**
   * Peeks new data into frames and sends them. Returns payload bytes sent, 0 when nothing can be sent now, −1 when the
   * outlet is full.
   */
  #sendNew(stream: HostStream, outlet: Outlet, receiver: Receiver, quota: number): number {
    const usable = this.#usable();
    if (usable <= 0) return 0;
    const probe = Math.min(usable, this.#size.probeDue(this.#context.turn.nowMs));
    if (probe > this.mss && !this.#recovery.recovering) {
      const sent = this.#sendProbe(stream, outlet, receiver, probe);
      if (sent !== 0) return sent;
    }
    const slotBytes = this.#slotBytes(outlet, usable);
    const wanted = Math.min(
      this.#slots,
      MAX_SLOTS,
      Math.floor(Math.min(usable, Math.max(quota, slotBytes)) / slotBytes),
    );
    const at = outlet.reserve(SEGMENT_HEADER_BYTES + slotBytes);
    if (at < 0) return -1;
    let count = 1;
    while (count < wanted && outlet.reserve(SEGMENT_HEADER_BYTES + slotBytes) >= 0) count++;
    const stride = outlet.stride(SEGMENT_HEADER_BYTES + slotBytes);
    const offset = seqDiff(this.sndNxt, this.#consumed);
    const peeked = stream.peekInto(offset, at + SEGMENT_HEADER_BYTES, slotBytes, stride, count);
    if (peeked <= 0) {
      outlet.cancel();
      this.#noteEnd(peeked);
      return 0;
    }
    if (peeked < slotBytes * count) this.readable = false;
    this.#slots =
      peeked >= slotBytes * this.#slots ? this.#slots * 2 : Math.max(FIRST_SLOTS, Math.ceil(peeked / slotBytes));
    if (this.#slots > MAX_SLOTS) this.#slots = MAX_SLOTS;
    // The end of a short answer is usually there with it: its FIN goes along.
    if (peeked < slotBytes * count && stream.endAnnounced) this.#hostEnd = 'fin';
    this.#commit(outlet, receiver, at, slotBytes, peeked);
    return peeked;
  }

  /**
   * Sends one segment longer than is known to pass, of at most `most` bytes; 0 when the host has too little for one, −1
   * when the outlet is full.
   */
  #sendProbe(stream: HostStream, outlet: Outlet, receiver: Receiver, most: number): number {
    const at = outlet.reserve(SEGMENT_HEADER_BYTES + most);
    if (at < 0) return -1;
    const offset = seqDiff(this.sndNxt, this.#consumed);
    const bytes = stream.peekInto(offset, at + SEGMENT_HEADER_BYTES, most, most, 1);
    const enough = bytes > this.mss;
    if (enough) {
      const start = this.sndNxt;
      this.#context.counters.add('tcp-path-mtu-probe');
      const segment = this.#segment(ACK, start, receiver);
      segment.frameAt = at;
      segment.textBytes = bytes;
      segment.mss = bytes;
      this.#context.output.send(outlet, this.#to, segment);
      this.sndNxt = seqAdd(start, bytes);
      this.#size.probing(bytes, start, this.sndNxt);
    }
    outlet.cancel();
    return enough ? bytes : 0;
  }

  /** Sends `bytes` of text that were peeked into the frames from `at` on, `slotBytes` into each. */
  #commit(outlet: Outlet, receiver: Receiver, at: number, slotBytes: number, bytes: number): void {
    const stride = outlet.stride(SEGMENT_HEADER_BYTES + slotBytes);
    this.#time(seqAdd(this.sndNxt, bytes));
    const fin = this.#hostEnd === 'fin' && this.inFlight + bytes < this.window.bytes;
    const segment = this.#segment(ACK, this.sndNxt, receiver);
    segment.frameAt = at;
    segment.textBytes = slotBytes;
    segment.mss = this.mss;
    for (let left = bytes; left > 0; left -= slotBytes) {
      if (left <= slotBytes) {
        segment.textBytes = left;
        segment.flags = fin ? ACK | PSH | FIN : ACK | PSH;
      }
      this.#context.output.send(outlet, this.#to, segment);
      segment.sequence = seqAdd(segment.sequence, segment.textBytes);
      segment.frameAt += stride;
    }
    this.sndNxt = seqAdd(this.sndNxt, bytes);
    outlet.cancel();
    if (fin) this.#finIsOut();
  }

  /** The number at sndNxt was our FIN. */
  #finIsOut(): void {
    this.#finSequence = this.sndNxt;
    this.sndNxt = seqAdd(this.sndNxt, 1);
  }

  /** Learns of an end or an error where nothing may be sent: the guest's window is shut, or our FIN is out. */
  #lookAtEnd(stream: HostStream, outlet: Outlet): void {
    const at = outlet.reserve(SEGMENT_HEADER_BYTES + 1);
    if (at < 0) return;
    const end = this.finSent ? this.#finSequence : this.sndNxt;
    const peeked = stream.peekInto(seqDiff(end, this.#consumed), at + SEGMENT_HEADER_BYTES, 1, 1, 1);
    outlet.cancel();
    if (peeked <= 0) this.#noteEnd(peeked);
  }

  /** A short peek with nothing, an end or an error. */
  #noteEnd(peeked: number): void {
    if (peeked !== WOULD_BLOCK) this.#hostEnd = peeked === FAILED ? 'failed' : 'fin';
    this.readable = false;
  }

  /**
   * Bytes that may be sent now. Less than a segment is held back while something is in flight, unless it is half of the
   * largest window that this guest ever had (RFC 9293 §3.8.6.2.1, sender's silly window avoidance).
   */
  #usable(): number {
    const byWindow = this.window.bytes - this.inFlight;
    const byCongestion = this.#congestion.bytes - this.#recovery.pipe(this.sndUna, this.sndNxt);
    const usable = Math.floor(Math.min(byWindow, byCongestion));
    if (usable >= this.mss || this.inFlight === 0) return usable;
    return usable >= this.window.largest >> 1 ? usable : 0;
  }

  /**
   * Payload bytes of one frame: a segment, or as many whole segments as one super-segment carries and the guest allows.
   */
  #slotBytes(outlet: Outlet, usable: number): number {
    if (usable < this.mss || !outlet.abilities.tcpSegmentation) return Math.min(this.mss, usable);
    const most = Math.min(IPV4_MAX_BYTES - PACKET_HEADER_BYTES, usable);
    return most - (most % this.mss);
  }

  #retransmit(stream: HostStream, outlet: Outlet, receiver: Receiver): PumpResult {
    while (this.#recovery.findHole(this.sndUna)) {
      const { holeStart, holeBytes } = this.#recovery;
      const pipe = this.#recovery.pipe(this.sndUna, this.sndNxt);
      if (!this.#recovery.urgent && pipe > 0 && pipe + holeBytes > this.#congestion.bytes) return 'idle';
      this.#context.counters.add('tcp-retransmitted');
      if (holeStart === this.#finSequence) {
        if (!this.#control(FIN | ACK, holeStart, receiver)) return 'outlet-full';
        this.#recovery.retransmitted(1);
        continue;
      }
      const sent = this.#sendAgain(stream, outlet, receiver, holeStart, holeBytes);
      if (sent < 0) return 'outlet-full';
      if (sent === 0) return 'reset';
      this.#recovery.retransmitted(sent);
    }
    return 'idle';
  }

  /**
   * Sends one segment again from the host's queue. Returns its bytes; −1: outlet full; 0: the queue lost what it held
   * (never seen; ends the flow).
   */
  #sendAgain(stream: HostStream, outlet: Outlet, receiver: Receiver, sequence: number, length: number): number {
    const toFin = this.finSent ? seqDiff(this.#finSequence, sequence) : length;
    const wanted = Math.min(length, toFin, this.mss);
    const at = outlet.reserve(SEGMENT_HEADER_BYTES + wanted);
    if (at < 0) return -1;
    const offset = seqDiff(sequence, this.#consumed);
    const peeked = stream.peekInto(offset, at + SEGMENT_HEADER_BYTES, wanted, wanted, 1);
    if (peeked <= 0) {
      outlet.cancel();
      this.#context.counters.add('tcp-retransmission-impossible');
      return 0;
    }
    const segment = this.#segment(ACK | PSH, sequence, receiver);
    segment.frameAt = at;
    segment.textBytes = peeked;
    segment.mss = this.mss;
    this.#context.output.send(outlet, this.#to, segment);
    outlet.cancel();
    this.rtt.sentAgain();
    return peeked;
  }

  #sendFin(receiver: Receiver): PumpResult {
    if (!this.#control(FIN | ACK, this.sndNxt, receiver)) return 'outlet-full';
    this.#finIsOut();
    this.#time(this.sndNxt);
    return 'idle';
  }

  #control(flags: number, sequence: number, receiver: Receiver): boolean {
    return this.#context.output.control(this.#to, this.#segment(flags, sequence, receiver));
  }

  /** The record of the next segment, which acknowledges what has come. */
  #segment(flags: number, sequence: number, receiver: Receiver): OutgoingSegment {
    const segment = this.#context.output.begin(flags);
    segment.sequence = sequence;
    segment.acknowledgment = receiver.rcvNxt;
    segment.window = receiver.acknowledge(false);
    return segment;
  }

  /** Times one segment at a time, none while something is sent again. */
  #time(until: number): void {
    if (!this.#recovery.recovering) this.rtt.sent(until, this.#context.turn.nowMs);
  }
}
