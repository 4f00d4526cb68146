import { seqAdd } from '../wire/seqnum.ts';
import { ACK, SYN, type TcpHeader } from '../wire/tcp.ts';
import type { TcpOptions } from '../wire/tcp-options.ts';
import { type TcpContext, WINDOW_SCALE } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import { Receiver } from './receiver.ts';
import { PACKET_HEADER_BYTES } from './segment-output.ts';
import { Sender } from './sender.ts';

/** RFC 9293 §3.7.1: without the option. */
const DEFAULT_MSS = 536;
/** Below this a guest makes us send mostly headers. */
const MIN_MSS = 64;

/**
 * What the SYNs of a connection settle: first sequence numbers, segment size, window scales, SACK (RFC 9293 §3.5, RFC
 * 7323 §2, RFC 2018 §2).
 */
export class Handshake {
  /** The guest's first sequence number; a SYN with another one is a new attempt. */
  irs = 0;
  readonly iss: number;
  /** The guest takes SACK. */
  sackPermitted = false;
  readonly #context: TcpContext;
  readonly #to: FlowEnds;
  /** Payload bytes of a segment to the guest. */
  #mss: number = DEFAULT_MSS;
  /** Window scale that the guest offered, −1 for none. */
  #guestScale = -1;

  constructor(context: TcpContext, to: FlowEnds, iss: number) {
    this.#context = context;
    this.#to = to;
    this.iss = iss;
  }

  /** Notes what the guest's SYN or SYN-ACK offers. */
  take(header: TcpHeader, options: TcpOptions): void {
    this.irs = header.sequence;
    const offered = options.mss === 0 ? DEFAULT_MSS : options.mss;
    this.#mss = Math.max(MIN_MSS, Math.min(this.#ourMss, offered));
    this.#guestScale = options.windowScale;
    this.sackPermitted = options.sackPermitted;
  }

  /** Sends our SYN, or with the receiving half of a guest's SYN the SYN-ACK. False when the outlet is full. */
  send(receiver: Receiver | undefined): boolean {
    const { output } = this.#context;
    const segment = output.begin(receiver === undefined ? SYN : SYN | ACK);
    segment.sequence = this.iss;
    segment.mss = this.#ourMss;
    if (receiver === undefined) {
      segment.window = 0xffff;
      segment.windowScale = WINDOW_SCALE;
      segment.sackPermitted = true;
    } else {
      segment.acknowledgment = receiver.rcvNxt;
      segment.window = Math.min(0xffff, receiver.window);
      segment.windowScale = this.#guestScale >= 0 ? WINDOW_SCALE : -1;
      segment.sackPermitted = this.sackPermitted;
    }
    return output.syn(this.#to, segment);
  }

  /** The half that receives from the guest. Windows that it tells are scaled if both offered it; a SYN's never is. */
  receiver(): Receiver {
    const { attachment } = this.#to.neighbor.port;
    const receiver = new Receiver(this.#context, attachment, seqAdd(this.irs, 1), this.#ourMss);
    if (this.#guestScale >= 0) receiver.windowScale = WINDOW_SCALE;
    return receiver;
  }

  /** The half that sends to it; `window` as its SYN told, which is never scaled (RFC 7323 §2.2). */
  sender(window: number): Sender {
    const start = { sequence: seqAdd(this.iss, 1), mss: this.#mss, window, windowSequence: this.irs };
    return new Sender(this.#context, this.#to, start);
  }

  /** The window that a segment after the handshake tells, in bytes. */
  windowOf(header: TcpHeader): number {
    return this.#guestScale > 0 ? header.window << this.#guestScale : header.window;
  }

  /** What we take in one segment: the guest's MTU without headers. */
  get #ourMss(): number {
    return this.#to.neighbor.port.outlet.mtu - PACKET_HEADER_BYTES;
  }
}
