/**
 * Binds the ports of a forward, all or none, on the control thread: conflicts are known before anything listens, and
 * the network thread only listens on the descriptors.
 *
 * A whole range is one synchronous sweep (8,192 ports of both families: see test/host/ports/bind.test.ts). How many
 * descriptors it takes is held against RLIMIT_NOFILE before the first is made.
 */
import { readdirSync, statSync } from 'node:fs';
import type { BoundSockets } from '../../env/host-listener.ts';
import { close, declare } from '../namespace/libc.ts';
import { placesOf } from './places.ts';
import { bindSocket, boundAt, errorName, type Place, type PortProtocol } from './socket-calls.ts';

const getrlimit: (resource: number, limit: BigUint64Array) => number = declare(
  'int getrlimit(int resource, void *limit)',
);
const RLIMIT_NOFILE = 7;

export interface PortRequest {
  readonly protocol: PortProtocol;
  /** '' every address of both families; else one address as text. */
  readonly address: string;
  /** The first of the range; 0 (only with `count` 1): the host chooses, the same for both families. */
  readonly port: number;
  /** 1 to 65,535 */
  readonly count: number;
  /** Leaves IPv6 out where `address` is ''. */
  readonly ipv4Only: boolean;
  /**
   * The error names neither who holds a port nor the next free one: finding them takes some 20 ms of the control
   * thread.
   */
  readonly terse?: true;
}

/** Bound and not listening; whoever gets this owns the descriptors. */
export interface BoundPorts {
  readonly sockets: Extract<BoundSockets, { readonly kind: 'descriptors' }>;
  /** The first port. */
  readonly boundPort: number;
  /** How many descriptors it holds. */
  readonly descriptors: number;
}

/** Why nothing was bound. */
export type BindFailure =
  /** The host refused one socket: EADDRINUSE, EACCES, EADDRNOTAVAIL, EMFILE … */
  | { readonly failure: 'refused'; readonly errno: string; readonly place: Place; readonly port: number }
  /** The text is no address. */
  | { readonly failure: 'no-address' }
  | { readonly failure: 'limit'; readonly places: readonly Place[]; readonly room: DescriptorRoom };

/** Descriptors of this process. */
export interface DescriptorRoom {
  /** RLIMIT_NOFILE: how many it may have open. */
  readonly limit: number;
  readonly open: number;
}

/** Kept free beside a range, for connections and files. */
export const DESCRIPTORS_KEPT_FREE = 64;
/** How often another port is chosen because its twin of the other family is taken. */
const CHOICES = 32;
/** In `Sweep.fds`: this user may not bind the port, but the helper may. */
export const DENIED = -1;

/** What a sweep bound so far: socket p of port number i is at [i * places.length + p]. */
export interface Sweep {
  readonly port: number;
  readonly places: readonly Place[];
  readonly fds: number[];
  readonly denied: number;
}

/** Binds all ports of the request with this process's own rights. */
export function bindPorts(request: PortRequest): BoundPorts | BindFailure {
  const sweep = sweepPorts(request, 0);
  return 'failure' in sweep ? sweep : boundPorts(sweep);
}

/** The same, but ports below `helperEnd` that the user may not bind are left out (DENIED) instead of ending it. */
export function sweepPorts(request: PortRequest, helperEnd: number): Sweep | BindFailure {
  const { address, port, count, ipv4Only } = request;
  if (count < 1 || port + count > 65_536 || (port === 0 && count !== 1))
    throw new RangeError(`ports ${port} + ${count}`);
  const places = placesOf(address, ipv4Only);
  if (places === undefined) return { failure: 'no-address' };
  const room = descriptorRoom();
  if (room.open + places.length * count + DESCRIPTORS_KEPT_FREE > room.limit) return { failure: 'limit', places, room };
  if (port === 0) return sweepChosen(request.protocol, places);
  return sweepRange(request, places, helperEnd);
}

/** A complete sweep, in the form that an engine listens on. */
export function boundPorts({ port, places, fds }: Sweep): BoundPorts {
  const index = fds.map((_, i) => Math.floor(i / places.length));
  return { sockets: { kind: 'descriptors', fds, index }, boundPort: port, descriptors: fds.length };
}

/** Gives all of it back. */
export function closeSweep({ fds }: { readonly fds: readonly number[] }): void {
  for (const fd of fds) if (fd >= 0) close(fd);
}

/** Gives bound ports back that no engine has taken over. */
export function closePorts({ sockets }: BoundPorts): void {
  closeSweep(sockets);
}

function sweepRange(request: PortRequest, places: readonly Place[], helperEnd: number): Sweep | BindFailure {
  const fds: number[] = [];
  let denied = 0;
  for (let port = request.port; port < request.port + request.count; port++) {
    for (const place of places) {
      const fd = bindSocket(request.protocol, place, port);
      if (fd >= 0) {
        fds.push(fd);
        continue;
      }
      const errno = errorName(fd);
      if (errno === 'EACCES' && port < helperEnd) {
        fds.push(DENIED);
        denied++;
        continue;
      }
      closeSweep({ fds });
      return { failure: 'refused', errno, place, port };
    }
  }
  return { port: request.port, places, fds, denied };
}

/** The kernel chooses for the first family; the other one must have the same port free. */
function sweepChosen(protocol: PortProtocol, places: readonly Place[]): Sweep | BindFailure {
  let failed: BindFailure | undefined;
  // All tries stay bound to the end, so that the kernel does not choose the same again.
  const tried: number[] = [];
  for (let tries = 0; tries < CHOICES; tries++) {
    const fds: number[] = [];
    let port = 0;
    failed = undefined;
    for (const place of places) {
      const fd = port === 0 ? bindChosen(protocol, place) : bindSocket(protocol, place, port);
      if (fd < 0) {
        failed = { failure: 'refused', errno: errorName(fd), place, port };
        break;
      }
      fds.push(fd);
      port = boundAt(fd)?.port ?? 0;
    }
    if (failed === undefined) {
      closeSweep({ fds: tried });
      return { port, places, fds, denied: 0 };
    }
    tried.push(...fds);
    if (failed.errno !== 'EADDRINUSE') break;
  }
  closeSweep({ fds: tried });
  return failed!;
}

/**
 * Bound by number at a port that the kernel chooses: a TCP socket that the kernel itself gave a port gets another one
 * when it listens again after a pause (`shutdown` releases it).
 */
function bindChosen(protocol: PortProtocol, place: Place): number {
  const chosen = bindSocket(protocol, place, 0);
  if (chosen < 0 || protocol === 'udp') return chosen;
  const port = boundAt(chosen)?.port ?? 0;
  close(chosen);
  return bindSocket(protocol, place, port);
}

function descriptorRoom(): DescriptorRoom {
  const limit = new BigUint64Array(2);
  // Another program may have changed it (prlimit). Reading it from /proc would cost as much as binding twenty ports.
  if (getrlimit(RLIMIT_NOFILE, limit) !== 0) return { limit: Number.POSITIVE_INFINITY, open: 0 };
  return { limit: Number(limit[0]), open: openDescriptors() };
}

function openDescriptors(): number {
  // Linux 6.2 and later say how many there are; before, all have to be read, which takes one itself.
  return statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length - 1;
}
