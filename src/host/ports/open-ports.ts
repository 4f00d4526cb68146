/**
 * Binds ports with the process's own rights, then with the privileged helper's; if neither works, the error says what
 * to do.
 */
import type { SlipwayError } from '../../facts/errors.ts';
import type { HelperAnswer } from './helper-protocol.ts';
import { userName } from '../accounts.ts';
import { errnoName } from '../namespace/libc.ts';
import { type BoundPorts, boundPorts, closeSweep, DENIED, type PortRequest, type Sweep, sweepPorts } from './bind.ts';
import { askHelper } from './helper-client.ts';
import { deniedHint, listenError, type OwnForward, portError } from './port-error.ts';
import type { Place } from './socket-calls.ts';

/** The helper binds ports below this one only. */
const HELPER_PORTS_END = 1024;

export interface OpenPortsOptions {
  /** Path of the helper's socket (HELPER_SOCKET), or 'none'. */
  readonly helper: string;
  /** Names our own forward at a port, for the conflict's text. */
  readonly own?: OwnForward;
}

/**
 * Binds all ports of the request, or throws with none bound: ERR_PORT_IN_USE, ERR_PORT_DENIED, ERR_PORT_ADDRESS,
 * ERR_PORT_LIMIT, ERR_PORT_FAILED, ERR_HELPER_DENIED, ERR_HELPER_UNAVAILABLE. What needs no helper is bound before the
 * first await.
 */
export async function openPorts(request: PortRequest, { helper, own }: OpenPortsOptions): Promise<BoundPorts> {
  const sweep = sweepPorts(request, helper === 'none' ? 0 : HELPER_PORTS_END);
  if ('failure' in sweep) throw portError(request, sweep, own);
  try {
    if (sweep.denied > 0) await fillByHelper(request, sweep, { helper, ...(own && { own }) });
  } catch (error) {
    closeSweep(sweep);
    throw error;
  }
  return boundPorts(sweep);
}

/**
 * Fills the places that were denied to us with sockets of the helper; throws at the first one that the helper refuses.
 */
async function fillByHelper(request: PortRequest, sweep: Sweep, options: OpenPortsOptions): Promise<void> {
  const { fds, places } = sweep;
  for (let i = 0; i < fds.length; i++) {
    if (fds[i] !== DENIED) continue;
    const place = places[i % places.length]!;
    const port = sweep.port + Math.floor(i / places.length);
    const outcome = await askHelper(options.helper, request.protocol, place, port);
    if ('fd' in outcome) fds[i] = outcome.fd;
    else if ('answer' in outcome) throw refused(request, place, port, outcome.answer, options);
    else throw unreachable(request, place, port, outcome.unreachable, options.helper);
  }
}

function refused(
  request: PortRequest,
  place: Place,
  port: number,
  answer: HelperAnswer,
  options: OpenPortsOptions,
): SlipwayError {
  const at = { place, port };
  const named = `the helper at ${options.helper}`;
  switch (answer.status) {
    case 'bind-failed': {
      const errno = errnoName(answer.errno);
      if (errno === 'EMFILE' || errno === 'ENFILE') {
        return listenError(
          'ERR_HELPER_UNAVAILABLE',
          request,
          at,
          `${named} has no descriptor left`,
          'Try again in a moment.',
        );
      }
      // The helper has checked that it has the capability, so EACCES must have another reason.
      return portError(request, { failure: 'refused', errno, ...at }, options.own);
    }
    case 'not-allowed': {
      const uid = process.geteuid?.() ?? 0;
      const why = `permission denied: ${named} does not serve user ${userName(uid)}`;
      const hint = `Name this user and all others that it serves: sudo slipway helper install --yes --allow-uid ${uid} …`;
      return listenError('ERR_HELPER_DENIED', request, at, why, hint);
    }
    case 'too-often':
      return listenError(
        'ERR_HELPER_DENIED',
        request,
        at,
        `permission denied: ${named} was asked too often`,
        'Try again in a minute.',
      );
    default:
      return listenError(
        'ERR_HELPER_UNAVAILABLE',
        request,
        at,
        `permission denied: ${named} does not understand the request (${answer.status})`,
        'It is another version: sudo slipway helper install --yes replaces it.',
      );
  }
}

function unreachable(request: PortRequest, place: Place, port: number, errno: string, helper: string): SlipwayError {
  const at = { place, port };
  // Not installed: the usual case, in which the helper is only one of the ways out.
  if (errno === 'ENOENT') return listenError('ERR_PORT_DENIED', request, at, 'permission denied', deniedHint(port));
  if (errno === 'EACCES') {
    const why = `permission denied: this user may not connect to the helper at ${helper}`;
    return listenError('ERR_HELPER_DENIED', request, at, why, deniedHint(port));
  }
  return listenError(
    'ERR_HELPER_UNAVAILABLE',
    request,
    at,
    `permission denied: the helper at ${helper} does not answer (${errno})`,
    'systemctl status slipway-helper.socket slipway-helper.service shows why.',
  );
}
