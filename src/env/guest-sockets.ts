import type { HostErrorCode, HostStream, HostStreamHandler } from './host.ts';

/**
 * Who takes connections to a TCP port of a guest. 'loopback': only a socket at the guest's own 127.0.0.0/8 or [::1],
 * which a SYN from outside does not reach. 'unknown': it was not looked at yet, or the last look failed; nothing may
 * rest on it.
 */
export type ListenState = 'listens' | 'loopback' | 'nobody' | 'unknown';

/** Hears that what `GuestSockets` says may have changed. */
export interface GuestSocketsWatcher {
  /** Ask again for the ports of interest. Called between turns, never from within a call to `GuestSockets`. */
  socketsChanged(): void;
}

/**
 * Sees the socket table of one guest with the guest's own kernel as the witness: of a namespace of `run`, or by an
 * agent in a virtual machine. What it says of a port is authoritative, so a forward may stop listening because of it.
 */
export interface GuestSockets {
  /** For connections to the guest's `address` (IPv4), as seen a moment ago; 'nobody' never rests on an old look. */
  tcp(address: number, port: number): ListenState;
  /**
   * Whether nobody at all takes connections to `count` ports from `first` on; then whoever watches waits for that to
   * change. Costs as much as there are ports or listeners, what is less.
   */
  deaf(address: number, first: number, count: number): boolean;
  /**
   * Looks again and again while there is a watcher, and tells it of a change, or that another watcher left: about every
   * 25 ms since ports were last said to be `deaf`, about every 100 ms otherwise, less often where looks are dear. One
   * that is added twice is kept once. Watchers are as many as forwards, so bounded there.
   */
  watch(watcher: GuestSocketsWatcher): void;
  unwatch(watcher: GuestSocketsWatcher): void;
  /**
   * Connects, from within the guest, to who listens at its loopback only; the error when that failed at once (the
   * handler is then never called). Undefined: not now; `again` is called once, between turns, when it is worth another
   * try.
   */
  dialLoopback(port: number, handler: HostStreamHandler, again: () => void): HostStream | HostErrorCode | undefined;
}
