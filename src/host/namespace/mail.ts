/**
 * What the launcher (outside) and init (inside) say to each other: the guest's description once, in a file without a
 * name, then events and requests as small JSON texts over the socket. Both ends are this package, of the same version.
 */

import type { Offloads } from '../../env/offloads.ts';
import type { ErrorCode } from '../../facts/errors.ts';
import { receiveDescriptor, sendDescriptor } from './scm-rights.ts';

/** Descriptors that init starts with, beside its own 0 to 2 (nothing, nothing, the diagnosis). */
export const SOCKET_FD = 3;
export const DESCRIPTION_FD = 4;
/** COMMAND's own standard input, output and error. */
export const STANDARD_FDS: readonly [number, number, number] = [5, 6, 7];

/** Everything that init needs to know; IPv4 addresses and the MAC as numbers. */
export interface GuestDescription {
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly tapName: string;
  readonly mac: number;
  readonly address: number;
  readonly prefix: number;
  readonly gateway: number;
  readonly mtu: number;
  readonly txQueueLength: number;
  readonly resolvConf: string;
  /** SIGHUP means nothing to COMMAND, as to what `nohup` starts. */
  readonly ignoresHangup: boolean;
}

/**
 * From init. `ready` carries the tap's descriptor. Before it come, where the kernel has them, `socket-table`
 * (NETLINK_SOCK_DIAG: what listens in this network) and `socket-source` (`serveSockets`), each with its own.
 */
export type InitEvent =
  | { readonly kind: 'socket-table' }
  | { readonly kind: 'socket-source' }
  | { readonly kind: 'ready'; readonly offloads: Offloads }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string }
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: number };

/** From the launcher. Its end of the socket closing means: end at once. */
export type LauncherRequest = { readonly kind: 'proceed' } | { readonly kind: 'signal'; readonly signal: number };

/** False when the other side is gone. */
export function say(socket: number, mail: InitEvent | LauncherRequest, descriptor?: number): boolean {
  return sendDescriptor(socket, Buffer.from(JSON.stringify(mail)), descriptor);
}

/** The next one with its descriptor (−1: none), 'end' when the other side is gone, undefined when none waits. */
export function hear<Mail>(socket: number): { mail: Mail; descriptor: number } | 'end' | undefined {
  const received = receiveDescriptor(socket);
  if (received === undefined) return undefined;
  if (received.payload.length === 0) return 'end';
  return {
    mail: JSON.parse(Buffer.from(received.payload).toString()) as Mail,
    descriptor: received.descriptor,
  };
}
