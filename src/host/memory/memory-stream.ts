import {
  FAILED,
  type HostErrorCode,
  type HostStream,
  type HostStreamHandler,
  type IcmpCause,
  type PieceList,
  WOULD_BLOCK,
} from '../../env/host.ts';
import { ByteDirection } from './byte-direction.ts';
import type { Deliveries } from './deliveries.ts';

/** What a scripted peer does when something reaches it. All are called from `step` or `deliver`. */
export interface MemoryPeerHandler {
  /** Bytes arrived; they are the handler's to keep. */
  data?(bytes: Uint8Array): void;
  /** The host's side ended cleanly. */
  end?(): void;
  /** The connection is gone. */
  reset?(code: HostErrorCode): void;
  /** All that was sent has left the peer: time to send more. */
  drained?(): void;
}

/** Bounds of one connection, in bytes. */
export interface MemoryStreamLimits {
  /** What the host holds unread before the peer has to wait. */
  readonly hostReceiveBytes: number;
  /** What the host takes to send before `write` says no. */
  readonly hostSendBytes: number;
  /** What a paused peer holds unread. */
  readonly peerReceiveBytes: number;
}

export const DEFAULT_STREAM_LIMITS: MemoryStreamLimits = {
  hostReceiveBytes: 1 << 20,
  hostSendBytes: 1 << 18,
  peerReceiveBytes: 1 << 16,
};

/**
 * A connection of the in-memory host: the host's end of it is this object, the scripted peer's end is `peer`.
 *
 * Everything a side does reaches the other in the order it was done, by a delivery of its own. A peer's reset discards
 * what the host had no room for, and leaves what it holds, as TCP does.
 */
export class MemoryStream implements HostStream {
  error: HostErrorCode | undefined;
  /** `readable` tells of every end. */
  readonly endAnnounced: boolean = false;
  /** The other end. */
  readonly peer: MemoryPeer;
  readonly #arena: Uint8Array;
  readonly #deliveries: Deliveries;
  readonly #toHost: ByteDirection;
  readonly #toPeer: ByteDirection;
  readonly #sendBytes: number;
  #handler: HostStreamHandler | undefined;
  #state: 'connecting' | 'open' | 'gone' = 'connecting';
  #toHostQueued = false;
  #toPeerQueued = false;
  #readableQueued = false;

  constructor(arena: Uint8Array, deliveries: Deliveries, handler: HostStreamHandler, limits: MemoryStreamLimits) {
    this.#arena = arena;
    this.#deliveries = deliveries;
    this.#handler = handler;
    this.#toHost = new ByteDirection(limits.hostReceiveBytes);
    this.#toPeer = new ByteDirection(limits.peerReceiveBytes);
    this.#sendBytes = limits.hostSendBytes;
    this.peer = new MemoryPeer(this.#toHost, this.#toPeer, {
      sent: () => this.#queueToHost(),
      room: () => this.#queueToPeer(),
      reset: () => deliveries.add(() => this.#fail('ECONNRESET')),
    });
  }

