import type { Packet } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import { TokenBuckets } from '../turn/token-buckets.ts';
import { seqAdd, seqGt } from '../wire/seqnum.ts';
import { ACK, FIN, RST, SYN, type TcpHeader } from '../wire/tcp.ts';
import type { TcpContext } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import type { TimeWaitTable } from './time-wait.ts';

/** For what belongs to no flow, of each guest: enough for all of its sockets after a restart, no reflector. */
const RESETS_PER_SECOND = 5_000;
const CHALLENGES_PER_SECOND = 1_000;

/**
 * Answers to segments that belong to no connection, or to one in TIME-WAIT. All are limited for each guest, and counted
 * beyond.
 */
export class StraySegments {
  readonly #context: TcpContext;
  readonly #timeWait: TimeWaitTable;
  /** By the port that a guest is behind. */
  readonly #resets = new TokenBuckets(RESETS_PER_SECOND, RESETS_PER_SECOND);
  readonly #challenges = new TokenBuckets(CHALLENGES_PER_SECOND, CHALLENGES_PER_SECOND);

  constructor(context: TcpContext, timeWait: TimeWaitTable) {
    this.#context = context;
    this.#timeWait = timeWait;
  }

  /** Whether a challenge ACK may be sent now to the guest behind `port` (RFC 5961 §7), here or by a connection. */
  challengeAllowed(port: Port): boolean {
    if (this.#challenges.take(port, this.#context.turn.nowMs)) return true;
    this.#context.counters.add('tcp-challenge-rate-limited');
    return false;
  }

  /** RFC 9293 §3.10.7.4, TIME-WAIT. Returns true when the segment may open a new connection (§3.6.1). */
  inTimeWait(place: number, packet: Packet, header: TcpHeader): boolean {
    const flags = header.flags & (SYN | ACK | RST | FIN);
    if (flags === SYN && seqGt(header.sequence, this.#timeWait.rcvNxt(place))) {
      this.#timeWait.remove(place);
      return true;
    }
    if ((flags & RST) !== 0) {
      // As Linux does it: a guest that was reset or restored from a snapshot, and met our ACK, frees its ports thus.
      // What RFC 1337 fears, old duplicates, does not live on the one hop between us.
      if (header.sequence === this.#timeWait.rcvNxt(place)) this.#timeWait.remove(place);
      return false;
    }
    // Anything else is told once more where we stand.
    if (this.challengeAllowed(packet.neighbor.port)) {
      const { output } = this.#context;
      const segment = output.begin(ACK);
      segment.sequence = this.#timeWait.sndNxt(place);
      segment.acknowledgment = this.#timeWait.rcvNxt(place);
      output.control(endsOf(packet, header), segment);
    }
    return false;
  }

  /** RFC 9293 §3.5.2, group 1: an ACK gets RST with SEQ = SEG.ACK, anything else one that acknowledges it. */
  reset(packet: Packet, header: TcpHeader, textBytes: number): void {
    const { counters, output, turn } = this.#context;
    if (!this.#resets.take(packet.neighbor.port, turn.nowMs)) {
      counters.add('tcp-reset-rate-limited');
      return;
    }
    const ends = endsOf(packet, header);
    if ((header.flags & ACK) !== 0) {
      output.reset(ends, header.acknowledgment);
      return;
    }
    const span = textBytes + ((header.flags & SYN) !== 0 ? 1 : 0) + ((header.flags & FIN) !== 0 ? 1 : 0);
    const segment = output.begin(RST | ACK);
    segment.acknowledgment = seqAdd(header.sequence, span);
    output.control(ends, segment);
  }
}

/** The ends of the flow that a guest's segment belongs, or would belong, to. */
export function endsOf(packet: Packet, header: TcpHeader): FlowEnds {
  return {
    neighbor: packet.neighbor,
    guestPort: header.sourcePort,
    remoteAddress: packet.destination,
    remotePort: header.destinationPort,
  };
}
