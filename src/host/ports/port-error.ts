/**
 * What a person reads when a port cannot be bound. It begins with Go's words, "listen tcp 0.0.0.0:80: bind: address
 * already in use", because Docker prints the same and tools search for it. What Docker does not say follows.
 */
import { readFileSync } from 'node:fs';
import { type ErrorCode, SlipwayError } from '../../facts/errors.ts';
import { userName } from '../accounts.ts';
import { type BindFailure, DESCRIPTORS_KEPT_FREE, type PortRequest } from './bind.ts';
import { nextFreePort } from './next-free.ts';
import { describeOwner, type PortOwner, portOwner } from './owner.ts';
import { showPlace } from './places.ts';
import type { Place, PortProtocol } from './socket-calls.ts';

/** A forward of this process at a port: "tcp:*:80 → 192.168.65.3:80"; undefined when there is none. */
export type OwnForward = (protocol: PortProtocol, place: Place, port: number) => string | undefined;

type Refusal = Extract<BindFailure, { readonly failure: 'refused' }>;

/**
 * The error for a request of which nothing was bound. Looks for the owner of a port, which may take some milliseconds.
 */
export function portError(request: PortRequest, failure: BindFailure, own: OwnForward = () => undefined): SlipwayError {
  if (failure.failure === 'no-address') {
    return new SlipwayError(
      'ERR_PORT_ADDRESS',
      `listen ${request.protocol} ${request.address}: bind: cannot assign requested address: it is not an IP address`,
      'Give an address of this computer, or leave it out for all of them.',
    );
  }
  if (failure.failure === 'limit') return limitError(request, failure);
  switch (failure.errno) {
    case 'EADDRINUSE':
      return inUse(request, failure, own);
    case 'EACCES':
      return listenError('ERR_PORT_DENIED', request, failure, 'permission denied', deniedHint(failure.port));
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return listenError(
        'ERR_PORT_ADDRESS',
        request,
        failure,
        'cannot assign requested address',
        'This computer has no such address now (ip address shows them); Slipway can wait for an address that comes later, such as a VPN’s.',
      );
    case 'EMFILE':
    case 'ENFILE':
      return listenError('ERR_PORT_LIMIT', request, failure, 'too many open files', 'Raise the limit: ulimit -n.');
    default:
      return listenError('ERR_PORT_FAILED', request, failure, failure.errno, '');
  }
}

/** "listen tcp 0.0.0.0:80: bind: <why>" */
export function listenError(
  code: ErrorCode,
  request: Pick<PortRequest, 'protocol'>,
  { place, port }: Pick<Refusal, 'place' | 'port'>,
  why: string,
  hint: string,
): SlipwayError {
  return new SlipwayError(code, `listen ${request.protocol} ${showPlace(place, port)}: bind: ${why}`, hint);
}

/** What to do so that this user may bind a privileged port. */
export function deniedHint(port: number): string {
  const start = unprivilegedStart();
  if (port >= start) {
    return `Privileged ports end at ${start - 1} here: a security policy of this computer (SELinux, AppArmor, seccomp) denies it.`;
  }
  const name = userName(process.geteuid?.() ?? 0);
  const allow = /^\d+$/.test(name) ? `--allow-uid ${name}` : `--allow-user ${name}`;
  return (
    `Ports below ${start} are privileged. Let a small service bind them for this user: sudo slipway helper install --yes ${allow}; ` +
    `or open them to all users: sudo sysctl net.ipv4.ip_unprivileged_port_start=${port}; or choose a port from ${start} up.`
  );
}

/** The first port that needs no privilege. */
function unprivilegedStart(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
  } catch {
    return 1024;
  }
}

function inUse(request: PortRequest, failure: Refusal, own: OwnForward): SlipwayError {
  if (request.terse === true) return listenError('ERR_PORT_IN_USE', request, failure, 'address already in use', '');
  const owner = portOwner(request.protocol, failure.place, failure.port);
  const ours = own(request.protocol, failure.place, failure.port);
  const free = request.port === 0 ? undefined : nextFreePort(request, failure.port);
  const range = request.count > 1 ? `range ${free}-${(free ?? 0) + request.count - 1}` : `port ${free}`;
  const why = `address already in use: ${describeHolder(owner, ours)}${free === undefined ? '' : `; next free ${range}`}`;
  return listenError('ERR_PORT_IN_USE', request, failure, why, 'Stop what holds it, or publish at another port.');
}

function describeHolder(owner: PortOwner, ours: string | undefined): string {
  if (ours !== undefined) return `held by this Slipway: ${ours}`;
  if (owner.kind === 'process' && owner.pid === process.pid) return `held by this Slipway (pid ${owner.pid})`;
  return describeOwner(owner);
}

function limitError(
  request: PortRequest,
  { places, room }: Extract<BindFailure, { readonly failure: 'limit' }>,
): SlipwayError {
  const { protocol, port, count } = request;
  const takes = count * places.length;
  const families = places.length > 1 ? `, one for IPv4 and one for IPv6 each` : '';
  const wanted = room.open + takes + DESCRIPTORS_KEPT_FREE;
  const fewer = places.length > 1 ? `, or use IPv4 only, which needs half as many` : '';
  return new SlipwayError(
    'ERR_PORT_LIMIT',
    `listen ${protocol} ${showPlace(places[0]!, port, port + count - 1)}: too many open files: ${count} ports take ${takes} descriptors${families}; ` +
      `this process may have ${room.limit} (RLIMIT_NOFILE), and ${room.open} are open`,
    `Start Slipway after ulimit -n ${wanted} (LimitNOFILE=${wanted} in a systemd unit)${fewer}.`,
  );
}
