import { type Host, type HostErrorCode, type HostStream, type IcmpCause, LOOPBACK4, LOOPBACK6 } from '../env/host.ts';
import type { Log, LogFields } from '../env/log.ts';
import type { Target } from '../flow/route.ts';
import { unreachableFor } from '../icmp/unreachable.ts';
import type { IcmpErrors } from '../ip/icmp-errors.ts';
import { ICMP_DESTINATION_UNREACHABLE, ICMP_TIME_EXCEEDED, type IcmpKind } from '../wire/icmpv4.ts';
import { PROTOCOL_TCP } from '../wire/ipv4.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { seqAdd } from '../wire/seqnum.ts';
import { ACK, RST, TCP_HEADER_BYTES } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpContext } from './context.ts';
import { DialLimits, type DialRefusal } from './dial-limits.ts';

/** Hops that a traceroute may try; systems start ordinary packets with 64 or more. */
const MAX_TRACED_HOPS = 48;

/** Where a dial can go. */
type DialTarget = Target & { kind: 'host' | 'service' | 'socket' };

/**
 * The dials to the host for SYNs that are held. What the guest sees of a failed one is what the real peer did: RST for
 * refused, ICMP for unreachable, nothing for a black hole. A dial to the host's 127.0.0.1 that is refused goes to [::1]
 * once.
 */
export class GuestDials {
  readonly #context: TcpContext;
  readonly #host: Host;
  readonly #icmpErrors: IcmpErrors;
  readonly #limits: DialLimits<TcpConnection>;
  readonly #log: Log | undefined;
  /** When dials began, for debug logs only. */
  readonly #begunMs = new Map<TcpConnection, number>();
  /** Dials to the host's 127.0.0.1, each with its port and the time to live it goes out with. */
  readonly #loopback = new Map<TcpConnection, { readonly port: number; readonly ttl: number }>();

  constructor(context: TcpContext, host: Host, icmpErrors: IcmpErrors, limit: number, log?: Log) {
    this.#log = log;
    this.#context = context;
    this.#host = host;
    this.#icmpErrors = icmpErrors;
    this.#limits = new DialLimits(limit);
  }

  get inFlight(): number {
    return this.#limits.inFlight;
  }

  /** Makes room for a dial of the guest `owner`. Returns why there is none, a counter's word that has been counted. */
  makeRoom(owner: string): DialRefusal | undefined {
    const obstacle = this.#limits.obstacle(owner, this.#context.turn.nowMs);
    if (typeof obstacle === 'string') this.#context.counters.add(obstacle);
    else if (obstacle !== undefined) this.#evict(obstacle);
    return typeof obstacle === 'string' ? obstacle : undefined;
  }

  /**
   * Ends the dial of the guest `owner` that is missed least; false when there is none. `own` as in
   * `DialLimits.leastWanted`.
   */
  endLeastWanted(owner: string, own: boolean): boolean {
    const flow = this.#limits.leastWanted(owner, own, this.#context.turn.nowMs);
    if (flow !== undefined) this.#evict(flow);
    return flow !== undefined;
  }

  /** The guest sent the held SYN again: it still waits. */
  repeated(flow: TcpConnection): void {
    this.#limits.repeated(flow, this.#context.turn.nowMs);
  }

