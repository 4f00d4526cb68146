/**
 * Who takes connections to a TCP port of a guest. 'loopback': only a socket at the guest's own 127.0.0.0/8, which a SYN
 * from outside does not reach. 'unknown': it was not looked at yet, or the last look failed; nothing may rest on it.
 */
export type ListenState = 'listens' | 'loopback' | 'nobody' | 'unknown';

/** Hears that what `GuestSockets` says may have changed. */
export interface GuestSocketsWatcher {
  /** Ask again for the ports of interest. Called in a turn of the network, never from within `watch`. */
  socketsChanged(): void;
}

/**
 * Sees the socket table of one guest with the guest's own kernel as the witness: of a namespace of `run`, or by an agent in
 * a virtual machine. What it says of a port is authoritative, so a forward may stop listening because of it.
 */
export interface GuestSockets {
  /** As last seen, for connections to the guest's `address` (IPv4). Without a watcher what was seen may be old. */
  tcp(address: number, port: number): ListenState;
  /**
   * Looks again and again, about every 25 ms, while there is a watcher, and tells it within that time. One that is added
   * twice is kept once. Watchers are as many as forwards, so bounded there.
   */
  watch(watcher: GuestSocketsWatcher): void;
  unwatch(watcher: GuestSocketsWatcher): void;
}
