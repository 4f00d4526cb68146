import { type DatagramFailure, LOOPBACK6 } from '../env/host.ts';
import {
  ICMP_COMMUNICATION_PROHIBITED,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NETWORK_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  ICMP_PROTOCOL_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
} from '../wire/icmpv4.ts';

/** What a guest is told about a lost datagram. */
export interface FailureReport {
  readonly type: number;
  readonly code: number;
  /** The one who would say so: the peer itself, or a router (the gateway, where no real one spoke). */
  readonly speaker: 'peer' | 'router';
}

function unreachable(code: number, speaker: 'peer' | 'router'): FailureReport {
  return { type: ICMP_DESTINATION_UNREACHABLE, code, speaker };
}

const PORT_UNREACHABLE = unreachable(ICMP_PORT_UNREACHABLE, 'peer');
const BY_CODE: ReadonlyMap<string, FailureReport> = new Map([
  ['ECONNREFUSED', PORT_UNREACHABLE],
  ['ENOPROTOOPT', unreachable(ICMP_PROTOCOL_UNREACHABLE, 'peer')],
  ['ENETUNREACH', unreachable(ICMP_NETWORK_UNREACHABLE, 'router')],
  ['ENETDOWN', unreachable(ICMP_NETWORK_UNREACHABLE, 'router')],
  ['EADDRNOTAVAIL', unreachable(ICMP_NETWORK_UNREACHABLE, 'router')],
  ['EAFNOSUPPORT', unreachable(ICMP_NETWORK_UNREACHABLE, 'router')],
  ['EHOSTUNREACH', unreachable(ICMP_HOST_UNREACHABLE, 'router')],
  ['EHOSTDOWN', unreachable(ICMP_HOST_UNREACHABLE, 'router')],
  ['EMSGSIZE', unreachable(ICMP_FRAGMENTATION_NEEDED, 'router')],
  // The host's firewall said no.
  ['EPERM', unreachable(ICMP_COMMUNICATION_PROHIBITED, 'router')],
  ['EACCES', unreachable(ICMP_COMMUNICATION_PROHIBITED, 'router')],
]);

/** The ICMP error for `failure`; undefined when it is no business of the guest's (the host is short of memory). */
export function reportOf(failure: DatagramFailure): FailureReport | undefined {
  const { icmpType: type, icmpCode: code } = failure;
  // [::1] is only asked after 127.0.0.1 refused: a host without IPv6 has nothing to add to that.
  if (failure.address === LOOPBACK6 && BY_CODE.has(failure.code)) return PORT_UNREACHABLE;
  if (type !== ICMP_DESTINATION_UNREACHABLE && type !== ICMP_TIME_EXCEEDED) return BY_CODE.get(failure.code);
  if (type === ICMP_DESTINATION_UNREACHABLE && code === ICMP_PORT_UNREACHABLE) return PORT_UNREACHABLE;
  return { type, code, speaker: 'router' };
}
