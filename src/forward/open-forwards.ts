import type { Arena } from '../env/arena.ts';
import type { Clock } from '../env/clock.ts';
import type { Counters } from '../env/counters.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { HostListeners } from '../env/host-listener.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { Tcp, TcpFlowStatus } from '../tcp/tcp.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import type { Udp } from '../udp/udp.ts';
import type { Cidr } from '../wire/cidr.ts';
import { Allowance } from './allowance.ts';
import type { ForwardContext } from './forward-context.ts';
import type { ForwardChange, ForwardReport, ForwardRequest, ForwardStanding } from './forward-request.ts';
import { GuestFinder, type GuestLink } from './guest-finder.ts';
import { type GuestStreamDone, GuestStreams } from './guest-streams.ts';
import { LoopbackRelays, type RelayEnds } from './loopback-relay.ts';
import { PublishedPorts } from './published-sockets.ts';
import { SourceAddresses } from './source-addresses.ts';
import { SourceRoutes } from './source-routes.ts';
import { TcpForward } from './tcp-forward.ts';
import { UdpForward } from './udp-forward.ts';

/**
 * Clients that wait for their guests, each a descriptor of the host; at most half of all flows, so that those who are
 * answered find room.
 */
const MAX_WAITING = 16_384;
/** An opening is answered as soon as something is known of the guest, and at the latest after this time. */
const FIRST_LOOK_MS = 300;
/** An engine that binds by itself hears of a port in use a moment later. */
const BINDING_MS = 20;

export interface ForwardOptions {
  readonly arena: Arena;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly random: Random;
  readonly log: Log;
  readonly tcp: Tcp;
  readonly udp: Udp;
  readonly listeners: HostListeners;
  readonly link: GuestLink;
  readonly subnet: Cidr;
  readonly gatewayAddress: number;
  readonly hostAddress: number;
  readonly isOwn: (address: number) => boolean;
  /** TCP flows in all. */
  readonly flows: number;
  /** Clients of UDP forwards in all. */
  readonly udpClients: number;
  readonly changed: (change: ForwardChange) => void;
}

/** Called once: the state of the forward, or the host's error if it is not open. */
export type ForwardDone = (outcome: ForwardReport | HostErrorCode) => void;

/** A forward whose opening has not been answered. */
interface Opening {
  readonly done: ForwardDone;
  readonly timer: Timer;
  readonly notBeforeMs: number;
}

/** The forwards that are open: what the network does for published ports and tunnels. */
export class OpenForwards {
  readonly #context: ForwardContext;
  readonly #forwards = new Map<number, TcpForward | UdpForward>();
  readonly #opening = new Map<number, Opening>();
  /** What was last reported for each. */
  readonly #told = new Map<number, ForwardStanding>();
  readonly #changed: (change: ForwardChange) => void;
  readonly #streams: GuestStreams;

