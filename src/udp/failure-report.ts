import { type DatagramFailure, LOOPBACK6 } from '../env/host.ts';

/** ICMP types and codes (RFC 792, RFC 1812 §5.2.7). */
const DESTINATION_UNREACHABLE = 3;
const TIME_EXCEEDED = 11;

/** What a guest is told about a lost datagram. */
export interface FailureReport {
  readonly type: number;
  readonly code: number;
  /** The one who would say so: the peer itself, or a router (the gateway, where no real one spoke). */
  readonly speaker: 'peer' | 'router';
}

function unreachable(code: number, speaker: 'peer' | 'router'): FailureReport {
  return { type: DESTINATION_UNREACHABLE, code, speaker };
}

const PORT_UNREACHABLE = unreachable(3, 'peer');
const BY_CODE: ReadonlyMap<string, FailureReport> = new Map([
  ['ECONNREFUSED', PORT_UNREACHABLE],
  ['ENOPROTOOPT', unreachable(2, 'peer')],
  ['ENETUNREACH', unreachable(0, 'router')],
  ['ENETDOWN', unreachable(0, 'router')],
  ['EADDRNOTAVAIL', unreachable(0, 'router')],
  ['EAFNOSUPPORT', unreachable(0, 'router')],
  ['EHOSTUNREACH', unreachable(1, 'router')],
  ['EHOSTDOWN', unreachable(1, 'router')],
  ['EMSGSIZE', unreachable(4, 'router')],
  // Communication administratively prohibited: the host's firewall said no.
  ['EPERM', unreachable(13, 'router')],
  ['EACCES', unreachable(13, 'router')],
]);

/** The ICMP error for `failure`; undefined when it is no business of the guest's (the host is short of memory). */
export function reportOf(failure: DatagramFailure): FailureReport | undefined {
  const { icmpType: type, icmpCode: code } = failure;
  // [::1] is only asked after 127.0.0.1 refused: a host without IPv6 has nothing to add to that.
  if (failure.address === LOOPBACK6 && BY_CODE.has(failure.code)) return PORT_UNREACHABLE;
  if (type !== DESTINATION_UNREACHABLE && type !== TIME_EXCEEDED) return BY_CODE.get(failure.code);
  if (type === DESTINATION_UNREACHABLE && code === 3) return PORT_UNREACHABLE;
  return { type, code, speaker: 'router' };
}
