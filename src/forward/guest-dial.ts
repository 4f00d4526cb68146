import type { HostStream, HostStreamHandler } from '../env/host.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { FlowOpener, OpenedFlow, OpenFailure } from '../tcp/flow-opener.ts';
import type { ForwardContext } from './forward-context.ts';
import type { GuestWaiter } from './guest-finder.ts';
import { SOURCE_PORT_TRIES } from './source-addresses.ts';

/** Why a guest could not be reached. 'limit': no flow or no port was left, which is counted. */
export type DialFailure = 'no-guest' | 'refused' | 'timeout' | 'limit';

/** The forward (or tunnel) whose client is being joined to a guest. */
export interface DialOwner {
  established(dial: GuestDial): void;
  /** The guest owes an answer to the SYN for a second or longer. */
  unanswered(dial: GuestDial): void;
  /** The attempt failed and the client is still held: `begin` tries again, `abort` turns the client away. */
  unreached(dial: GuestDial, failure: DialFailure): void;
  /** The connections to client and guest are both over. Called once, last. */
  ended(dial: GuestDial): void;
}

/** A port of a guest, and the address from which it sees the client. */
export interface DialTarget {
  /** IPv4, or FIRST_GUEST. */
  readonly address: number;
  readonly port: number;
  readonly sourceAddress: number;
  /** The client's own; 0 for any. */
  readonly sourcePort: number;
}

/**
 * One client's stream on its way to a guest's port and, once there, the client of that connection.
 *
 * States: held (by its owner) → finding (who has the address?) → opening (SYN sent) → open → over. From finding and
 * opening it may fall back to held. Until it is open, the dial owns the stream; then the TCP connection does.
 */
export class GuestDial implements HostStreamHandler, FlowOpener, GuestWaiter {
  state: 'held' | 'finding' | 'opening' | 'open' | 'over' = 'held';
  readonly target: DialTarget;
  readonly #context: ForwardContext;
  readonly #owner: DialOwner;
  #stream: HostStream | undefined;
  #accepted: HostStream | undefined;
  #flow: OpenedFlow | undefined;

  constructor(context: ForwardContext, owner: DialOwner, target: DialTarget) {
    this.#context = context;
    this.#owner = owner;
    this.target = target;
  }

  /** The stream to join, before `begin`; `accepted` is the client's own beneath it. */
  carry(stream: HostStream, accepted: HostStream = stream): void {
    this.#stream = stream;
    this.#accepted = accepted;
  }

  /** Tries to reach the guest. May call the owner's `unreached` before it returns. */
  begin(): void {
    if (this.state !== 'held') return;
    const guest = this.#context.guests.resolve(this.target.address, this);
    if (guest === 'none') this.#owner.unreached(this, 'no-guest');
    else if (guest === 'asking') this.state = 'finding';
    else this.found(guest);
  }

  /** Lets go of client and guest: both see a reset. */
  abort(): void {
    if (this.state === 'over') return;
    if (this.state === 'open') {
      this.#flow?.abort();
      return;
    }
    this.#letGo();
  }

  // ── what the link says ──

  found(neighbor: Neighbor): void {
    const { sources, tcp, counters } = this.#context;
    const { port, sourceAddress, sourcePort } = this.target;
    // Of several that waited for one answer, an earlier one may have ended this one.
    if (this.state === 'over') return;
    this.state = 'opening';
    for (let attempt = 0; attempt < SOURCE_PORT_TRIES; attempt++) {
      const local = sources.portFor(attempt, sourceAddress, sourcePort);
      const flow = tcp.openFor(this, neighbor, port, sourceAddress, local, this.#stream);
      if (flow === 'in-use') continue;
      if (typeof flow === 'string') this.#fall('limit');
      else this.#flow = flow;
      return;
    }
    counters.add('forward-no-source-port');
    this.#fall('limit');
  }

  notFound(): void {
    if (this.state === 'over') return;
    this.#fall('no-guest');
  }

  // ── what TCP says ──

  established(): void {
    this.state = 'open';
    this.#stream = undefined;
    this.#accepted = undefined;
    this.#owner.established(this);
  }

  unanswered(): void {
    this.#owner.unanswered(this);
  }

  notOpened(reason: OpenFailure): void {
    this.#flow = undefined;
    if (this.state === 'over') return;
    if (reason === 'aborted') this.#letGo();
    else this.#fall(reason);
  }

  ended(): void {
    this.state = 'over';
    this.#flow = undefined;
    this.#owner.ended(this);
  }

  // ── what the client's stream says ──

  connected(): void {}

  failed(): void {}

  readable(): void {
    if (this.state === 'open') this.#flow?.readable();
    else if (this.#accepted?.error !== undefined) {
      // The client reset its connection, so nobody waits for the guest any more. (One that only ended its sending still waits.)
      this.#context.counters.add('forward-client-left');
      this.#letGo();
    }
  }

  writable(): void {
    if (this.state === 'open') this.#flow?.writable();
  }

  #fall(failure: DialFailure): void {
    this.state = 'held';
    this.#owner.unreached(this, failure);
  }

  #letGo(): void {
    if (this.state === 'finding') this.#context.guests.cancel(this);
    this.state = 'over';
    this.#flow?.abort();
    this.#flow = undefined;
    this.#stream?.abort();
    this.#stream = undefined;
    this.#accepted = undefined;
    this.#owner.ended(this);
  }
}
