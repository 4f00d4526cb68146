import type { OutletWaiter } from '../link/outlet.ts';
import type { Work } from '../turn/ready-queue.ts';
import { Timer } from '../turn/timers.ts';
import { ACK } from '../wire/tcp.ts';
import type { TcpContext } from './context.ts';
import type { FlowEnds } from './flow-ends.ts';
import type { Receiver } from './receiver.ts';
import type { Sender } from './sender.ts';

/** An ACK waits this long for data or another segment to go with (RFC 9293 §3.8.6.3 allows 500 ms). */
const DELAYED_ACK_MS = 8;

/**
 * The ACKs of one connection that no data carries: when they go out. A full outlet tells the connection when it has
 * room.
 */
export class Acknowledgments {
  readonly #context: TcpContext;
  readonly #flow: FlowEnds & OutletWaiter;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #sackPermitted: boolean;
  readonly #work: Work = { queued: false, work: () => this.send() };
  readonly #timer: Timer = new Timer(() => {
    if (this.#receiver.ackDue) this.owe();
  });
  #over = false;

  /** @param sackPermitted the guest takes SACK */
  constructor(
    context: TcpContext,
    flow: FlowEnds & OutletWaiter,
    sender: Sender,
    receiver: Receiver,
    sackPermitted: boolean,
  ) {
    this.#context = context;
    this.#flow = flow;
    this.#sender = sender;
    this.#receiver = receiver;
    this.#sackPermitted = sackPermitted;
  }

  /** One is due in this turn. */
  owe(): void {
    this.#context.turn.acknowledgements.add(this.#work);
    this.#receiver.ackNow = true;
  }

  /** The turn's text has gone to the host: its ACK goes out now, or soon. */
  committed(): void {
    const { ackNow, ackDue, windowUpdateDue } = this.#receiver;
    if (ackNow || windowUpdateDue) this.owe();
    else if (ackDue && !this.#timer.armed) this.#context.turn.timers.arm(this.#timer, DELAYED_ACK_MS);
  }

  /** The outlet has room again. */
  outletWritable(): void {
    if (this.#receiver.ackDue || this.#receiver.ackNow) this.owe();
  }

  /** Sends the one that is due, if one is. */
  send(): void {
    const receiver = this.#receiver;
    if (this.#over || !receiver.ackNow) return;
    const { output, turn } = this.#context;
    const segment = output.begin(ACK);
    segment.sequence = this.#sender.sndNxt;
    segment.acknowledgment = receiver.rcvNxt;
    if (this.#sackPermitted && receiver.held.count > 0) segment.held = receiver.held;
    segment.window = receiver.acknowledge(true);
    if (output.control(this.#flow, segment)) {
      turn.timers.cancel(this.#timer);
      return;
    }
    receiver.ackNow = true;
    output.awaitRoom(this.#flow, this.#flow);
  }

  /** The guest is through with the connection. */
  stop(): void {
    this.#over = true;
    this.#context.turn.timers.cancel(this.#timer);
  }
}
