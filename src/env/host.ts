/**
 * What the core asks of the host: ordinary sockets, each behind a small seam that two engines (`host/epoll`,
 * `host/node`) and the in-memory fake of the tests implement alike. Everything is non-blocking and synchronous: a call
 * returns a count or one of the negative words below, and the engine reports readiness later through the handler.
 *
 * Readiness is edge-like: after a call returned WOULD_BLOCK (or, for reads, fewer bytes than asked) the engine calls
 * the handler once when more can be done. Until then it may stay silent, and it may call spuriously. Handlers run
 * between turns of the network, never inside a call that the core makes.
 */

/** Nothing can be done now; the handler is called when it can. */
export const WOULD_BLOCK = -1;
/** The operation failed for good; the reason is latched in `error`. */
export const FAILED = -2;

/** What a host operation failed with: the errno's own name. */
export type HostErrorCode =
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ECONNABORTED'
  | 'EPIPE'
  | 'ETIMEDOUT'
  | 'ENETUNREACH'
  | 'EHOSTUNREACH'
  | 'ENETDOWN'
  | 'EHOSTDOWN'
  | 'EACCES'
  | 'EPERM'
  | 'EADDRNOTAVAIL'
  | 'EADDRINUSE'
  | 'EMFILE'
  | 'ENFILE'
  | 'ENOBUFS'
  | 'ENOMEM'
  | 'EMSGSIZE'
  | 'EINVAL'
  | 'EPROTO'
  | 'ENOPROTOOPT'
  | 'EAFNOSUPPORT'
  | 'EIO';

/**
 * An address on the host's side: IPv4 as an unsigned 32-bit number, or LOOPBACK6. (IPv6 proper is interned above 2^32.)
 */
export type HostAddress = number;
/** [::1], for a service that listens only there. */
export const LOOPBACK6: HostAddress = 2 ** 32 + 1;
/** 127.0.0.1 */
export const LOOPBACK4: HostAddress = 0x7f000001;

/** Pieces of the arena in order; a gather list. `at[i]`, `length[i]` for i < count. Owned and refilled by the core. */
export interface PieceList {
  readonly at: Int32Array;
  readonly length: Int32Array;
  count: number;
}

/** Who said by ICMP that something failed, and what. */
export interface IcmpCause {
  /** As ICMPv4 has them (RFC 792). */
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly offender: HostAddress;
}

export interface HostStreamHandler {
  /** The dial succeeded. Called at most once, before readable/writable. */
  connected(): void;
  /**
   * The dial failed; the stream is already closed. `cause`: the ICMP error that ended it. Called at most once, instead
   * of connected.
   */
  failed(code: HostErrorCode, cause?: IcmpCause): void;
  /** Bytes, an end or an error wait to be peeked. */
  readable(): void;
  /** There is room again, or an error waits. */
  writable(): void;
}

/**
 * One TCP (or unix stream) connection of the host. The host's own receive queue *is* the retransmission buffer: bytes
 * are peeked, and stay until consumed.
 *
 * Endings: the first error is latched in `error` and decides; `peekInto` first delivers what is queued, then returns
 * FAILED (error) or 0 (clean end). A stream that the process abandons without `close` (crash) resets its peer.
 */
export interface HostStream {
  /** The first error, latched; undefined while there is none. */
  readonly error: HostErrorCode | undefined;
  /**
   * Bytes written, and the FIN of `shutdownWrite`, that have not reached the peer's system: `abort` would destroy them.
   * Nothing tells when they have. Undefined where the engine cannot know. May cost a system call.
   */
  readonly unacknowledged: number | undefined;
  /**
   * True: the peer's clean end is known to stand right behind what waits, so a peek that fell short reached it. Saves a
   * call and a turn; while it is false, `readable` and a later peek tell.
   */
  readonly endAnnounced: boolean;
  /**
   * Copies bytes that wait from `offset` bytes beyond what is consumed into `count` slots: slot i is `slotBytes` at
   * `at + i * stride`. Slots fill in order, all but the last full. Returns the bytes copied, 0 for a clean end (FIN) at
   * that very offset, WOULD_BLOCK, or FAILED. A return below `slotBytes * count` means no more waits now.
   * Bound: count ≤ 64.
   */
  peekInto(offset: number, at: number, slotBytes: number, stride: number, count: number): number;
  /** Drops the oldest `length` bytes, all of which have been peeked. */
  consume(length: number): void;
  /**
   * What is sent from now on leaves with this DSCP (a type of service without its two bits of ECN, which are the
   * kernel's).
   */
  setDscp(dscp: number): void;
  /**
   * Takes as much as it can, in order; returns the bytes taken (≥ 0; 0 means none fits now), or FAILED. Copies at once:
   * the pieces may be reused.
   */
  write(pieces: PieceList): number;
  /** Half-close: what was written is delivered, then a FIN. Idempotent. */
  shutdownWrite(): void;
  /** Graceful release after both directions ended and all is consumed. No handler call follows. */
  close(): void;
  /** Sends RST and releases. No handler call follows. Idempotent, also after close. */
  abort(): void;
}

/**
 * A batch of datagrams, parallel arrays, `count` used. Owned by the core; the engine reads (send) or fills (receive).
 */
