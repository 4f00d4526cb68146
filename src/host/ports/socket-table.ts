/**
 * The kernel's lists of the host's sockets, /proc/net/{tcp,tcp6,udp,udp6,unix}, as far as the owner of a port can be
 * found in them.
 */
import { endianness } from 'node:os';
import { readProc } from '../proc/proc.ts';
import { boundSockets, type ListedSocket } from './bound-sockets.ts';
import { isEvery, isMapped } from './places.ts';
import type { Place, PortProtocol } from './socket-calls.ts';

/** TCP_LISTEN; UDP sockets that are not connected are in state 7. */
const LISTENING: Readonly<Record<PortProtocol, string>> = { tcp: '0A', udp: '07' };

/**
 * The sockets at `port` that keep a socket from being bound at `place`, those that listen first. Empty when the list
 * cannot be read.
 */
export function socketsInTheWay(protocol: PortProtocol, place: Place, port: number): ListedSocket[] {
  const silent = protocol === 'tcp' ? boundSockets(port) : [];
  return [...list(protocol, port), ...list(`${protocol}6`, port), ...silent]
    .filter(({ address }) => overlap(place, address))
    .sort((a, b) => Number(b.listening) - Number(a.listening));
}

/**
 * The ports at which a socket is in the way at one of the places: one look at the lists, however many ports are asked
 * about.
 */
export function portsInTheWay(protocol: PortProtocol, places: readonly Place[]): ReadonlySet<number> {
  const silent = protocol === 'tcp' ? boundSockets() : [];
  const sockets = [...list(protocol), ...list(`${protocol}6`), ...silent];
  return new Set(sockets.filter(({ address }) => places.some((one) => overlap(one, address))).map(({ port }) => port));
}

/** The inode of the socket that a process bound at a path, listening or not; undefined when there is none. */
export function unixSocketAt(path: string): number | undefined {
  // Num RefCount Protocol Flags Type St Inode Path
  for (const line of read('unix')) {
    const fields = line.trim().split(/\s+/);
    if (fields.slice(7).join(' ') === path) return Number(fields[6]);
  }
  return undefined;
}

/** All of a table, or those at the port `wanted`. */
function list(table: string, wanted?: number): ListedSocket[] {
  const end = wanted === undefined ? '' : `:${hexPort(wanted)}`;
  const found: ListedSocket[] = [];
  for (const line of read(table)) {
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    const fields = line.trim().split(/\s+/);
    const local = fields[1];
    if (local?.endsWith(end) !== true) continue;
    const [address = '', port = ''] = local.split(':');
    found.push({
      address: addressBytes(address),
      port: Number.parseInt(port, 16),
      listening: fields[3] === LISTENING[table.startsWith('tcp') ? 'tcp' : 'udp'],
      uid: Number(fields[7]),
      inode: Number(fields[9]),
    });
  }
  return found;
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

/** Words of 32 bits, each in the order of the machine. */
function addressBytes(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  return new Uint8Array(endianness() === 'LE' ? bytes.swap32() : bytes);
}

function overlap(place: Place, bound: Uint8Array): boolean {
  const bound4 = bound.length === 4 ? bound : isMapped(bound) ? bound.subarray(12) : undefined;
  const boundEvery = bound.every((byte) => byte === 0);
  // [::] may take IPv4 too: the list does not tell.
  if (place.family === 4) {
    return boundEvery || (bound4 !== undefined && (isEvery(place) || Buffer.compare(bound4, place.address) === 0));
  }
  return bound4 === undefined && (boundEvery || isEvery(place) || Buffer.compare(bound, place.address) === 0);
}

/** The lines of the thread's own network namespace, without the heading. */
function read(table: string): string[] {
  return readProc(`/proc/thread-self/net/${table}`).split('\n').slice(1, -1);
}
