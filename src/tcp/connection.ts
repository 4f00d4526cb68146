import { FAILED, type HostErrorCode, type HostStream, type HostStreamHandler, type IcmpCause } from '../env/host.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { OutletWaiter } from '../link/outlet.ts';
import type { Port } from '../link/port.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Work } from '../turn/ready-queue.ts';
import { seqAdd } from '../wire/seqnum.ts';
import { ACK, FIN, RST, type TcpHeader } from '../wire/tcp.ts';
import { TcpOptions } from '../wire/tcp-options.ts';
import { Acknowledgments } from './acknowledgments.ts';
import { judge, judgeAnswer } from './arrival.ts';
import type { ArrivedSegment } from './arrived-segment.ts';
import type { TcpContext } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import type { FlowOpener, OpenFailure } from './flow-opener.ts';
import { AWAITED_IDLE_MS, GuestTimer } from './guest-timer.ts';
import { Handshake } from './handshake.ts';
import { type DrainEnding, HostDrain } from './host-drain.ts';
import type { Receiver } from './receiver.ts';
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
export class TcpConnection implements HostStreamHandler, OutletWaiter, FlowEnds {
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
  #acks: Acknowledgments | undefined;
  #stream: HostStream | undefined;
  /** Of a connection that the host side opened, until it is over. */
  #opener: FlowOpener | undefined;
  /** Our SYN or SYN-ACK is to be sent. */
  #synDue = false;
  #hostShut = false;
  /** The RST that ended it found the outlet full. */
  #resetDue = false;
  /** While DRAINING: the owner of the stream. */
  #drain: HostDrain | undefined;
  readonly #timer: GuestTimer;
  readonly #commitWork: Work;
  readonly #pumpWork: FairWork;

  /** Follow with `heldSyn` (the guest opens) or `open` (the host side opens). */
  constructor(context: TcpContext, owner: ConnectionOwner, ends: FlowEnds, iss: number) {
    this.#context = context;
    this.#owner = owner;
    this.neighbor = ends.neighbor;
    this.openedBehind = ends.neighbor.port;
    this.guestPort = ends.guestPort;
    this.remoteAddress = ends.remoteAddress;
    this.remotePort = ends.remotePort;
    this.#handshake = new Handshake(context, this, iss);
    this.#timer = new GuestTimer(context.turn.timers, context.turn.nowMs, () => this.#timeout());
    this.#commitWork = { queued: false, work: () => this.#commit() };
    this.#pumpWork = { queued: false, lane: ends.neighbor.port, work: () => this.#pump() };
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
    this.#acks?.outletWritable();
    this.#context.turn.egress.add(this.#pumpWork);
  }

  // ── what the guest says: RFC 9293 §3.10.7.4, in its order ──

  /** Whether the segments of a train may be taken as one: nothing but the next text of an open flow. */
  takesTrain({ header, count, length }: ArrivedSegment): boolean {
    const receiver = this.receiver;
    if (receiver === undefined || this.#state !== 'ESTABLISHED') return false;
    return header.sequence === receiver.rcvNxt && count * length <= receiver.window;
  }

  /** A segment for this connection. One that stands for several: see `takesTrain`. */
  segment(segment: ArrivedSegment): void {
    const { header, options, length } = segment;
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
    const arrival = judge(this.#state, segment, this.irs, receiver, sender);
    switch (arrival) {
      case 'ignore':
        return;
      case 'repeat-syn':
        this.#synDue = true;
        egress.add(this.#pumpWork);
        return;
      case 'reset':
        this.#guestReset();
        return;
      case 'challenge':
        this.#challenge();
        return;
      case 'tell':
        this.#acks?.owe();
        return;
      case 'refuse':
        this.#context.output.reset(this, header.acknowledgment);
        return;
      case 'establish':
        this.#establish();
        break;
      case 'take':
      case 'take-text':
    }
    const isBare = length === 0 && (header.flags & FIN) === 0;
    if (arrival !== 'take-text') this.#takeAcknowledgment(sender, segment, isBare);
    if (isBare) return;
    this.#takeText(receiver, segment);
    this.#context.turn.commits.add(this.#commitWork);
  }

  #takeAcknowledgment(sender: Sender, { header, options }: ArrivedSegment, isBare: boolean): void {
    const window = this.#handshake.windowOf(header);
    if (!sender.acknowledge(header.acknowledgment, window, header.sequence, isBare, options)) return;
    this.#context.turn.egress.add(this.#pumpWork);
  }

  #takeText(receiver: Receiver, { header, at, length, count, stride }: ArrivedSegment): void {
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
   * The guest may have restarted, and know nothing of a flow that is idle: it is asked at once, and while it stays
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
    this.#refusedByGuest();
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
    const { sackPermitted } = this.#handshake;
    this.#acks = new Acknowledgments(this.#context, this, this.sender, this.receiver, sackPermitted);
  }

  /** Our SYN, or the SYN-ACK of a guest's. */
  #sendSyn(): void {
    this.#synDue = !this.#handshake.send(this.receiver);
    if (this.#synDue) this.#context.output.awaitRoom(this, this);
    this.#timer.armSyn();
  }

  #whileOpening(header: TcpHeader, options: TcpOptions | undefined): void {
    switch (judgeAnswer(header, this.#handshake.iss)) {
      case 'ignore':
        return;
      case 'refuse':
        this.#context.output.reset(this, header.acknowledgment);
        return;
      case 'reset':
        this.#refusedByGuest();
        return;
      case 'accept':
        if (this.#stream === undefined) this.#endProbe(header);
        else this.#accept(header, options ?? NO_OPTIONS);
    }
  }

  #refusedByGuest(): void {
    this.#context.counters.add('tcp-refused-by-guest');
    this.#failOpening('refused');
  }

  /** It was only to be seen whether the guest accepts. */
  #endProbe(header: TcpHeader): void {
    this.#context.output.reset(this, header.acknowledgment);
    const opener = this.#opener;
    this.#opener = undefined;
    this.#end();
    opener?.established();
  }

  #accept(header: TcpHeader, options: TcpOptions): void {
    this.#takeSyn(header, options);
    this.#establish();
    this.#acks?.owe();
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
    this.#acks?.committed();
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
      this.#acks?.owe();
      this.#acks?.send();
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
    const left = { stream, receiver: this.receiver as Receiver, isShut: this.#hostShut, ending };
    this.#drain = new HostDrain(this.#context, left, () => this.#end());
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
    const { output } = this.#context;
    const segment = output.begin(RST | ACK);
    segment.sequence = sender.sndNxt;
    segment.acknowledgment = receiver.rcvNxt;
    const sent = output.control(this, segment);
    // A guest that only waits for text would never hear of it otherwise. One that has not taken part in the handshake
    // need not: those that wait here are bounded by what guests have established.
    this.#resetDue = !sent && this.#state !== 'SYN-RECEIVED';
    if (this.#resetDue) this.#context.output.awaitRoom(this, this);
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
    this.#acks?.owe();
  }

  // ── timers ──

  #cancelTimers(): void {
    this.#timer.cancel();
    this.#acks?.stop();
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
