import { FAILED, type HostErrorCode, type HostStream, type HostStreamHandler } from '../env/host.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { OutletWaiter } from '../link/outlet.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Timer } from '../turn/timers.ts';
import { seqAdd, seqDiff, seqGt } from '../wire/seqnum.ts';
import { ACK, FIN, RST, SYN, type TcpHeader } from '../wire/tcp.ts';
import { TcpOptions } from '../wire/tcp-options.ts';
import { CHUNK_BYTES } from './chunk-pool.ts';
import { type TcpContext, WINDOW_SCALE } from './context.ts';
import { Receiver } from './receiver.ts';
import { SEGMENT_HEADER_BYTES, type SegmentAddress } from './segment-output.ts';
import { Sender } from './sender.ts';

/**
 * One TCP connection between a guest and the stack, joined to one host stream.
 *
 * States are those of RFC 9293 §3.3.2 with two of our own: SYN-HELD (the guest's SYN is kept while the host connects,
 * nothing is answered yet) and DRAINING (the guest is through with TCP, but what it sent still goes to a slow host).
 * LISTEN and TIME-WAIT live elsewhere (Tcp, TimeWaitTable): they hold no connection.
 *
 * Within a turn: segments only change state (`segment`), `commit` hands text to the host, `pump` sends what the host
 * has, `acknowledge` sends an ACK that no data carried. Endings: the first host error decides. What the host still holds is
 * delivered, then the guest gets a RST at exactly sndNxt; a guest's RST aborts the host stream.
 */
export type TcpState =
  | 'SYN-HELD'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'DRAINING'
  | 'CLOSED';

/** How a connection tells the table that owns it. */
export interface ConnectionOwner {
  /** The dial failed: another one that takes its place, or undefined when that was all. */
  redialed(connection: TcpConnection, error: HostErrorCode): HostStream | undefined;
  /** The dial ended, with an error code unless it succeeded. */
  dialed(connection: TcpConnection, error: HostErrorCode | undefined): void;
  /** The guest's ports are free again; the connection may live on to drain. `timeWait`: we closed first. */
  detached(connection: TcpConnection, timeWait: boolean): void;
  /** Nothing is left of it. */
  closed(connection: TcpConnection): void;
  /** A challenge ACK may be sent now (RFC 5961 §7: they are limited). */
  challengeAllowed(): boolean;
}

/** An ACK waits this long for data or another segment to go with (RFC 9293 §3.8.6.3 allows 500 ms). */
const DELAYED_ACK_MS = 8;
/** RFC 6298 §2.1 */
const SYN_TIMEOUT_MS = 1_000;
/** A guest's half-open handshake is given up after this many SYN-ACKs (RFC 9293 §3.8.3, R2 for SYN). */
const MAX_SYN_TIMEOUTS = 6;
/** RFC 9293 §3.8.3, R2: with the RTO's cap of 60 s about eleven minutes, so a paused VM survives. */
const MAX_TIMEOUTS = 16;
/** RFC 9293 §3.8.4: no probe before two hours without a segment; nine unanswered ones 75 s apart end it. */
const KEEPALIVE_IDLE_MS = 7_200_000;
const KEEPALIVE_INTERVAL_MS = 75_000;
const KEEPALIVE_PROBES = 9;
/** A host whose peer does not end after the guest did is let go after this (Linux's tcp_fin_timeout). */
const DRAIN_MS = 60_000;
/** RFC 9293 §3.7.1: without the option. */
const DEFAULT_MSS = 536;
/** Below this a guest makes us send mostly headers. */
const MIN_MSS = 64;
const NO_OPTIONS = new TcpOptions();

export class TcpConnection implements HostStreamHandler, OutletWaiter, SegmentAddress {
  readonly neighbor: Neighbor;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** The guest's first sequence number; a SYN with another one is a new attempt. */
  irs = 0;
  state: TcpState = 'SYN-HELD';
  receiver: Receiver | undefined;
  sender: Sender | undefined;
  readonly #context: TcpContext;
  readonly #owner: ConnectionOwner;
  readonly #iss: number;
  /** From the guest's SYN: payload bytes of a segment to it, the window scale it offered (−1 for none), whether it takes SACK. */
  #mss: number = DEFAULT_MSS;
  #guestScale = -1;
  #sackPermitted = false;
  #stream: HostStream | undefined;
  /** SYN timeouts before establishment, unanswered keepalive probes after. */
  #attempts = 0;
  /** Something came from the guest since the last timeout. */
  #heard = false;
  /** Our SYN or SYN-ACK is to be sent. */
  #synDue = false;
  #hostShut = false;
  /** sndUna when the retransmission timer was armed, −1 when it stands for something else. */
  #timedUna = -1;
  readonly #timer: Timer;
  readonly #ackTimer: Timer;
  readonly #commitWork: Work;
  readonly #pumpWork: Work;
  readonly #ackWork: Work;

