import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Host, HostErrorCode, HostStream, HostStreamHandler, IcmpCause } from '../env/host.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import type { Target } from '../flow/route.ts';
import { TupleTable } from '../flow/tuple-table.ts';
import type { IcmpErrors } from '../ip/icmp-errors.ts';
import type { Packet, ProtocolHandler } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import type { Turn } from '../turn/turn.ts';
import { pseudoHeaderSum } from '../wire/checksum.ts';
import { ICMP_COMMUNICATION_PROHIBITED, ICMP_DESTINATION_UNREACHABLE } from '../wire/icmpv4.ts';
import { PROTOCOL_TCP } from '../wire/ipv4.ts';
import { seqAdd } from '../wire/seqnum.ts';
import { ACK, FIN, parseTcp, RST, SYN, TCP_HEADER_BYTES, TcpHeader } from '../wire/tcp.ts';
import { parseTcpOptions, TcpOptions } from '../wire/tcp-options.ts';
import { AbsentGuests } from './absent-guests.ts';
import { Admission } from './admission.ts';
import type { ArrivedSegment } from './arrived-segment.ts';
import { CHUNK_BYTES, ChunkPool } from './chunk-pool.ts';
import { type ConnectionOwner, TcpConnection } from './connection.ts';
import type { TcpContext } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import type { FlowOpener, OpenedFlow, OpenRefusal } from './flow-opener.ts';
import { FlowShares } from './flow-shares.ts';
import { GatherTable } from './gather.ts';
import { GuestDials } from './guest-dials.ts';
import { GuestIcmp } from './guest-icmp.ts';
import { initialSequence } from './initial-sequence.ts';
import { RestartedGuests } from './restarted-guests.ts';
import { SegmentOutput } from './segment-output.ts';
import { endsOf, StraySegments } from './stray-segments.ts';
import { TimeWaitTable } from './time-wait.ts';
import { WindowBudget } from './window-budget.ts';

/** Pieces of in-order text that one turn may note: two receive areas of 1,500-byte frames. */
const GATHER_PIECES = 8_192;
/** Pieces of one gather write (UIO_MAXIOV). */
const WRITE_PIECES = 1_024;
/** Of a type of service; the other two bits are ECN, each side's own (RFC 3168 §6.1). */
const DSCP_MASK = 0xfc;

export interface TcpLimits {
  /** Flows at once. */
  readonly flows: number;
  /** Dials in flight at once; one guest leaves an eighth to the others. */
  readonly dialsInFlight: number;
  /** Bytes of receive window promised to all guests together, and of the chunk pool behind it. */
  readonly windowBytes: number;
}

export interface TcpOptionsOfNetwork {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly random: Random;
  readonly host: Host;
  readonly icmpErrors: IcmpErrors;
  readonly gatewayMac: number;
  readonly log?: Log;
  readonly limits: TcpLimits;
  /** Where a new flow goes (flow/route). */
  readonly decide: (destination: number, port: number) => Target;
}

/** One flow as people see it. */
export interface TcpFlowStatus {
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly openedBy: 'guest' | 'host';
  readonly state: string;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
}

/**
 * TCP towards the guests: finds the connection of a segment, opens new ones (a SYN is held while the host connects) and
 * answers what belongs to none. What the guest sees is what the real peer did: RST for refused, ICMP for unreachable,
 * nothing for a black hole.
 */
