import type { GuestSockets, GuestSocketsWatcher, ListenState } from '../../src/env/guest-sockets.ts';
import type { HostErrorCode, HostStream, HostStreamHandler } from '../../src/env/host.ts';

/** A guest's socket table that a test writes; watchers hear of each change at once. */
export class KnownSockets implements GuestSockets {
  /** What ports say that are not in `ports`. */
  others: ListenState = 'nobody';
  /** How its loopback is dialled. */
  dial: (port: number, handler: HostStreamHandler, again: () => void) => HostStream | HostErrorCode | undefined = () =>
    'ECONNREFUSED';
  readonly watchers = new Set<GuestSocketsWatcher>();
  readonly #ports = new Map<number, ListenState>();

  set(port: number, state: ListenState): void {
    this.#ports.set(port, state);
    for (const watcher of [...this.watchers]) watcher.socketsChanged();
  }

  tcp(_address: number, port: number): ListenState {
    return this.#ports.get(port) ?? this.others;
  }

  deaf(address: number, first: number, count: number): boolean {
    return Array.from({ length: count }, (_, i) => this.tcp(address, first + i)).every((state) => state === 'nobody');
  }

  watch(watcher: GuestSocketsWatcher): void {
    this.watchers.add(watcher);
  }

  unwatch(watcher: GuestSocketsWatcher): void {
    this.watchers.delete(watcher);
  }

  dialLoopback(port: number, handler: HostStreamHandler, again: () => void): HostStream | HostErrorCode | undefined {
    return this.dial(port, handler, again);
  }
}