  /** Dials for `flow`, whose SYN came with the time to live `ttl`: it hears `dialing`, or at once `failed`. */
  begin(flow: TcpConnection, target: DialTarget, ttl: number): void {
    this.#limits.begin(flow, flow.openedBehind.attachment, this.#context.turn.nowMs);
    this.#context.counters.add('tcp-dials');
    if (this.#log?.debug !== undefined) this.#begunMs.set(flow, this.#context.turn.nowMs);
    const stream = this.#dial(flow, target, dialTtl(ttl));
    if (typeof stream === 'string') flow.failed(stream);
    else flow.dialing(stream);
  }

  /** The dial failed: another one that takes its place, or undefined when that was all. */
  again(flow: TcpConnection, error: HostErrorCode): HostStream | undefined {
    const dial = this.#loopback.get(flow);
    if (dial === undefined || error !== 'ECONNREFUSED') return undefined;
    this.#loopback.delete(flow);
    const stream = this.#host.dial(LOOPBACK6, dial.port, dial.ttl, flow, flow.dscp);
    return typeof stream === 'string' ? undefined : stream;
  }

  /** The dial is over; with an error other than ECONNABORTED (the guest's own wish) the guest is told. */
  ended(flow: TcpConnection, error: HostErrorCode | undefined, cause: IcmpCause | undefined): void {
    this.#loopback.delete(flow);
    this.#limits.end(flow);
    this.#log?.debug?.(...this.#line(flow, error));
    if (error !== undefined && error !== 'ECONNABORTED') this.#tellFailure(flow, error, cause);
  }

  #line(flow: TcpConnection, error: HostErrorCode | undefined): readonly [string, LogFields] {
    const { nowMs } = this.#context.turn;
    const ms = Math.round(nowMs - (this.#begunMs.get(flow) ?? nowMs));
    this.#begunMs.delete(flow);
    const from = `${formatIpv4Address(flow.neighbor.address)}:${flow.guestPort}`;
    const facts = { guest: from, to: `${formatIpv4Address(flow.remoteAddress)}:${flow.remotePort}`, ms };
    return error === undefined ? ['connected', facts] : ['not connected', { ...facts, why: error }];
  }

  /** The guest hears nothing, as from a black hole: its next SYN, if there is one, dials anew. */
  #evict(flow: TcpConnection): void {
    this.#context.counters.add('tcp-dial-evicted');
    flow.abort();
  }

  #dial(flow: TcpConnection, target: DialTarget, ttl: number): HostStream | HostErrorCode {
    const host = this.#host;
    switch (target.kind) {
      case 'host':
        if (target.address === LOOPBACK4) this.#loopback.set(flow, { port: target.port, ttl });
        return host.dial(target.address, target.port, ttl, flow, flow.dscp);
      case 'socket':
        return host.dialService(target.service, undefined, flow);
      case 'service': {
        const origin = {
          guestAddress: flow.neighbor.address,
          guestPort: flow.guestPort,
          originalAddress: flow.remoteAddress,
          originalPort: flow.remotePort,
          attachment: flow.openedBehind.attachment,
        };
        return host.dialService(target.service, origin, flow);
      }
    }
  }

  /** Local shortage and black holes are silence: the guest tries again. */
  #tellFailure(flow: TcpConnection, error: HostErrorCode, cause: IcmpCause | undefined): void {
    const { counters, output } = this.#context;
    const heard = cause === undefined ? undefined : icmpErrorOf(cause);
    if (heard === undefined && (error === 'ECONNREFUSED' || error === 'ECONNRESET')) {
      counters.add('tcp-refused');
      const segment = output.begin(RST | ACK);
      segment.acknowledgment = seqAdd(flow.irs, 1);
      output.control(flow, segment);
      return;
    }
    const kind = heard ?? unreachableFor(error);
    if (kind === undefined) {
      const isShort = error === 'EMFILE' || error === 'ENFILE';
      if (isShort) counters.add('tcp-dial-no-descriptor');
      else counters.add(error === 'ETIMEDOUT' ? 'tcp-dial-timed-out' : 'tcp-dial-failed');
      return;
    }
    counters.add('tcp-unreachable');
    this.#icmpErrors.aboutQuoted(
      flow.neighbor,
      {
        protocol: PROTOCOL_TCP,
        source: flow.neighbor.address,
        destination: flow.remoteAddress,
        firstWord: ((flow.guestPort << 16) | flow.remotePort) >>> 0,
        secondWord: flow.irs,
        length: TCP_HEADER_BYTES,
      },
      kind,
      heard === undefined || cause === undefined ? flow.remoteAddress : speakerOf(cause, flow),
    );
  }
}

/** What a guest may be told of what a router or the peer said (RFC 1122 §3.2.2); undefined for other types. */
function icmpErrorOf({ icmpType: type, icmpCode: code }: IcmpCause): IcmpKind | undefined {
  return type === ICMP_DESTINATION_UNREACHABLE || type === ICMP_TIME_EXCEEDED ? { type, code } : undefined;
}

/** The hop that said so; the host's own loopback is the address that the guest asked. */
function speakerOf({ offender }: IcmpCause, flow: TcpConnection): number {
  return offender >>> 24 === 127 ? flow.remoteAddress : offender;
}

/** The TTL for the dial, 0 for the host's own: only a traceroute's small one is worth telling. */
function dialTtl(ttl: number): number {
  return ttl > 1 && ttl <= MAX_TRACED_HOPS ? ttl - 1 : 0;
}
