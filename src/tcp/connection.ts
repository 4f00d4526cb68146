import { FAILED, type HostErrorCode, type HostStream, type HostStreamHandler, type IcmpCause } from '../env/host.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { OutletWaiter } from '../link/outlet.ts';
import type { Port } from '../link/port.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Timer } from '../turn/timers.ts';
import { seqAdd, seqDiff, seqGt } from '../wire/seqnum.ts';
import { ACK, FIN, RST, SYN, type TcpHeader } from '../wire/tcp.ts';
import { TcpOptions } from '../wire/tcp-options.ts';
import type { TcpContext } from './context.ts';
import type { FlowOpener, OpenFailure } from './flow-opener.ts';
import { AWAITED_IDLE_MS, GuestTimer } from './guest-timer.ts';
import { Handshake } from './handshake.ts';
import { type DrainEnding, HostDrain } from './host-drain.ts';
import type { Receiver } from './receiver.ts';
import type { SegmentAddress } from './segment-output.ts';
import type { Sender } from './sender.ts';
import { afterFins, isOpening, isOver, next, type TcpEvent, type TcpState } from './state.ts';

/** How a connection tells the table that owns it. */
export interface ConnectionOwner {
  /** The dial failed: another one that takes its place, or undefined when that was all. */
  redialed(connection: TcpConnection, error: HostErrorCode): HostStream | undefined;
  /** The dial ended, with an error code unless it succeeded, and what ICMP said. */
  dialed(connection: TcpConnection, error: HostErrorCode | undefined, cause?: IcmpCause): void;
  /** The guest's ports are free again; the connection may live on to drain. `timeWait`: we closed first. */
  detached(connection: TcpConnection, timeWait: boolean): void;
  /** Nothing is left of it. */
  closed(connection: TcpConnection): void;
  /** The guest has (not) answered our SYN or SYN-ACK: it waits for the connection, or seems to be gone. */
  answered(connection: TcpConnection, isAnswered: boolean): void;
  /** A challenge ACK may be sent now (RFC 5961 §7: they are limited). */
  challengeAllowed(connection: TcpConnection): boolean;
}

/** An ACK waits this long for data or another segment to go with (RFC 9293 §3.8.6.3 allows 500 ms). */
const DELAYED_ACK_MS = 8;
const NO_OPTIONS = new TcpOptions();

/**
 * One TCP connection between a guest and the stack, joined to one host stream.
 *
 * Its states are a table (state.ts). The numbers of each direction (Receiver, Sender), the SYNs (Handshake), the
 * waiting (GuestTimer) and what drains (HostDrain) live elsewhere: what is left is who hears what, in the order of RFC
 * 9293 §3.10.7.4, and how it ends.
 *
 * Within a turn: segments only change state (`segment`), `commit` hands text to the host, `pump` sends what the host
 * has, `acknowledge` sends an ACK that no data carried. Endings: the first host error decides. What the host still
 * holds is delivered, then the guest gets a RST at exactly sndNxt. A guest's RST is one for the host, behind what was
 * acknowledged to the guest.
 */