export class Tcp implements ProtocolHandler, ConnectionOwner {
  readonly #options: TcpOptionsOfNetwork;
  readonly #context: TcpContext;
  readonly #flows: TupleTable<TcpConnection>;
  readonly #draining = new Set<TcpConnection>();
  readonly #absent: AbsentGuests;
  readonly #restarted: RestartedGuests;
  readonly #timeWait: TimeWaitTable;
  readonly #strays: StraySegments;
  readonly #dials: GuestDials;
  readonly #guestIcmp: GuestIcmp;
  readonly #shares: FlowShares;
  readonly #admission: Admission;
  readonly #isnSecret: number;
  readonly #header = new TcpHeader();
  readonly #tcpOptions = new TcpOptions();
  readonly #segment = {
    header: this.#header,
    options: undefined as TcpOptions | undefined,
    at: 0,
    length: 0,
    count: 1,
    stride: 0,
  } satisfies ArrivedSegment;

  constructor(options: TcpOptionsOfNetwork) {
    const { arena, turn, counters, random, limits } = options;
    this.#options = options;
    this.#flows = new TupleTable(random.u32());
    this.#timeWait = new TimeWaitTable(turn, counters, random.u32());
    this.#isnSecret = random.u32();
    this.#shares = new FlowShares(limits.flows);
    this.#absent = new AbsentGuests(turn, (flow, isWanted) => this.#shares.setWanted(flow, isWanted));
    this.#restarted = new RestartedGuests(turn, () => this.#flows.values());
    const scratchAt = arena.allocate(CHUNK_BYTES);
    if (scratchAt < 0) throw new RangeError('the arena has no room for TCP');
    const pool = new ChunkPool(arena, limits.windowBytes);
    this.#context = {
      arena,
      turn,
      counters,
      random,
      pool,
      budget: new WindowBudget(pool.freeBytes),
      gather: new GatherTable(GATHER_PIECES),
      pieces: { at: new Int32Array(WRITE_PIECES), length: new Int32Array(WRITE_PIECES), count: 0 },
      output: new SegmentOutput(arena, counters, options.gatewayMac),
      scratchAt,
    };
    this.#strays = new StraySegments(this.#context, this.#timeWait);
    this.#guestIcmp = new GuestIcmp(this.#context, this.#flows);
    this.#dials = new GuestDials(this.#context, options.host, options.icmpErrors, limits.dialsInFlight, options.log);
    this.#admission = new Admission(this.#shares, this.#dials, counters);
  }

  /** Flows that hold a host stream. */
  get flowCount(): number {
    return this.#flows.size + this.#draining.size;
  }

  get dialsInFlight(): number {
    return this.#dials.inFlight;
  }

  get timeWaitCount(): number {
    return this.#timeWait.size;
  }

  /** Receive window promised to guests, in bytes. */
  get windowBytesReserved(): number {
    return this.#context.budget.reserved;
  }

  /** Chunk memory that holds bytes from guests, in bytes. */
  get chunkBytesUsed(): number {
    return this.#context.pool.usedBytes;
  }

  /** Pieces noted in the receive area; none between turns. */
  get gatheredPieces(): number {
    return this.#context.gather.inUse;
  }

  /** A copy of up to `limit` flows for people. */
  list(limit: number): TcpFlowStatus[] {
    const list: TcpFlowStatus[] = [];
    for (const flow of this.#flows.values()) {
      if (list.length >= limit) break;
      list.push(statusOf(flow));
    }
    for (const flow of this.#draining) if (list.length < limit) list.push(statusOf(flow));
    return list;
  }

  receive(packet: Packet): void {
    const { payloadAt, payloadEnd, frame } = packet;
    const taken = this.#receiveAt(packet, payloadAt, payloadEnd, frame.count);
    // A train that is not simply the next text of an open flow is looked at frame by frame.
    for (let i = taken; i < frame.count; i++) {
      this.#receiveAt(packet, payloadAt + i * frame.stride, payloadEnd + i * frame.stride, 1);
    }
  }

  /**
   * Opens a connection to a guest for a connected host stream. Returns the handler that the stream's events go to, or
   * undefined when that pair of ports is in use or the table is full.
   */
  open(ends: FlowEnds, stream: HostStream): HostStreamHandler | undefined {
    const flow = this.openFor(ends, stream, undefined);
    return typeof flow === 'string' ? undefined : flow;
  }

  /**
   * The same, and `opener` hears what becomes of it; a refusal for want of room is counted. Without a stream the
   * guest's port is only probed (`TcpConnection.open`).
   */
  openFor(ends: FlowEnds, stream: HostStream | undefined, opener: FlowOpener | undefined): OpenedFlow | OpenRefusal {
    const { neighbor, guestPort, remoteAddress, remotePort } = ends;
    const { address } = neighbor;
    if (this.#flows.get(address, guestPort, remoteAddress, remotePort) !== undefined) return 'in-use';
    const refusal = this.#admission.flow(neighbor.port.attachment);
    if (refusal !== undefined) return refusal;
    const iss = initialSequence(this.#isnSecret, this.#context.turn.nowMs, ends);
    const flow = new TcpConnection(this.#context, this, ends, iss);
    const before = this.#timeWait.find(address, guestPort, remoteAddress, remotePort);
    if (before >= 0) this.#timeWait.remove(before);
    this.#flows.set(address, guestPort, remoteAddress, remotePort, flow);
    this.#shares.begin(flow);
    flow.open(stream, opener);
    return flow;
  }

  /** Somebody behind a guest's port says by ICMP that a packet of ours did not arrive (`GuestIcmp.unreachable`). */
  unreachable(packet: Packet, code: number, mtu: number, at: number, end: number): void {
    this.#guestIcmp.unreachable(packet, code, mtu, at, end);
  }

  /**
   * Ends a flow with a reset on both sides, and what still drains of earlier ones between the same ports; false when
   * there is none.
   */
  kill(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): boolean {
    const doomed = [...this.#draining].filter(
      (flow) =>
        flow.neighbor.address === guestAddress &&
        flow.guestPort === guestPort &&
        flow.remoteAddress === remoteAddress &&
        flow.remotePort === remotePort,
    );
    const open = this.#flows.get(guestAddress, guestPort, remoteAddress, remotePort);
    if (open !== undefined) doomed.push(open);
    for (const flow of doomed) {
      this.#context.counters.add('tcp-killed');
      flow.abort();
    }
    return doomed.length > 0;
  }

  /** The guest behind `port` left the link. Its flows wait ten minutes for its return, then they end. */
  guestLeft(port: Port): void {
    this.#absent.left(port, this.#flows.values());
  }

  /**
   * A guest behind `port` has just been given an address, having had none: it may be another system, or the same after
   * a boot.
   */
  guestStarted(port: Port): void {
    this.#restarted.started(port);
  }

  /** Ends every flow: guests and hosts get RSTs. */
  destroy(): void {
    for (const flow of [...this.#flows.values(), ...this.#draining]) flow.abort();
  }

  // ── ConnectionOwner ──

  redialed(flow: TcpConnection, error: HostErrorCode): HostStream | undefined {
    return this.#dials.again(flow, error);
  }

  dialed(flow: TcpConnection, error: HostErrorCode | undefined, cause?: IcmpCause): void {
    this.#dials.ended(flow, error, cause);
    if (error === 'EMFILE' || error === 'ENFILE') this.#admission.shortage(flow.openedBehind.attachment);
  }

  answered(flow: TcpConnection, isAnswered: boolean): void {
    this.#shares.setWanted(flow, isAnswered);
  }

  challengeAllowed(flow: TcpConnection): boolean {
    return this.#strays.challengeAllowed(flow.neighbor.port);
  }

  detached(flow: TcpConnection, timeWait: boolean): void {
    const { neighbor, guestPort, remoteAddress, remotePort, sender, receiver } = flow;
    this.#flows.delete(neighbor.address, guestPort, remoteAddress, remotePort);
    if (flow.state === 'DRAINING') {
      this.#draining.add(flow);
      this.#shares.setWanted(flow, false);
    }
    if (!timeWait || sender === undefined || receiver === undefined) return;
    this.#timeWait.add(flow.openedBehind.attachment, flow, sender.sndNxt, receiver.rcvNxt);
  }

  closed(flow: TcpConnection): void {
    this.#draining.delete(flow);
    this.#shares.end(flow);
  }

  /**
   * Takes the segment at [at, end), and those that follow it in its train where that can be; returns how many of
   * `count` it took.
   */
  #receiveAt(packet: Packet, at: number, end: number, count: number): number {
    const { arena, counters } = this.#context;
    const header = this.#header;
    const fault = parseTcp(arena.bytes, at, end, header) ?? this.#checksumFault(packet, at, end);
    if (fault !== undefined) {
      counters.add(fault);
      return 1;
    }
    const segment = this.#segment;
    segment.options = undefined;
    const textAt = at + header.headerBytes;
    if (header.headerBytes > TCP_HEADER_BYTES) {
      segment.options = this.#tcpOptions;
      const bad = parseTcpOptions(arena.bytes, at + TCP_HEADER_BYTES, textAt, this.#tcpOptions);
      if (bad !== undefined) counters.add(bad);
    }
    const flow = this.#flows.get(packet.source, header.sourcePort, packet.destination, header.destinationPort);
    if (flow === undefined || this.#isNewAttempt(flow, header)) {
      this.#withoutFlow(packet, segment.options, end - textAt);
      return 1;
    }
    if ((packet.tos & DSCP_MASK) !== flow.dscp) flow.marked(packet.tos & DSCP_MASK);
    segment.at = textAt;
    segment.length = end - textAt;
    segment.stride = packet.frame.stride;
    segment.count = count;
    if (count > 1 && !flow.takesTrain(segment)) segment.count = 1;
    flow.segment(segment);
    return segment.count;
  }

  // ── segments without a flow ──

  /** A SYN with another number than the held one: the guest rebooted or gave up long ago. */
  #isNewAttempt(flow: TcpConnection, header: TcpHeader): boolean {
    if (flow.state !== 'SYN-HELD' || (header.flags & (SYN | ACK | RST)) !== SYN) return false;
    if (header.sequence === flow.irs) {
      this.#dials.repeated(flow);
      return false;
    }
    flow.abort();
    return true;
  }

  #withoutFlow(packet: Packet, options: TcpOptions | undefined, textBytes: number): void {
    const header = this.#header;
    const timeWait = this.#timeWait.find(packet.source, header.sourcePort, packet.destination, header.destinationPort);
    const flags = header.flags & (SYN | ACK | RST | FIN);
    if (timeWait >= 0 && !this.#strays.inTimeWait(timeWait, packet, header)) return;
    if (flags === SYN) {
      if (options === undefined) {
        this.#tcpOptions.clear();
        options = this.#tcpOptions;
      }
      this.#open(packet, header, options, timeWait);
      return;
    }
    if ((flags & RST) === 0) this.#strays.reset(packet, header, textBytes);
  }

  /** `after`: the place in TIME-WAIT of the connection that had the same ports just now, −1 for none. */
  #open(packet: Packet, header: TcpHeader, options: TcpOptions, after: number): void {
    const { counters, random } = this.#context;
    const target = this.#options.decide(packet.destination, header.destinationPort);
    if (target.kind === 'refuse' || target.kind === 'prohibit' || target.kind === 'drop') {
      counters.add(target.reason);
      if (target.kind === 'refuse') this.#strays.reset(packet, header, 0);
      if (target.kind === 'prohibit') {
        this.#options.icmpErrors.about(packet, ICMP_DESTINATION_UNREACHABLE, ICMP_COMMUNICATION_PROHIBITED);
      }
      return;
    }
    if (this.#admission.dial(packet.neighbor.port.attachment) !== undefined) return;
    // RFC 6528; after TIME-WAIT the new numbers start beyond the old ones (RFC 9293 §3.6.1).
    const iss = after < 0 ? random.u32() : seqAdd(this.#timeWait.sndNxt(after), 65_536 + (random.u32() >>> 16));
    const flow = new TcpConnection(this.#context, this, endsOf(packet, header), iss);
    this.#shares.begin(flow);
    flow.heldSyn(header, options);
    this.#flows.set(packet.source, header.sourcePort, packet.destination, header.destinationPort, flow);
    flow.dscp = packet.tos & DSCP_MASK;
    this.#dials.begin(flow, target, packet.ttl);
  }

  #checksumFault(packet: Packet, at: number, end: number): 'tcp-bad-checksum' | undefined {
    // A frame that still needs its checksum came through memory: there is nothing to verify yet.
    if (packet.frame.checksumValid || packet.frame.needsChecksum) return undefined;
    const pseudo = pseudoHeaderSum(packet.source, packet.destination, PROTOCOL_TCP, end - at);
    return this.#context.arena.sum(at, end - at, pseudo) === 0xffff ? undefined : 'tcp-bad-checksum';
  }
}

function statusOf(flow: TcpConnection): TcpFlowStatus {
  return {
    guestAddress: flow.neighbor.address,
    guestPort: flow.guestPort,
    remoteAddress: flow.remoteAddress,
    remotePort: flow.remotePort,
    openedBy: flow.openedByHost ? 'host' : 'guest',
    state: flow.state,
    bytesFromGuest: flow.receiver?.bytes ?? 0,
    bytesToGuest: flow.sender?.bytes ?? 0,
  };
}
