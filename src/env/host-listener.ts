/** The host's listening side: sockets that clients of the host reach, for forwards. */
import type { DatagramBatch, HostAddress, HostErrorCode, HostStream, HostStreamHandler } from './host.ts';

/** Where an accepted connection or a datagram of a client came from. Valid only during the call that hands it over. */
export interface HostClient {
  /**
   * IPv4 as a number; LOOPBACK4 … for 127/8 as it is; LOOPBACK6 for ::1; −1 for any other IPv6 address and for unix
   * sockets.
   */
  readonly address: HostAddress;
  /** 0 for unix sockets. */
  readonly port: number;
  /**
   * The client's address and ours as the socket has them, 16 bytes each (IPv4 as ::ffff:a.b.c.d; zeros for unix), for
   * PROXY headers.
   */
  readonly clientBytes: Uint8Array;
  readonly localBytes: Uint8Array;
  readonly localPort: number;
}

export interface HostListenerHandler {
  /**
   * A client connected at listener `index` of the range. Returns who hears of the stream from now on; undefined turns
   * it away with a reset. The stream is connected: its handler's `connected` and `failed` are never called, `readable`
   * may be from the next turn on.
   */
  accepted(stream: HostStream, client: HostClient, index: number): HostStreamHandler | undefined;
  /**
   * Listener `index` cannot be opened. Only an engine that binds by itself (kind 'addresses') calls this, since it may
   * learn of the error only after `listenStreams` returned. Close the HostListener then.
   */
  failed?(code: HostErrorCode, index: number): void;
}

/**
 * The listening sockets of one forward (a range of ports), bound by someone else. When accept fails (EMFILE,
 * ECONNABORTED) it counts 'forward-accept-failed', pauses and goes on by itself.
 */
export interface HostListener {
  /**
   * Stops listening but stays bound: clients are refused (ECONNREFUSED), those that wait to be accepted are reset, no
   * one else gets the port. Idempotent. Without the capability `refusal`, and for unix sockets once they have listened,
   * clients are accepted and reset instead (a unix socket's client sees an end).
   */
  pause(): void;
  /** Listens (again). Returns the error when the host refuses. */
  resume(): HostErrorCode | undefined;
  /** Closes all sockets, if possible before it returns. Accepted streams stay open. Idempotent. */
  close(): void;
}

/**
 * UDP sockets of a forward's range, bound by someone else: what clients send comes in, answers go out from the same
 * port.
 */
export interface HostDatagramServer {
  /**
   * Receives up to `count` datagrams of socket `index`, number i into `slotBytes` at `at + i * slotBytes`; fills
   * `batch` (address −1: an IPv6 client, told apart by `client`), and client[i] = a handle (≥ 0, bounded, least
   * recently used goes) to answer to. Returns the count; 0 when none waits.
   */
  receive(
    index: number,
    batch: DatagramBatch,
    client: Int32Array,
    at: number,
    slotBytes: number,
    count: number,
  ): number;
  /**
   * A handle for whoever is at an IPv4 address and port and has not sent anything: what goes to it leaves from socket
   * `index`. −1 where that socket is of IPv6 or bound to a loopback address. What comes from there may bring another
   * handle.
   */
  reach(index: number, address: number, port: number): number;
  /**
   * Sends [at, at + length) from socket `index` to the client behind the handle; false when it is gone or the host has
   * no room. Copies at once; answers of one turn leave together when it ends, and what the host has no room for then is
   * lost.
   */
  send(index: number, client: number, at: number, length: number): boolean;
  close(): void;
}

export interface HostDatagramServerHandler {
  readable(index: number): void;
}

/**
 * What to listen on: descriptors bound by the control thread (epoll), or addresses to bind (portable engine). One for
 * each port of the range and family.
 */
export type BoundSockets =
  | {
      readonly kind: 'descriptors';
      /**
       * Close-on-exec, non-blocking; owned by the engine from the call on, also when it fails. TCP: bound to a port by
       * its number (one that the kernel chose at bind to 0 is lost when listening stops), SO_REUSEADDR off again.
       */
      readonly fds: readonly number[];
      /** Place in the range of each. */
      readonly index: readonly number[];
    }
  | {
      readonly kind: 'addresses';
      readonly addresses: readonly {
        readonly address: string;
        readonly port: number;
        readonly index: number;
        readonly path?: string;
      }[];
    };

/** What an engine offers for forwards beside `Host`. */
export interface HostListeners {
  /** Listens on bound stream sockets (TCP or unix), paused: `resume` begins. */
  listenStreams(sockets: BoundSockets, handler: HostListenerHandler): HostListener | HostErrorCode;
  /** Serves bound UDP sockets. */
  serveDatagrams(sockets: BoundSockets, handler: HostDatagramServerHandler): HostDatagramServer | HostErrorCode;
  /**
   * Takes over a connected stream socket (one end of a pair) as a stream; owns `fd` from the call on, also when it
   * fails (then it is closed). It is connected: the handler's `connected` and `failed` are never called.
   */
  adoptStream(fd: number, handler: HostStreamHandler): HostStream | HostErrorCode;
}
