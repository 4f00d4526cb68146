import type { GuestSockets } from '../env/guest-sockets.ts';
import type { HostAddress, HostStream, HostStreamHandler } from '../env/host.ts';
import type { LogFields } from '../env/log.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { FlowOpener, OpenedFlow, OpenFailure } from '../tcp/flow-opener.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { ForwardContext } from './forward-context.ts';
import { listenState, takesConnections } from './forward-target.ts';
import type { GuestWaiter } from './guest-finder.ts';
import { shownClient } from './shown-client.ts';
import { SOURCE_PORT_TRIES } from './source-addresses.ts';

/** Why a guest could not be reached. 'limit': no flow or no port was left, which is counted. */
export type DialFailure = 'no-guest' | 'refused' | 'timeout' | 'limit';

/** The forward (or tunnel) whose client is being joined to a guest. */
export interface DialOwner {
  established(dial: GuestDial): void;
  /** The attempt failed and the client is still held: `begin` tries again, `abort` turns the client away. */
  unreached(dial: GuestDial, failure: DialFailure): void;
  /** The connections to client and guest are both over. Called once, last. */
  ended(dial: GuestDial): void;
}

/** A port of a guest, and who is to reach it. */
export interface DialTarget {
  /** IPv4, or FIRST_GUEST. */
  readonly address: number;
  readonly port: number;
  /** Whose address the guest sees. */
  readonly source: 'client' | 'gateway';
  /** The client's own, as of `HostClient`. */
  readonly clientAddress: HostAddress;
  /** 0 for any. */
  readonly clientPort: number;
}

/**
 * One client's stream on its way to a guest's port and, once there, the client of that connection.
 *
 * States: held (by its owner) → finding (who has the address?) → opening (SYN sent) → open → over. From finding and
 * opening it may fall back to held. Until it is open, the dial owns the stream; then the TCP connection does.
 *
 * A guest that does not answer leaves the client waiting as it would a client next to it: until TCP gives up. Only
 * where the guest turns out not to answer that client's network at all (SourceRoutes) it is dialled from the host
 * address instead.
 */
export class GuestDial implements HostStreamHandler, FlowOpener, GuestWaiter {
  state: 'held' | 'finding' | 'opening' | 'open' | 'over' = 'held';
  readonly target: DialTarget;
  readonly #context: ForwardContext;
  readonly #owner: DialOwner;
  #stream: HostStream | undefined;
  #accepted: HostStream | undefined;
  #flow: OpenedFlow | undefined;
  #neighbor: Neighbor | undefined;
  /** What the guest sees. */
  #sourceAddress = 0;
  /** The attempt under way is being given up for another. */
  #moving = false;
  /** The attempt under way, or the last one. */
  #begunMs = 0;

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
    this.#begunMs = this.#context.turn.nowMs;
    const guest = this.#context.guests.resolve(this.target.address, this);
    if (guest === 'none') this.#fall('no-guest');
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

  /** Here is chosen how the guest's port is dialled. */
  found(neighbor: Neighbor): void {
    // Of several that waited for one answer, an earlier one may have ended this one.
    if (this.state === 'over') return;
    this.#neighbor = neighbor;
    const state = listenState(neighbor, this.target.port);
    const { sockets } = neighbor.port;
    if (state === 'loopback' && sockets !== undefined) this.#openLoopback(sockets, neighbor.address);
    else if (takesConnections(state)) this.#open(neighbor);
    else this.#fall('refused');
  }

  /** No address of the client's reaches there, so none is seen. */
  #openLoopback(sockets: GuestSockets, guestAddress: number): void {
    const stream = this.#stream;
    if (stream === undefined) {
      this.#letGo();
      return;
    }
    this.#neighbor = undefined;
    this.state = 'opening';
    const { source, port: guestPort, clientAddress, clientPort: remotePort } = this.target;
    const remoteAddress = this.#context.sources.addressFor(source, clientAddress);
    const ends = { guestAddress, guestPort, remoteAddress, remotePort };
    const flow = this.#context.relays.open(this, stream, sockets, ends);
    if (typeof flow === 'string') this.#fall(flow);
    else this.#flow = flow;
  }

  #open(neighbor: Neighbor): void {
    const { sources, routes, tcp, counters } = this.#context;
    const { port, source, clientAddress, clientPort } = this.target;
    const own = sources.addressFor(source, clientAddress);
    this.#sourceAddress = routes.hides(neighbor, own) ? sources.host : own;
    this.state = 'opening';
    for (let attempt = 0; attempt < SOURCE_PORT_TRIES; attempt++) {
      const remoteAddress = this.#sourceAddress;
      const remotePort = sources.portFor(attempt, remoteAddress, clientPort);
      const flow = tcp.openFor({ neighbor, guestPort: port, remoteAddress, remotePort }, this.#stream, this);
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
    this.#context.log.debug?.('client connected', this.#facts);
    this.#stream = undefined;
    this.#accepted = undefined;
    if (this.#neighbor !== undefined && this.#isClients)
      this.#context.routes.proved(this.#neighbor, this.#sourceAddress);
    this.#owner.established(this);
  }

  unanswered(): void {
    if (this.#neighbor === undefined || !this.#isClients) return;
    this.#context.routes.doubt(this.#neighbor, this.target.port, this.#sourceAddress, () => this.#move());
  }

  /** The guest sees the client's own address. */
  get #isClients(): boolean {
    return this.#sourceAddress === this.target.clientAddress;
  }

  /** Tries again, from where the guest answers. */
  #move(): void {
    if (this.state !== 'opening' || !this.#isClients) return;
    this.#moving = true;
    this.#flow?.abort();
    this.#moving = false;
    this.#flow = undefined;
    this.state = 'held';
    this.begin();
  }

  notOpened(reason: OpenFailure): void {
    if (this.#moving) return;
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
      // The client reset its connection, so nobody waits for the guest any more. (One that only ended its sending still
      // waits.)
      this.#context.counters.add('forward-client-left');
      this.#letGo('the client left');
    }
  }

  writable(): void {
    if (this.state === 'open') this.#flow?.writable();
  }

  #fall(failure: DialFailure): void {
    this.state = 'held';
    this.#tell(failure);
    this.#owner.unreached(this, failure);
  }

  /** For debug logs only. */
  #tell(why: string): void {
    this.#context.log.debug?.('client not connected', { ...this.#facts, why });
  }

  get #facts(): LogFields {
    const { turn, guests } = this.#context;
    const { address, port, clientAddress, clientPort } = this.target;
    const guest = guests.find(address)?.address ?? address;
    const ms = Math.round(turn.nowMs - this.#begunMs);
    return { client: shownClient(clientAddress, clientPort), to: `${formatIpv4Address(guest)}:${port}`, ms };
  }

  #letGo(why = 'given up'): void {
    if (this.state !== 'held') this.#tell(why);
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