export interface DatagramBatch {
  /** Offset in the arena of the payload (for echo: of the ICMP header). */
  readonly at: Int32Array;
  readonly length: Int32Array;
  /** Remote address and port; port 0 for echo. Float64 because LOOPBACK6 exceeds 32 bits. */
  readonly address: Float64Array;
  readonly port: Int32Array;
  /** Send: IP time to live to use, 0 for the host's default. Receive: unused. */
  readonly ttl: Int32Array;
  /**
   * Send: 1 when the guest set Don't Fragment. One that is longer than the host's own MTU leaves in fragments all the
   * same, and `failed` tells EMSGSIZE with that MTU, once for those of a batch to one place. Receive: unused.
   */
  readonly dontFragment: Uint8Array;
  /**
   * Type of service, DSCP and ECN. Send: what it leaves with. Receive: what it came with; 0 where the engine cannot
   * tell.
   */
  readonly tos: Uint8Array;
  count: number;
}

/**
 * Why a datagram did not arrive, as the host learned it: from ICMP (IP_RECVERR) or from the send itself. After an
 * EMSGSIZE of the host itself (`offender` 0) it has left, in fragments.
 */
export interface DatagramFailure {
  /** Where the datagram was sent. */
  readonly address: HostAddress;
  readonly port: number;
  readonly code: HostErrorCode;
  /** ICMP type and code when a router or the peer sent one, else −1. */
  readonly icmpType: number;
  readonly icmpCode: number;
  /** Who sent the ICMP (IPv4); 0 when the host itself refused. */
  readonly offender: HostAddress;
  /** EMSGSIZE: the path's MTU in bytes, else 0. */
  readonly mtu: number;
  /** For echo: the ICMP sequence number of the lost request, else −1 where it is not known. */
  readonly sequence: number;
  /** Bytes of payload that the lost datagram had, −1 where not known. */
  readonly length: number;
}

export interface HostDatagramHandler {
  readable(): void;
  /** A datagram was lost and the host says why. The object is only valid during the call. */
  failed(failure: DatagramFailure): void;
}

/**
 * One unconnected UDP socket (or, from `openEcho`, one ping socket). An error belongs to one datagram: it is reported
 * by `failed`, from `send` or later, and never costs another datagram.
 */
export interface HostDatagram {
  /**
   * Sends all of the batch in order; what the host has no room for is dropped. Returns how many were dropped. Copies at
   * once.
   */
  send(batch: DatagramBatch): number;
  /**
   * Receives up to `count` datagrams, number i into `slotBytes` at `at + i * slotBytes`; fills at, length, address and
   * port and sets batch.count. Returns the count; 0 when none waits. Bound: count ≤ 64.
   */
  receive(batch: DatagramBatch, at: number, slotBytes: number, count: number): number;
  /** Releases the socket. No handler call follows. */
  close(): void;
}

/**
 * A byte or frame channel to a guest: a connected stream socket (QEMU), a tap device, or the guest at a datagram
 * socket.
 */
export interface HostPipe {
  /** The first error, latched. */
  readonly error: HostErrorCode | undefined;
  /**
   * Reads into the arena: a stream's next bytes, or exactly one frame of a tap or a datagram, cut to `capacity`.
   * Returns the bytes, 0 for the end (stream, tap) or an empty datagram, WOULD_BLOCK, or FAILED.
   */
  read(at: number, capacity: number): number;
  /**
   * Writes from the arena: as much as fits of a stream, else one whole frame. Returns bytes taken (0: none fits now),
   * or FAILED. A frame that the kernel refuses is FAILED with `error` unset: that frame is lost, the tap or the guest
   * lives.
   */
  write(at: number, length: number): number;
  close(): void;
}

export interface HostPipeHandler {
  readable(): void;
  writable(): void;
}

/** Takes a guest that just came and returns who is told about its pipe; undefined turns it away. */
export type AcceptGuest = (pipe: HostPipe) => HostPipeHandler | undefined;

/** What an engine can do; the behaviour suite names the cases that each lack leaves out. */
export interface HostCapabilities {
  /**
   * ICMP errors reach `DatagramFailure` (port unreachable, time exceeded, fragmentation needed) and the `failed` of a
   * dial.
   */
  readonly icmpErrors: boolean;
  /** `ttl` of a dial, `ttl` and `dontFragment` of a datagram are honoured. */
  readonly ttl: boolean;
  /** The type of service of datagrams, both ways, and the DSCP of streams are honoured. */
  readonly tos: boolean;
  /** `openEcho` works. When false, `pingHint` says what would allow it. */
  readonly ping: boolean;
  /** A paused `HostListener` refuses its clients (ECONNREFUSED); otherwise it accepts and resets them. */
  readonly refusal: boolean;
  /** Tap devices can be attached. */
  readonly tap: boolean;
  /** What a person can do to make ping work; empty when it does. */
  readonly pingHint: string;
}

/** Facts about the guest's side that a gateway service gets with the connection (PROXY protocol v2). */
export interface Origin {
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly originalAddress: number;
  readonly originalPort: number;
  /** `Port.attachment`: what the guest cannot choose of itself. */
  readonly attachment: string;
}

/** What an engine offers for guests that dial; `HostListeners` is its other half. */
export interface Host {
  readonly capabilities: HostCapabilities;
  /**
   * Starts a TCP connect. `ttl` holds until it stands, 0 for the host's default; `dscp` as of `setDscp`. Returns the
   * stream, or the error when it failed at once (the handler is then never called).
   */
  dial(
    address: HostAddress,
    port: number,
    ttl: number,
    handler: HostStreamHandler,
    dscp?: number,
  ): HostStream | HostErrorCode;
  /**
   * Starts a connection to the service of that name, which first gets a PROXY v2 header with `origin`; undefined:
   * nothing but the stream.
   */
  dialService(service: string, origin: Origin | undefined, handler: HostStreamHandler): HostStream | HostErrorCode;
  openDatagram(handler: HostDatagramHandler): HostDatagram | HostErrorCode;
  openEcho(handler: HostDatagramHandler): HostDatagram | HostErrorCode;
}
