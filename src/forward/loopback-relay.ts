/**
 * Clients joined to programs that listen only at a guest's own loopback: there is no packet of the guest's network in
 * it, but a second socket, connected from within the guest (`GuestSockets.dialLoopback`). What one socket has to read
 * the other is given; the hosts' queues are the only buffers, so who reads slowly slows down who writes.
 *
 * A half-close passes as one, a reset as a reset: at once, also past bytes that nobody reads. Each turn moves so much
 * of a relay and then the others'.
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { GuestSockets } from '../env/guest-sockets.ts';
import {
  FAILED,
  type HostErrorCode,
  type HostStream,
  type HostStreamHandler,
  type PieceList,
  WOULD_BLOCK,
} from '../env/host.ts';
import type { FlowOpener, OpenedFlow } from '../tcp/flow-opener.ts';
import type { TcpFlowStatus } from '../tcp/tcp.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Turn } from '../turn/turn.ts';

/** Each holds two descriptors of the host and no memory of ours; 4,096 are more than one command serves. */
const MAX_RELAYS = 4_096;
/** What one peek takes, and what a turn moves in one direction before the others have theirs. */
const CHUNK_BYTES = 65_536;
const QUOTA_BYTES = 524_288;

export interface RelayOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
}

/** Whom a relay joins, as its flow is shown: the guest's end, and the client as the guest would see it from outside. */
export type RelayEnds = Pick<TcpFlowStatus, 'guestAddress' | 'guestPort' | 'remoteAddress' | 'remotePort'>;

/** What all relays of a network share. */
export class LoopbackRelays {
  readonly turn: Turn;
  readonly #counters: Counters;
  readonly #buffer: number;
  readonly #pieces: PieceList = { at: new Int32Array(1), length: new Int32Array(1), count: 1 };
  readonly #relays = new Set<LoopbackRelay>();
  /** Of the last `move`. */
  moved = 0;