  /** Follow with `heldSyn` (the guest opens) or `open` (the host side opens). */
  constructor(
    context: TcpContext,
    owner: ConnectionOwner,
    neighbor: Neighbor,
    guestPort: number,
    remoteAddress: number,
    remotePort: number,
    iss: number,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.neighbor = neighbor;
    this.guestPort = guestPort;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.#iss = iss;
    this.#timer = new Timer(() => this.#timeout());
    this.#ackTimer = new Timer(() => {
      if (this.receiver?.ackDue) this.#owe();
    });
    this.#commitWork = { queued: false, work: () => this.#commit() };
    this.#pumpWork = { queued: false, work: () => this.#pump() };
    this.#ackWork = { queued: false, work: () => this.#acknowledge() };
  }

  /** The guest's SYN: kept while the host connects. */
  heldSyn(header: TcpHeader, options: TcpOptions): void {
    this.#takeSyn(header, options);
    this.#join(header.window, header.sequence);
  }

  /** The host stream of a held SYN, once the dial has begun. */
  dialing(stream: HostStream): void {
    this.#stream = stream;
  }

  /** Opens a connection to the guest for a host stream that is already connected (RFC 9293 §3.10.1, active). */
  open(stream: HostStream): void {
    this.#stream = stream;
    this.state = 'SYN-SENT';
    this.#synDue = true;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  // ── what the host says ──

  connected(): void {
    this.#owner.dialed(this, undefined);
    this.state = 'SYN-RECEIVED';
    this.#synDue = true;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  failed(code: HostErrorCode): void {
    this.#stream = this.#owner.redialed(this, code);
    if (this.#stream !== undefined) return;
    this.#end();
    this.#owner.dialed(this, code);
  }

  readable(): void {
    if (this.sender === undefined) return;
    this.sender.readable = true;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  writable(): void {
    if (this.receiver === undefined) return;
    this.receiver.hostWritable();
    if (!this.receiver.delivered || this.receiver.finReached) this.#context.turn.commits.add(this.#commitWork);
  }

  outletWritable(): void {
    if (this.receiver?.ackDue || this.receiver?.ackNow) this.#owe();
    this.#context.turn.egress.add(this.#pumpWork);
  }

  // ── what the guest says: RFC 9293 §3.10.7.4, in its order ──

  /** Whether the segments of a train, `bytes` of text in all, may be taken as one: nothing but the next text of an open flow. */
  takesTrain(header: TcpHeader, bytes: number): boolean {
    const receiver = this.receiver;
    if (receiver === undefined || this.state !== 'ESTABLISHED') return false;
    return header.sequence === receiver.rcvNxt && bytes <= receiver.window;
  }

  /**
   * A segment for this connection; its text lies at [at, at + length). `options` only when the header has any. With
   * `count` above 1 (see `takesTrain`) it stands for that many, the texts `stride` apart.
   */
  segment(
    header: TcpHeader,
    options: TcpOptions | undefined,
    at: number,
    length: number,
    count: number,
    stride: number,
  ): void {
    if (this.state === 'SYN-HELD') {
      this.#whileHeld(header);
      return;
    }
    if (this.state === 'SYN-SENT') {
      this.#whileOpening(header, options);
      return;
    }
    const receiver = this.receiver;
    const sender = this.sender;
    if (receiver === undefined || sender === undefined || this.state === 'DRAINING') return;
    if (this.#attempts > 0) {
      // An answer to a probe: the timer goes back to its long interval.
      this.#attempts = 0;
      this.#context.turn.egress.add(this.#pumpWork);
    }
    this.#heard = true;
    const flags = header.flags;
    if (this.state === 'SYN-RECEIVED' && (flags & (SYN | ACK | RST)) === SYN && header.sequence === this.irs) {
      // The guest did not hear our SYN-ACK.
      this.#synDue = true;
      this.#context.turn.egress.add(this.#pumpWork);
      return;
    }
    const span = length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
    if (!receiver.acceptable(header.sequence, span)) {
      if ((flags & RST) === 0) this.#owe();
      return;
    }
    if ((flags & RST) !== 0) {
      // RFC 5961 §3.2: only an exact match resets; elsewhere in the window it is challenged.
      if (header.sequence === receiver.rcvNxt) this.#guestReset();
      else this.#challenge();
      return;
    }
    if ((flags & SYN) !== 0) {
      // RFC 5961 §4.2
      this.#challenge();
      return;
    }
    if ((flags & ACK) === 0) return;
    if (!this.#takeAcknowledgment(receiver, sender, header, options, length)) return;
    if (length > 0 || (flags & FIN) !== 0) {
      this.#takeText(receiver, header, at, length, count, stride);
      this.#context.turn.commits.add(this.#commitWork);
    }
  }

  #takeText(receiver: Receiver, header: TcpHeader, at: number, length: number, count: number, stride: number): void {
    if (count === 1) {
      receiver.receive(header.sequence, at, length, (header.flags & FIN) !== 0);
      return;
    }
    if (receiver.receiveTrain(header.sequence, at, length, count, stride)) return;
    for (let i = 0; i < count; i++) {
      receiver.receive(seqAdd(header.sequence, i * length), at + i * stride, length, false);
    }
  }

  /** Ends both sides at once: the guest gets a RST, the host's peer too. */
  abort(): void {
    if (this.state === 'CLOSED') return;
    if (this.state === 'SYN-HELD') {
      this.#abandonDial();
      return;
    }
    this.#resetGuest();
    this.#abortHost();
    this.#end();
  }

  /** The guest no longer answers or left for good: the host's peer is told by a reset. */
  guestGone(): void {
    this.#context.counters.add('tcp-guest-gone');
    this.abort();
  }

  /** The guest had left the link and is there again: what it missed goes out now, whatever the timers waited for. */
  guestReturned(): void {
    const { sender } = this;
    if (this.state === 'SYN-HELD' || this.#isClosed) return;
    if (this.state === 'SYN-RECEIVED' || this.state === 'SYN-SENT') this.#synDue = true;
    else if (sender !== undefined && sender.inFlight > 0) {
      sender.rtt.progressed();
      sender.timedOut();
      this.#timedUna = -1;
    }
    this.outletWritable();
  }

  // ── before the handshake is over ──

  get #ourMss(): number {
    return this.neighbor.port.outlet.mtu - (SEGMENT_HEADER_BYTES - 14);
  }

  #whileHeld(header: TcpHeader): void {
    // A repeated SYN never dials twice. The guest gives up with a RST of the number after its SYN.
    if ((header.flags & RST) !== 0 && header.sequence === seqAdd(this.irs, 1)) this.#abandonDial();
  }

  #abandonDial(): void {
    this.#context.counters.add('tcp-dial-abandoned');
    this.#abortHost();
    this.#end();
    this.#owner.dialed(this, 'ECONNABORTED');
  }

  /** Notes what the guest's SYN or SYN-ACK offers. */
  #takeSyn(header: TcpHeader, options: TcpOptions): void {
    this.irs = header.sequence;
    const offered = options.mss === 0 ? DEFAULT_MSS : options.mss;
    this.#mss = Math.max(MIN_MSS, Math.min(this.#ourMss, offered));
    this.#guestScale = options.windowScale;
    this.#sackPermitted = options.sackPermitted;
  }

  /** Makes the two halves; the window of a SYN is never scaled (RFC 7323 §2.2). */
  #join(window: number, sequence: number): void {
    this.receiver = new Receiver(this.#context, seqAdd(this.irs, 1), this.#ourMss);
    this.sender = new Sender(this.#context, this, seqAdd(this.#iss, 1), this.#mss, window, sequence);
  }

  /** Our SYN, or the SYN-ACK of a guest's. */
  #sendSyn(): void {
    const { output, turn } = this.#context;
    const { receiver } = this;
    const mss = this.#ourMss;
    if (receiver === undefined) {
      this.#synDue = !output.syn(this, SYN, this.#iss, 0, 0xffff, mss, WINDOW_SCALE, true);
    } else {
      const scale = this.#guestScale >= 0 ? WINDOW_SCALE : -1;
      const window = Math.min(0xffff, receiver.window);
      const sack = this.#sackPermitted;
      this.#synDue = !output.syn(this, SYN | ACK, this.#iss, receiver.rcvNxt, window, mss, scale, sack);
    }
    if (this.#synDue) this.#awaitOutlet();
    turn.timers.arm(this.#timer, SYN_TIMEOUT_MS * 2 ** this.#attempts);
  }

  /** RFC 9293 §3.10.7.3, SYN-SENT, without simultaneous open. */
  #whileOpening(header: TcpHeader, options: TcpOptions | undefined): void {
    const flags = header.flags;
    const expected = seqAdd(this.#iss, 1);
    if ((flags & ACK) === 0) return;
    if (header.acknowledgment !== expected) {
      if ((flags & RST) === 0) this.#context.output.control(this, RST, header.acknowledgment, 0, 0, undefined);
      return;
    }
    if ((flags & RST) !== 0) {
      this.#context.counters.add('tcp-refused-by-guest');
      this.#abortHost();
      this.#end();
      return;
    }
    if ((flags & SYN) === 0) return;
    this.#takeSyn(header, options ?? NO_OPTIONS);
    this.#join(header.window, header.sequence);
    this.#establish(this.receiver as Receiver);
    this.#owe();
  }

  #establish(receiver: Receiver): void {
    this.state = 'ESTABLISHED';
    // RFC 7323 §2.2: windows are scaled once both offered it, and never in a SYN.
    if (this.#guestScale >= 0) receiver.windowScale = WINDOW_SCALE;
    this.#attempts = 0;
    this.sender?.rtt.progressed();
    this.#context.turn.egress.add(this.#pumpWork);
    this.#rearm();
  }

  // ── segment arrives ──

  #takeAcknowledgment(
    receiver: Receiver,
    sender: Sender,
    header: TcpHeader,
    options: TcpOptions | undefined,
    length: number,
  ): boolean {
    const acknowledgment = header.acknowledgment;
    const scaled = this.#guestScale > 0 ? header.window << this.#guestScale : header.window;
    if (this.state === 'SYN-RECEIVED') {
      if (acknowledgment !== sender.sndNxt) {
        const { output } = this.#context;
        output.control(this, RST, acknowledgment, 0, 0, undefined);
        return false;
      }
      this.#establish(receiver);
      sender.acknowledge(acknowledgment, scaled, header.sequence, false, undefined);
      return true;
    }
    // RFC 5961 §5.2: an acknowledgement of what was never sent, or older than any window, is challenged.
    if (seqGt(acknowledgment, sender.sndNxt) || seqDiff(sender.sndUna, acknowledgment) > sender.largestWindow) {
      this.#challenge();
      return false;
    }
    if (seqDiff(acknowledgment, sender.sndUna) < 0) return true;
    const bare = length === 0 && (header.flags & FIN) === 0;
    if (sender.acknowledge(acknowledgment, scaled, header.sequence, bare, options)) {
      this.#context.turn.egress.add(this.#pumpWork);
    }
    return true;
  }

  #guestReset(): void {
    this.#context.counters.add('tcp-reset-by-guest');
    const receiver = this.receiver as Receiver;
    const stream = this.#stream as HostStream;
    if (receiver.finReached) {
      // All that the guest sent is acknowledged: it still goes to the host, however slow that is.
      this.#drain();
      return;
    }
    receiver.commit(stream);
    this.#abortHost();
    this.#end();
  }

  // ── the phases of a turn ──

  #commit(): void {
    const receiver = this.receiver;
    const stream = this.#stream;
    if (receiver === undefined || stream === undefined) return;
    if (receiver.commit(stream) === FAILED) this.#hostWriteFailed();
    else if (receiver.finReached && receiver.delivered && !this.#hostShut) {
      this.#hostShut = true;
      stream.shutdownWrite();
    }
    if (this.state === 'DRAINING') {
      this.#drainHost();
      return;
    }
    this.#follow();
    if (this.#isClosed) return;
    if (receiver.ackNow || receiver.windowUpdateDue) this.#owe();
    else if (receiver.ackDue && !this.#ackTimer.armed) {
      this.#context.turn.timers.arm(this.#ackTimer, DELAYED_ACK_MS);
    }
  }

  #pump(): void {
    if (this.state === 'SYN-RECEIVED' || this.state === 'SYN-SENT') {
      if (this.#synDue) this.#sendSyn();
      return;
    }
    const { sender, receiver } = this;
    const stream = this.#stream;
    if (sender === undefined || receiver === undefined || stream === undefined) return;
    if (this.state === 'DRAINING') {
      this.#drainHost();
      return;
    }
    const port = this.neighbor.port;
    if (port.attached) {
      const result = sender.pump(stream, port.outlet, receiver);
      if (result === 'outlet-full') port.outlet.whenWritable(this);
      else if (result === 'more') this.#context.turn.egress.add(this.#pumpWork);
      else if (result === 'reset') {
        this.#context.counters.add('tcp-reset-by-host');
        this.abort();
        return;
      }
    }
    this.#follow();
    if (!this.#isClosed) this.#rearm();
  }

  #owe(): void {
    this.#context.turn.acknowledgements.add(this.#ackWork);
    if (this.receiver !== undefined) this.receiver.ackNow = true;
  }

  #acknowledge(): void {
    const { sender, receiver } = this;
    if (sender === undefined || receiver === undefined || this.state === 'DRAINING' || this.#isClosed) return;
    if (!receiver.ackNow) return;
    const held = this.#sackPermitted && receiver.held.count > 0 ? receiver.held : undefined;
    const window = receiver.acknowledge(true);
    if (this.#context.output.control(this, ACK, sender.sndNxt, receiver.rcvNxt, window, held)) {
      this.#context.turn.timers.cancel(this.#ackTimer);
      return;
    }
    receiver.ackNow = true;
    this.#awaitOutlet();
  }

  #awaitOutlet(): void {
    const { port } = this.neighbor;
    if (port.attached) port.outlet.whenWritable(this);
  }

  // ── endings ──

  get #isClosed(): boolean {
    return this.state === 'CLOSED';
  }

  /** The state that follows from which FINs came, went and were acknowledged (RFC 9293 §3.6). */
  #follow(): void {
    const receiver = this.receiver as Receiver;
    const sender = this.sender as Sender;
    const state = this.state;
    if (state === 'ESTABLISHED' || state === 'CLOSE-WAIT') {
      if (sender.finSent) this.state = receiver.finReached ? 'LAST-ACK' : 'FIN-WAIT-1';
      else if (receiver.finReached) this.state = 'CLOSE-WAIT';
    }
    if (this.state === 'FIN-WAIT-1' || this.state === 'FIN-WAIT-2') {
      if (receiver.finReached) this.state = 'CLOSING';
      else if (sender.finAcknowledged) this.state = 'FIN-WAIT-2';
    }
    if ((this.state === 'CLOSING' || this.state === 'LAST-ACK') && sender.finAcknowledged) this.#bothEnded();
  }

  #bothEnded(): void {
    const timeWait = this.state === 'CLOSING';
    const receiver = this.receiver as Receiver;
    // The last word to the guest: its FIN is acknowledged.
    if (receiver.ackNow || receiver.ackDue) {
      this.#owe();
      this.#acknowledge();
    }
    (this.sender as Sender).finish(this.#stream as HostStream);
    if (receiver.delivered && this.#hostShut) {
      this.#closeHost(timeWait);
      return;
    }
    this.#drain(timeWait);
  }

  /** The guest is through; what it sent still goes out. */
  #drain(timeWait = false): void {
    this.state = 'DRAINING';
    this.#cancelTimers();
    this.#owner.detached(this, timeWait);
    this.#context.turn.commits.add(this.#commitWork);
  }

  /** While draining: what the host still sends is dropped, and the stream closes when both of its directions ended. */
  #drainHost(): void {
    const stream = this.#stream;
    const { turn, pool } = this.#context;
    if (stream === undefined) return;
    const scratch = pool.take();
    if (scratch >= 0) {
      const end = this.sender?.discard(stream, scratch, CHUNK_BYTES);
      pool.give(scratch);
      if (end === 'failed') {
        this.#abortHost();
        this.#end();
        return;
      }
      if (end === 'fin' && this.#hostShut) {
        this.#closeHost();
        return;
      }
    }
    if (this.#hostShut && !this.#timer.armed) turn.timers.arm(this.#timer, DRAIN_MS);
  }

  #closeHost(timeWait = false): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#end(timeWait);
  }

  #hostWriteFailed(): void {
    if (this.state === 'DRAINING') {
      this.#abortHost();
      this.#end();
      return;
    }
    this.sender?.hostFailed();
    this.#context.turn.egress.add(this.#pumpWork);
  }

  #abortHost(): void {
    this.#stream?.abort();
    this.#stream = undefined;
  }

  #resetGuest(): void {
    const { sender, receiver } = this;
    if (sender === undefined || receiver === undefined || this.state === 'DRAINING') return;
    this.#context.output.control(this, RST | ACK, sender.sndNxt, receiver.rcvNxt, 0, undefined);
  }

  #end(timeWait = false): void {
    if (this.#isClosed) return;
    const draining = this.state === 'DRAINING';
    this.state = 'CLOSED';
    this.#cancelTimers();
    this.receiver?.destroy();
    if (!draining) this.#owner.detached(this, timeWait);
    this.#owner.closed(this);
  }

  #challenge(): void {
    if (!this.#owner.challengeAllowed()) return;
    this.#context.counters.add('tcp-challenge-ack');
    this.#owe();
  }

  // ── timers ──

  #cancelTimers(): void {
    this.#context.turn.timers.cancel(this.#timer);
    this.#context.turn.timers.cancel(this.#ackTimer);
  }

  /** One timer serves retransmission, persist and keepalive: they exclude each other. */
  #rearm(): void {
    const sender = this.sender as Sender;
    const timers = this.#context.turn.timers;
    if (sender.inFlight > 0) {
      // RFC 6298 §5.1 and §5.3: running since the oldest segment went out, restarted by progress.
      if (this.#timedUna === sender.sndUna && this.#timer.armed) return;
      this.#timedUna = sender.sndUna;
      timers.arm(this.#timer, sender.rtt.rtoMs);
      return;
    }
    this.#timedUna = -1;
    if (this.#isStalled(sender)) timers.arm(this.#timer, sender.rtt.rtoMs);
    else timers.arm(this.#timer, this.#attempts === 0 ? KEEPALIVE_IDLE_MS : KEEPALIVE_INTERVAL_MS);
  }

  /** Something waits for the guest and cannot go: its window is shut, or the guest is off the link (and may come back). */
  #isStalled(sender: Sender): boolean {
    return sender.stalledByWindow || (!this.neighbor.port.attached && sender.inFlight === 0 && sender.readable);
  }

  #timeout(): void {
    if (this.state === 'SYN-RECEIVED' || this.state === 'SYN-SENT') {
      this.#synTimeout();
      return;
    }
    if (this.state === 'DRAINING') {
      this.#closeHost();
      return;
    }
    const sender = this.sender;
    const receiver = this.receiver;
    if (sender === undefined || receiver === undefined) return;
    if (sender.inFlight > 0) {
      // A guest that shut its window over what is in flight and still answers is alive (RFC 9293 §3.8.6.1).
      if (sender.rtt.timeouts >= MAX_TIMEOUTS && !(this.#heard && sender.sndWnd === 0)) {
        this.guestGone();
        return;
      }
      this.#heard = false;
      sender.timedOut();
    } else {
      // RFC 9293 §3.8.6.1 and §3.8.4: probing a shut window or an idle guest goes on as long as it answers.
      const stalled = this.#isStalled(sender);
      if (++this.#attempts > (stalled ? MAX_TIMEOUTS : KEEPALIVE_PROBES)) {
        this.guestGone();
        return;
      }
      if (stalled) sender.rtt.timedOut();
      if (this.neighbor.port.attached) sender.probe(receiver);
    }
    this.#context.turn.egress.add(this.#pumpWork);
    this.#rearm();
  }

  #synTimeout(): void {
    if (++this.#attempts > MAX_SYN_TIMEOUTS) {
      this.#context.counters.add('tcp-handshake-abandoned');
      this.abort();
      return;
    }
    this.#sendSyn();
  }
}