  /**
   * The dial reached a listener: its script gets the peer, then the host hears of it. `first` goes ahead of all else.
   */
  open(accept: Acceptor, first?: Uint8Array): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    if (first !== undefined) this.#toPeer.send(first);
    this.peer.accept(accept);
    this.#handler?.connected();
    this.#queueToPeer();
  }

  /**
   * A client of the host reached a listener: its script gets the peer, then `offer` says who hears of the stream at the
   * host's side. Nobody: the client is reset.
   */
  openAccepted(accept: Acceptor, offer: (stream: MemoryStream) => HostStreamHandler | undefined): void {
    const before = this.#handler;
    this.#state = 'open';
    this.peer.accept(accept);
    const handler = offer(this);
    if (handler === undefined) this.abort();
    // Unless it was closed in between.
    else if (this.#handler === before) this.#handler = handler;
  }

  /** The dial failed. */
  refuse(code: HostErrorCode, cause?: IcmpCause): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'gone';
    this.error = code;
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.failed(code, cause);
  }

  get unacknowledged(): number {
    return this.#state === 'open' ? this.#toPeer.unarrived : 0;
  }

  peekInto(offset: number, at: number, slotBytes: number, stride: number, count: number): number {
    const queue = this.#toHost.arrived;
    const copied = queue.copySlots(offset, this.#arena, at, slotBytes, stride, count);
    if (copied > 0) {
      // Whoever read less than he asked is told of what comes next, also when that is here already: an end or an error.
      if (copied < slotBytes * count && (this.#toHost.finArrived || this.error !== undefined)) this.#oweReadable();
      return copied;
    }
    if (this.error !== undefined) return FAILED;
    return this.#toHost.finArrived && offset === queue.length ? 0 : WOULD_BLOCK;
  }

  setDscp(dscp: number): void {
    this.peer.dscp = dscp;
  }

  consume(length: number): void {
    this.#toHost.arrived.consume(length);
    this.#queueToHost();
  }

  write(pieces: PieceList): number {
    if (this.error !== undefined) return FAILED;
    if (this.#state !== 'open' || this.#toPeer.ended) return 0;
    const room = this.#sendBytes - this.#toPeer.sendingBytes;
    let taken = 0;
    for (let i = 0; i < pieces.count && taken < room; i++) {
      const at = pieces.at[i] as number;
      const part = Math.min(pieces.length[i] as number, room - taken);
      this.#toPeer.send(this.#arena.slice(at, at + part));
      taken += part;
    }
    if (taken > 0) this.#queueToPeer();
    return taken;
  }

  shutdownWrite(): void {
    if (this.#state !== 'open') return;
    this.#toPeer.end();
    this.#queueToPeer();
  }

  close(): void {
    // What a kernel does with a socket that is closed over unread bytes.
    if (this.#state === 'connecting' || this.#toHost.arrived.length > 0) {
      this.abort();
      return;
    }
    this.#handler = undefined;
    this.shutdownWrite();
  }

  abort(): void {
    const open = this.#state === 'open';
    this.#handler = undefined;
    this.#state = 'gone';
    this.#toPeer.discard();
    if (open) this.#deliveries.add(() => this.peer.lose('ECONNRESET'));
  }

  #oweReadable(): void {
    if (this.#readableQueued) return;
    this.#readableQueued = true;
    this.#deliveries.add(() => {
      this.#readableQueued = false;
      this.#handler?.readable();
    });
  }

  #fail(code: HostErrorCode): void {
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    this.error ??= code;
    this.#toHost.discard();
    this.#toPeer.discard();
    this.#handler?.readable();
    this.#handler?.writable();
  }

  #queueToHost(): void {
    if (this.#toHostQueued) return;
    this.#toHostQueued = true;
    this.#deliveries.add(() => {
      this.#toHostQueued = false;
      if (this.#state !== 'open') return;
      const before = this.#toHost.sendingBytes;
      // Nobody reads a closed stream: what still comes is answered by a reset.
      if (this.#handler === undefined && before > 0) this.abort();
      else if (this.#toHost.move()) this.#arrived(before);
    });
  }

  /** Something reached the host; the peer had `before` bytes to send. */
  #arrived(before: number): void {
    if (before > 0 && this.#toHost.sendingBytes === 0) this.peer.drained();
    this.#handler?.readable();
  }

  #queueToPeer(): void {
    if (this.#toPeerQueued) return;
    this.#toPeerQueued = true;
    this.#deliveries.add(() => {
      this.#toPeerQueued = false;
      if (this.#state !== 'open') return;
      const before = this.#toPeer.sendingBytes;
      // A reading peer takes at once, so its buffer bounds one step, not the whole.
      do this.peer.take();
      while (this.#toPeer.move());
      this.peer.take();
      if (this.#toPeer.sendingBytes < before) this.#handler?.writable();
    });
  }
}

/** Called with the peer of each connection; returns what the peer does. */
export type Acceptor = (peer: MemoryPeer) => MemoryPeerHandler;

/** How a peer tells its connection that something is to be delivered. */
interface PeerEvents {
  sent(): void;
  room(): void;
  reset(): void;
}

/** The scripted end of a connection. Its methods may be called at any time; what they do arrives by a later step. */
export class MemoryPeer {
  /** What the core set for what it sends here. */
  dscp = 0;
  readonly #out: ByteDirection;
  readonly #in: ByteDirection;
  readonly #events: PeerEvents;
  #handler: MemoryPeerHandler = {};
  #paused = false;
  #endTold = false;
  #gone = false;

  constructor(out: ByteDirection, into: ByteDirection, events: PeerEvents) {
    this.#out = out;
    this.#in = into;
    this.#events = events;
  }

  /** Bytes that were sent and have not reached the host. */
  get sendingBytes(): number {
    return this.#out.sendingBytes;
  }

  /** Sends `bytes` (kept, not copied), however many: the host takes them as it has room. */
  send(bytes: Uint8Array): void {
    if (this.#gone) return;
    this.#out.send(bytes);
    this.#events.sent();
  }

  /** A FIN behind all that was sent. */
  end(): void {
    if (this.#gone) return;
    this.#out.end();
    this.#events.sent();
  }

  /** A RST: overtakes what the host had no room for, not what was delivered before. */
  reset(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#events.reset();
  }

  /** Stops reading: the host's bytes fill the peer's bounded buffer, then the host's own. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#events.room();
  }

  /** For the connection: hands the peer to its script. */
  accept(accept: Acceptor): void {
    this.#handler = accept(this);
  }

  /** For the connection: reads what arrived, unless paused. */
  take(): void {
    if (this.#paused || this.#gone) return;
    const length = this.#in.arrived.length;
    if (length > 0) {
      const bytes = new Uint8Array(length);
      this.#in.arrived.copy(0, bytes, 0, length);
      this.#in.arrived.consume(length);
      this.#handler.data?.(bytes);
    }
    if (!this.#in.finArrived || this.#endTold) return;
    this.#endTold = true;
    this.#handler.end?.();
  }

  /** For the connection: it is gone. */
  lose(code: HostErrorCode): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#handler.reset?.(code);
  }

  /** For the connection: all that was sent is delivered. */
  drained(): void {
    this.#handler.drained?.();
  }
}

/** A peer that sends back what it gets and ends when the host ends. */
export const echo: Acceptor = (peer) => ({
  data: (bytes) => peer.send(bytes),
  end: () => peer.end(),
});