export class TcpConnection implements HostStreamHandler, OutletWaiter, SegmentAddress {
  readonly neighbor: Neighbor;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** DSCP of what the guest sent last, with the two bits of ECN 0. */
  dscp = 0;
  /** The same of what the host's stream sends. */
  #streamDscp = 0;
  /** Where its guest was when it began: whose share of the flows it takes. */
  readonly openedBehind: Port;
  /** The host side opened it. */
  openedByHost = false;
  #state: TcpState = 'CLOSED';
  receiver: Receiver | undefined;
  sender: Sender | undefined;
  readonly #context: TcpContext;
  readonly #owner: ConnectionOwner;
  readonly #handshake: Handshake;
  #stream: HostStream | undefined;
  /** Of a connection that the host side opened, until it is over. */
  #opener: FlowOpener | undefined;
  /** Our SYN or SYN-ACK is to be sent. */
  #synDue = false;
  #hostShut = false;
  /** The RST that ended it found the outlet full. */
  #resetDue = false;
  /** While DRAINING: whom the stream belongs to. */
  #drain: HostDrain | undefined;
  readonly #timer: GuestTimer;
  readonly #ackTimer: Timer;
  readonly #commitWork: Work;
  readonly #pumpWork: FairWork;
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
    this.openedBehind = neighbor.port;
    this.guestPort = guestPort;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.#handshake = new Handshake(context, this, iss);
    this.#timer = new GuestTimer(context.turn.timers, context.turn.nowMs, () => this.#timeout());
    this.#ackTimer = new Timer(() => {
      if (this.receiver?.ackDue) this.#owe();
    });
    this.#commitWork = { queued: false, work: () => this.#commit() };
    this.#pumpWork = { queued: false, lane: neighbor.port, work: () => this.#pump() };
    this.#ackWork = { queued: false, work: () => this.#acknowledge() };
  }

  /**
   * The guest's segments bear another DSCP: what goes to the host does too (RFC 2474). It is set with the turn's
   * commit, since a guest may change it with each segment and each change costs a system call.
   */
  marked(dscp: number): void {
    this.dscp = dscp;
    this.#context.turn.commits.add(this.#commitWork);
  }

  get state(): TcpState {
    return this.#state;
  }

  /** The guest's SYN: kept while the host connects. */
  heldSyn(header: TcpHeader, options: TcpOptions): void {
    this.#enter('syn-received');
    this.#takeSyn(header, options);
  }

  /** The guest's first sequence number; a SYN with another one is a new attempt. */
  get irs(): number {
    return this.#handshake.irs;
  }

  /** When the guest was last heard here: a turn's time. */
  get heardMs(): number {
    return this.#timer.heardMs;
  }

  /** The host stream of a held SYN, once the dial has begun. */
  dialing(stream: HostStream): void {
    this.#stream = stream;
    this.#streamDscp = this.dscp;
  }

  /**
   * Opens a connection to the guest for a host stream that is already connected (RFC 9293 §3.10.1, active); without one
   * it is only seen whether the guest accepts: its SYN-ACK is answered by a RST, so no program of the guest hears of
   * it.
   */
  open(stream: HostStream | undefined, opener?: FlowOpener): void {
    this.#stream = stream;
    this.#opener = opener;
    this.openedByHost = true;
    this.#timer.idleMs = AWAITED_IDLE_MS;
    this.#enter('opened');
    this.#synDue = true;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  // ── what the host says ──

  connected(): void {
    this.#owner.dialed(this, undefined);
    if (!this.#enter('host-connected')) return;
    this.#synDue = true;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  failed(code: HostErrorCode, cause?: IcmpCause): void {
    this.#stream = this.#owner.redialed(this, code);
    if (this.#stream !== undefined) return;
    this.#end();
    this.#owner.dialed(this, code, cause);
  }

  readable(): void {
    if (this.#drain !== undefined) this.#drain.readable();
    else if (this.sender !== undefined) {
      this.sender.readable = true;
      this.#context.turn.egress.add(this.#pumpWork);
    }
  }

  writable(): void {
    const { receiver } = this;
    if (this.#drain !== undefined) this.#drain.writable();
    else if (receiver !== undefined) {
      receiver.hostWritable();
      if (!receiver.delivered || receiver.finReached) this.#context.turn.commits.add(this.#commitWork);
    }
  }

  outletWritable(): void {
    if (this.receiver?.ackDue || this.receiver?.ackNow) this.#owe();
    this.#context.turn.egress.add(this.#pumpWork);
  }

  // ── what the guest says: RFC 9293 §3.10.7.4, in its order ──

  /**
   * Whether the segments of a train, `bytes` of text in all, may be taken as one: nothing but the next text of an open
   * flow.
   */
  takesTrain(header: TcpHeader, bytes: number): boolean {
    const receiver = this.receiver;
    if (receiver === undefined || this.#state !== 'ESTABLISHED') return false;
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
    if (this.#state === 'SYN-HELD') {
      this.#whileHeld(header);
      return;
    }
    if (this.#state === 'SYN-SENT') {
      this.#whileOpening(header, options);
      return;
    }
    const receiver = this.receiver;
    const sender = this.sender;
    if (receiver === undefined || sender === undefined || this.#state === 'DRAINING') return;
    const { egress, nowMs } = this.#context.turn;
    if (this.#timer.heard(nowMs)) egress.add(this.#pumpWork);
    const flags = header.flags;
    if (this.#state === 'SYN-RECEIVED' && (flags & (SYN | ACK | RST)) === SYN && header.sequence === this.irs) {
      // The guest did not hear our SYN-ACK.
      this.#synDue = true;
      this.#context.turn.egress.add(this.#pumpWork);
      return;
    }
    if ((flags & RST) !== 0) {
      // RFC 5961 §3.2: only an exact match resets; elsewhere in the window it is challenged.
      if (receiver.isNext(header.sequence)) this.#guestReset();
      else if (receiver.acceptable(header.sequence, length)) this.#challenge();
      return;
    }
    const span = length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
    if (!receiver.acceptable(header.sequence, span)) {
      this.#owe();
      return;
    }
    if ((flags & SYN) !== 0) {
      // RFC 5961 §4.2
      this.#challenge();
      return;
    }
    if ((flags & ACK) === 0) return;
    if (!this.#takeAcknowledgment(sender, header, options, length)) return;
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
    if (this.#state === 'CLOSED') return;
    if (this.#state === 'SYN-HELD') {
      this.#abandonDial();
      return;
    }
    if (this.#state === 'SYN-SENT') {
      this.#failOpening('aborted');
      return;
    }
    if (this.#drain !== undefined) {
      this.#drain.abort();
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

  /**
   * The guest had left the link and is there again: what it missed goes out now, whatever the timers waited for. It may
   * be another machine, or the same after a reboot, that knows nothing of an idle flow: it is asked, and answers by a
   * RST.
   */
  guestReturned(): void {
    const { sender } = this;
    if (this.#state === 'SYN-HELD' || this.#isOver) return;
    if (isOpening(this.#state)) this.#synDue = true;
    else if (sender !== undefined && sender.inFlight > 0) {
      sender.rtt.progressed();
      sender.timedOut();
      this.#timer.restart();
    } else this.ask();
    this.outletWritable();
  }

  /**
   * The guest may have started anew, and know nothing of a flow that is idle: it is asked at once, and while it stays
   * silent as at the end of the idle time. What is in flight asks for itself.
   */
  ask(): void {
    const { sender, receiver } = this;
    if (sender === undefined || receiver === undefined || this.#isOver) return;
    if (this.#state === 'SYN-HELD' || this.#state === 'SYN-RECEIVED' || sender.inFlight > 0) return;
    sender.probe(receiver);
    if (this.#timer.asked()) this.#rearm();
  }

  /** The guest's firewall says no to the segment that begins at `sequence`. */
  unreachable(sequence: number): void {
    if (this.#state !== 'SYN-SENT' || sequence !== this.#handshake.iss) return;
    this.#context.counters.add('tcp-refused-by-guest');
    this.#failOpening('refused');
  }

  /**
   * A router behind the guest's port could not pass on the packet of `bytes` that begins at `sequence`: its next link
   * carries `mtu`. True when shorter segments go out now; false when it cannot be true (RFC 5927 §4, §7).
   */
  tooLong(sequence: number, bytes: number, mtu: number): boolean {
    if (this.#isOver || bytes <= mtu || !this.sender?.tooLong(sequence, mtu)) return false;
    this.#context.turn.egress.add(this.#pumpWork);
    return true;
  }

  // ── before the handshake is over ──

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

  /** Makes the two halves from what the guest's SYN or SYN-ACK offers. */
  #takeSyn(header: TcpHeader, options: TcpOptions): void {
    this.#handshake.take(header, options);
    this.receiver = this.#handshake.receiver();
    this.sender = this.#handshake.sender(header.window);
  }

  /** Our SYN, or the SYN-ACK of a guest's. */
  #sendSyn(): void {
    this.#synDue = !this.#handshake.send(this.receiver);
    if (this.#synDue) this.#awaitOutlet();
    this.#timer.armSyn();
  }

  /** RFC 9293 §3.10.7.3, SYN-SENT, without simultaneous open. */
  #whileOpening(header: TcpHeader, options: TcpOptions | undefined): void {
    const flags = header.flags;
    const expected = seqAdd(this.#handshake.iss, 1);
    if ((flags & ACK) === 0) return;
    if (header.acknowledgment !== expected) {
      if ((flags & RST) === 0) this.#context.output.control(this, RST, header.acknowledgment, 0, 0, undefined);
      return;
    }
    if ((flags & RST) !== 0) {
      this.#context.counters.add('tcp-refused-by-guest');
      this.#failOpening('refused');
      return;
    }
    if ((flags & SYN) === 0) return;
    if (this.#stream === undefined) {
      this.#context.output.control(this, RST, expected, 0, 0, undefined);
      const opener = this.#opener;
      this.#opener = undefined;
      this.#end();
      opener?.established();
      return;
    }
    this.#takeSyn(header, options ?? NO_OPTIONS);
    this.#establish();
    this.#owe();
    this.#opener?.established();
  }

  /** Without an opener the stream is ours alone: its peer is told by a reset. */
  #failOpening(reason: OpenFailure): void {
    const opener = this.#opener;
    this.#opener = undefined;
    if (opener === undefined) this.#abortHost();
    this.#stream = undefined;
    this.#end();
    opener?.notOpened(reason);
  }

  #establish(): void {
    this.#enter('syn-acknowledged');
    this.#timer.established();
    this.#owner.answered(this, true);
    this.sender?.rtt.progressed();
    this.#context.turn.egress.add(this.#pumpWork);
    this.#rearm();
  }

  // ── segment arrives ──

  #takeAcknowledgment(sender: Sender, header: TcpHeader, options: TcpOptions | undefined, length: number): boolean {
    const acknowledgment = header.acknowledgment;
    const scaled = this.#handshake.windowOf(header);
    if (this.#state === 'SYN-RECEIVED') {
      if (acknowledgment !== sender.sndNxt) {
        const { output } = this.#context;
        output.control(this, RST, acknowledgment, 0, 0, undefined);
        return false;
      }
      this.#establish();
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
    this.#drainHost('reset');
  }

  // ── the phases of a turn ──

  #commit(): void {
    const receiver = this.receiver;
    const stream = this.#stream;
    if (stream !== undefined && this.dscp !== this.#streamDscp) {
      this.#streamDscp = this.dscp;
      stream.setDscp(this.dscp);
    }
    if (receiver === undefined || stream === undefined) return;
    if (receiver.commit(stream) === FAILED) this.#hostWriteFailed();
    else if (receiver.finReached && receiver.delivered && !this.#hostShut) {
      this.#hostShut = true;
      // Where both directions are over, closing the stream says it.
      if (this.sender?.finAcknowledged !== true) stream.shutdownWrite();
    }
    this.#follow();
    if (this.#isOver) return;
    if (receiver.ackNow || receiver.windowUpdateDue) this.#owe();
    else if (receiver.ackDue && !this.#ackTimer.armed) {
      this.#context.turn.timers.arm(this.#ackTimer, DELAYED_ACK_MS);
    }
  }

  #pump(): void {
    if (this.#resetDue) {
      this.#resetGuest();
      return;
    }
    if (isOpening(this.#state)) {
      if (this.#synDue) this.#sendSyn();
      return;
    }
    const { sender, receiver } = this;
    const stream = this.#stream;
    if (sender === undefined || receiver === undefined || stream === undefined) return;
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
    if (!this.#isOver) this.#rearm();
  }

  #owe(): void {
    this.#context.turn.acknowledgements.add(this.#ackWork);
    if (this.receiver !== undefined) this.receiver.ackNow = true;
  }

  #acknowledge(): void {
    const { sender, receiver } = this;
    if (sender === undefined || receiver === undefined || this.#isOver || !receiver.ackNow) return;
    const held = this.#handshake.sackPermitted && receiver.held.count > 0 ? receiver.held : undefined;
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

  get #isOver(): boolean {
    return isOver(this.#state);
  }

  /** Goes on to the state that follows from `event`; false when there is none. */
  #enter(event: TcpEvent): boolean {
    const after = next(this.#state, event);
    if (after === 'no-transition') return false;
    this.#state = after;
    return true;
  }

  #follow(): void {
    const { finReached } = this.receiver as Receiver;
    const { finSent, finAcknowledged } = this.sender as Sender;
    const after = afterFins(this.#state, finReached, finSent, finAcknowledged);
    if (after === this.#state) return;
    if (after === 'TIME-WAIT' || after === 'CLOSED') {
      this.#bothEnded(after === 'TIME-WAIT');
      return;
    }
    this.#state = after;
    this.#timer.idleMs = AWAITED_IDLE_MS;
    this.#rearm();
  }

  #bothEnded(timeWait: boolean): void {
    const receiver = this.receiver as Receiver;
    if (receiver.refused) {
      // Its FIN is not acknowledged as if all before it had arrived.
      this.#context.counters.add('tcp-reset-by-host');
      this.abort();
      return;
    }
    // The last word to the guest: its FIN is acknowledged.
    if (receiver.ackNow || receiver.ackDue) {
      this.#owe();
      this.#acknowledge();
    }
    if (!receiver.delivered || !this.#hostShut) {
      this.#drainHost('close', timeWait);
      return;
    }
    const stream = this.#stream as HostStream;
    (this.sender as Sender).finish(stream);
    stream.close();
    this.#stream = undefined;
    this.#end(timeWait);
  }

  /** The guest is through; what was acknowledged to it still goes out. */
  #drainHost(ending: DrainEnding, timeWait = false): void {
    const stream = this.#stream as HostStream;
    this.#stream = undefined;
    this.#enter('guest-left');
    this.#cancelTimers();
    this.#owner.detached(this, timeWait);
    // What the guest acknowledged last is none of what the host sends from now on.
    this.sender?.finish(stream);
    const receiver = this.receiver as Receiver;
    this.#drain = new HostDrain(this.#context, stream, receiver, this.#hostShut, ending, () => this.#end());
  }

  #hostWriteFailed(): void {
    this.sender?.hostFailed();
    this.#context.turn.egress.add(this.#pumpWork);
  }

  #abortHost(): void {
    this.#stream?.abort();
    this.#stream = undefined;
  }

  #resetGuest(): void {
    const { sender, receiver } = this;
    if (sender === undefined || receiver === undefined) return;
    const sent = this.#context.output.control(this, RST | ACK, sender.sndNxt, receiver.rcvNxt, 0, undefined);
    // A guest that only waits for text would never hear of it otherwise. One that has not taken part in the handshake
    // need not: those that wait here are bounded by what guests have established.
    this.#resetDue = !sent && this.#state !== 'SYN-RECEIVED';
    if (this.#resetDue) this.#awaitOutlet();
  }

  #end(timeWait = false): void {
    const detached = this.#state === 'DRAINING';
    if (!this.#enter('ended')) return;
    this.#cancelTimers();
    this.receiver?.destroy();
    if (!detached) this.#owner.detached(this, timeWait);
    this.#owner.closed(this);
    this.#opener?.ended();
    this.#opener = undefined;
  }

  #challenge(): void {
    if (!this.#owner.challengeAllowed(this)) return;
    this.#context.counters.add('tcp-challenge-ack');
    this.#owe();
  }

  // ── timers ──

  #cancelTimers(): void {
    this.#timer.cancel();
    this.#context.turn.timers.cancel(this.#ackTimer);
  }

  #rearm(): void {
    const sender = this.sender as Sender;
    this.#timer.rearm(sender, this.#isStalled(sender));
  }

  /**
   * Something waits for the guest and cannot go: its window is shut, or the guest is off the link (and may come back).
   */
  #isStalled(sender: Sender): boolean {
    return sender.stalledByWindow || (!this.neighbor.port.attached && sender.inFlight === 0 && sender.readable);
  }

  #timeout(): void {
    if (isOpening(this.#state)) {
      this.#synTimeout();
      return;
    }
    const sender = this.sender;
    const receiver = this.receiver;
    if (sender === undefined || receiver === undefined) return;
    if (this.#timer.isTooLateForReset(sender) && this.#stream?.error !== undefined) {
      this.#context.counters.add('tcp-reset-by-host');
      this.abort();
      return;
    }
    const stalled = this.#isStalled(sender);
    const expiry = this.#timer.expiry(sender, stalled);
    if (expiry === 'gone') {
      this.guestGone();
      return;
    }
    if (expiry === 'retransmit') sender.timedOut();
    else {
      if (stalled) sender.rtt.timedOut();
      if (this.neighbor.port.attached) sender.probe(receiver);
    }
    this.#context.turn.egress.add(this.#pumpWork);
    this.#rearm();
  }

  #synTimeout(): void {
    if (!this.#timer.synExpired()) {
      this.#sendSyn();
      this.#owner.answered(this, false);
      if (this.#state === 'SYN-SENT') this.#opener?.unanswered();
      return;
    }
    this.#context.counters.add('tcp-handshake-abandoned');
    if (this.#state === 'SYN-SENT') this.#failOpening('timeout');
    else this.abort();
  }
}