  constructor(options: ForwardOptions) {
    const { turn, link } = options;
    const sources = new SourceAddresses(options);
    const published = new PublishedPorts();
    this.#changed = options.changed;
    options.udp.peers.published = published;
    this.#context = {
      ...options,
      changed: (change) => this.#tell(change),
      guests: new GuestFinder(link, turn),
      sources,
      published,
      routes: new SourceRoutes({ ...options, sources }),
      relays: new LoopbackRelays(options),
      waiting: new Allowance(Math.min(MAX_WAITING, options.flows >> 1)),
      udpClients: new Allowance(options.udpClients),
    };
    this.#streams = new GuestStreams(this.#context);
  }

  /** Open forwards. */
  get size(): number {
    return this.#forwards.size;
  }

  /** Clients of the host's side whose guest has not accepted. */
  get waiting(): number {
    return this.#context.waiting.used;
  }

  /** Up to `limit` clients of who listens at a guest's loopback: no flow of TCP's is theirs. */
  loopbackFlows(limit: number): TcpFlowStatus[] {
    return this.#context.relays.list(limit);
  }

  /** Ends one of these with a reset on both sides. False when there is none. */
  killLoopbackFlow(ends: RelayEnds): boolean {
    return this.#context.relays.kill(ends);
  }

  /** Clients of UDP forwards. */
  get udpClients(): number {
    return this.#context.udpClients.used;
  }

  /**
   * Opens a forward, in place of one with the same id. `done` hears of it when it is known how the guest is, within a
   * moment; a forward whose guest is down is open, too.
   */
  open(request: ForwardRequest, done: ForwardDone): void {
    const { turn, clock, guests } = this.#context;
    const { id, firstGuest = 0 } = request;
    if (firstGuest !== 0) guests.prefer(firstGuest);
    turn.catchUp(clock.nowMs());
    this.close(id, false);
    const looked = (): void => this.#looked(id);
    const forward =
      request.protocol === 'udp'
        ? new UdpForward(this.#context, request, looked)
        : new TcpForward(this.#context, request, looked);
    const timer = new Timer(() => this.#answer(id));
    const binding = request.sockets.kind === 'addresses' ? BINDING_MS : 0;
    this.#forwards.set(id, forward);
    this.#opening.set(id, { done, timer, notBeforeMs: turn.nowMs + binding });
    turn.timers.arm(timer, FIRST_LOOK_MS);
    const refused = forward.open();
    if (refused === undefined || !this.#opening.delete(id)) return;
    turn.timers.cancel(timer);
    this.close(id, true);
    done(refused);
  }

  /** Stops taking clients; with `connections` ends those that are open, too. False when there is no such forward. */
  close(id: number, connections: boolean): boolean {
    const forward = this.#forwards.get(id);
    if (forward === undefined) return false;
    this.#answer(id);
    this.#forwards.delete(id);
    this.#told.delete(id);
    forward.close(connections);
    return true;
  }

  /** In order of id. */
  list(): ForwardReport[] {
    return Array.from(this.#forwards.values(), (forward) => forward.report()).sort((a, b) => a.id - b.id);
  }

  /** Joins one end of a pair of sockets to a guest's port. */
  openStream(fd: number, address: number, port: number, done: GuestStreamDone): void {
    this.#context.turn.catchUp(this.#context.clock.nowMs());
    this.#streams.open(fd, address, port, done);
  }

  /** A guest spoke from an address for the first time, or from another place. */
  heard(neighbor: Neighbor): void {
    this.#context.guests.heard(neighbor);
    for (const forward of this.#forwards.values()) forward.heard(neighbor);
  }

  /** A guest is on the link that is sent frames before it has sent one. */
  guestCame(): void {
    this.#context.turn.catchUp(this.#context.clock.nowMs());
    this.#context.guests.guestCame();
  }

  /** A guest left the link. */
  guestLeft(): void {
    this.#context.turn.catchUp(this.#context.clock.nowMs());
    for (const forward of this.#forwards.values()) forward.guestLeft();
  }

  /** Closes all sockets and turns waiting clients away; TCP ends the connections. */
  closeAll(): void {
    for (const id of [...this.#forwards.keys()]) this.close(id, false);
    this.#streams.close();
    this.#context.routes.close();
    this.#context.guests.close();
  }

  /** Something is known of the guest. */
  #looked(id: number): void {
    const opening = this.#opening.get(id);
    if (opening === undefined) return;
    const { turn } = this.#context;
    const early = opening.notBeforeMs - turn.nowMs;
    if (early <= 0 || this.#forwards.get(id)?.fault !== undefined) this.#answer(id);
    else turn.timers.arm(opening.timer, early);
  }

  #answer(id: number): void {
    const opening = this.#opening.get(id);
    const forward = this.#forwards.get(id);
    if (opening === undefined || forward === undefined) return;
    this.#opening.delete(id);
    this.#context.turn.timers.cancel(opening.timer);
    const { fault } = forward;
    const report = forward.report();
    if (fault !== undefined) this.close(id, true);
    else this.#told.set(id, report);
    opening.done(fault ?? report);
  }

  /** Reports a change, unless it was reported already or goes along with the answer to the opening. */
  #tell({ id, state, why, guestAddress, guestListens }: ForwardChange): void {
    if (this.#opening.has(id) || !this.#forwards.has(id)) return;
    const before = this.#told.get(id);
    if (before?.why === why && before.guestAddress === guestAddress && before.guestListens === guestListens) return;
    const change = { id, state, why, guestAddress, guestListens };
    this.#told.set(id, change);
    this.#changed(change);
  }
}