  /** Throws a RangeError when the arena has no room. */
  constructor({ arena, turn, counters }: RelayOptions) {
    this.turn = turn;
    this.#counters = counters;
    this.#buffer = arena.allocate(CHUNK_BYTES);
    if (this.#buffer < 0) throw new RangeError('the arena has no room for relays');
  }

  /**
   * Begins to connect `client` to the port of the guest's loopback; it is not touched before `established`. 'refused'
   * and 'limit' are final.
   */
  open(
    opener: FlowOpener,
    client: HostStream,
    sockets: GuestSockets,
    ends: RelayEnds,
  ): OpenedFlow | 'refused' | 'limit' {
    if (this.#relays.size >= MAX_RELAYS) {
      this.#counters.add('forward-loopback-limit');
      return 'limit';
    }
    const relay = new LoopbackRelay(this, opener, client, sockets, ends);
    this.#relays.add(relay);
    const failure = relay.dial();
    if (failure === undefined) return relay;
    this.gone(relay);
    return 'refused';
  }

  gone(relay: LoopbackRelay): void {
    this.#relays.delete(relay);
  }

  /** Up to `limit` of them, as flows. */
  list(limit: number): TcpFlowStatus[] {
    const list: TcpFlowStatus[] = [];
    for (const relay of this.#relays) if (list.length < limit) list.push(relay.status);
    return list;
  }

  /** Ends one with a reset on both sides. False when there is none. */
  kill({ guestAddress, guestPort, remoteAddress, remotePort }: RelayEnds): boolean {
    for (const relay of this.#relays) {
      const { ends } = relay;
      if (ends.guestPort !== guestPort || ends.remotePort !== remotePort) continue;
      if (ends.guestAddress !== guestAddress || ends.remoteAddress !== remoteAddress) continue;
      relay.abort();
      return true;
    }
    return false;
  }

  /**
   * Moves what waits, up to the quota. 'more': the quota is used up. 'end', 'reset': `from` is at its end. 'stuck':
   * `to` takes no more, 'deaf': never again.
   */
  move(from: HostStream, to: HostStream): 'all' | 'more' | 'end' | 'reset' | 'stuck' | 'deaf' {
    const { at, length } = this.#pieces;
    at[0] = this.#buffer;
    this.moved = 0;
    while (this.moved < QUOTA_BYTES) {
      const waits = from.peekInto(0, this.#buffer, CHUNK_BYTES, CHUNK_BYTES, 1);
      if (waits === WOULD_BLOCK) return 'all';
      if (waits === FAILED) return 'reset';
      if (waits === 0) return 'end';
      length[0] = waits;
      const taken = to.write(this.#pieces);
      if (taken === FAILED) return 'deaf';
      from.consume(taken);
      this.moved += taken;
      if (taken < waits) return from.error === undefined ? 'stuck' : 'reset';
      if (waits < CHUNK_BYTES && !from.endAnnounced) return 'all';
    }
    return 'more';
  }
}

/** One client and the guest's socket that it is joined to. States: dialling → open → over. */
class LoopbackRelay implements OpenedFlow, FairWork {
  queued = false;
  /** The guest, by its sockets. */
  readonly lane: GuestSockets;
  readonly ends: RelayEnds;
  readonly #relays: LoopbackRelays;
  readonly #opener: FlowOpener;
  readonly #client: HostStream;
  #guest: HostStream | undefined;
  #state: 'dialling' | 'open' | 'over' = 'dialling';
  /** Nothing more goes that way: an end was passed on, or nobody hears. */
  #toGuestOver = false;
  #toClientOver = false;
  /** One side took bytes no more: the other is to be reset once it has said what it had to say. */
  #broken = false;
  #bytesFromGuest = 0;
  #bytesToGuest = 0;
  readonly #guestEvents: HostStreamHandler = {
    connected: () => this.#connected(),
    failed: (code) => this.#failed(code),
    readable: () => this.#wake(),
    writable: () => this.#wake(),
  };

  constructor(relays: LoopbackRelays, opener: FlowOpener, client: HostStream, sockets: GuestSockets, ends: RelayEnds) {
    this.ends = ends;
    this.lane = sockets;
    this.#relays = relays;
    this.#opener = opener;
    this.#client = client;
  }

  /** The error when it failed at once. */
  dial(): HostErrorCode | undefined {
    const outcome = this.lane.dialLoopback(this.ends.guestPort, this.#guestEvents, () => {
      if (this.#state !== 'dialling') return;
      const failure = this.dial();
      if (failure !== undefined) this.#failed(failure);
    });
    if (typeof outcome === 'string') return outcome;
    this.#guest = outcome;
    return undefined;
  }

  get status(): TcpFlowStatus {
    const state = this.#state === 'open' ? 'LOOPBACK' : 'SYN-SENT';
    const [bytesFromGuest, bytesToGuest] = [this.#bytesFromGuest, this.#bytesToGuest];
    return { ...this.ends, openedBy: 'host', state, bytesFromGuest, bytesToGuest };
  }

  // ── what the client's stream says, once open ──

  connected(): void {}

  failed(): void {}

  readable(): void {
    this.#wake();
  }

  writable(): void {
    this.#wake();
  }

  abort(): void {
    if (this.#state === 'over') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'over';
    this.#guest?.abort();
    this.#relays.gone(this);
    if (!wasOpen) return;
    this.#client.abort();
    this.#opener.ended();
  }

  work(): void {
    const guest = this.#guest;
    if (this.#state !== 'open' || guest === undefined) return;
    if (!this.#toGuestOver) {
      this.#toGuestOver = this.#pass(this.#client, guest);
      this.#bytesToGuest += this.#relays.moved;
    }
    if (this.#state === 'open' && !this.#toClientOver) {
      this.#toClientOver = this.#pass(guest, this.#client);
      this.#bytesFromGuest += this.#relays.moved;
    }
    if (this.#state !== 'open' || !this.#toGuestOver || !this.#toClientOver) return;
    if (this.#broken) this.abort();
    else this.#close(guest);
  }

  /** True when nothing more goes that way. */
  #pass(from: HostStream, to: HostStream): boolean {
    switch (this.#relays.move(from, to)) {
      case 'more':
        this.#wake();
        return false;
      case 'end':
        to.shutdownWrite();
        return true;
      case 'reset':
        this.abort();
        return true;
      case 'deaf':
        this.#broken = true;
        return true;
      case 'all':
      case 'stuck':
        return false;
    }
  }

  #wake(): void {
    if (this.#state === 'open') this.#relays.turn.egress.add(this);
  }

  #connected(): void {
    if (this.#state !== 'dialling') return;
    this.#state = 'open';
    this.#opener.established();
    // What the client said meanwhile was told to nobody.
    this.#wake();
  }

  #failed(code: HostErrorCode): void {
    if (this.#state !== 'dialling') return;
    this.#state = 'over';
    this.#relays.gone(this);
    this.#opener.notOpened(code === 'ETIMEDOUT' ? 'timeout' : 'refused');
  }

  #close(guest: HostStream): void {
    this.#state = 'over';
    guest.close();
    this.#client.close();
    this.#relays.gone(this);
    this.#opener.ended();
  }
}
