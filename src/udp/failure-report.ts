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
  type IcmpKind,
} from '../wire/icmpv4.ts';
import { PROTOCOL_UDP } from '../wire/ipv4.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import type { Mapping } from './mapping.ts';
import type { UdpOptions } from './udp-options.ts';

/** What a guest is told about a lost datagram. */
interface FailureReport extends IcmpKind {
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

/**
 * Tells the guest by ICMP what became of its datagram, in the name of the peer or router that said so. One that only
 * the host's own MTU was too small for left in fragments: an error is due to whoever probes the path, others just learn
 * the MTU.
 */
export function reportFailure(
  { errors, gatewayAddress }: Pick<UdpOptions, 'errors' | 'gatewayAddress'>,
  mapping: Mapping,
  failure: DatagramFailure,
): void {
  const report = reportOf(failure);
  const { neighbor } = mapping;
  if (report === undefined || !neighbor.port.attached) return;
  const service = mapping.translation(failure.address, failure.port);
  const remote = service?.address ?? mapping.seenAs(failure.address);
  const port = service?.port ?? failure.port;
  if (remote === undefined) return;
  const router = failure.offender === 0 ? gatewayAddress : (mapping.seenAs(failure.offender) ?? failure.offender);
  if (failure.code === 'EMSGSIZE' && failure.offender === 0 && !mapping.probesPath) {
    if (failure.mtu > 0) errors.pathMtu(neighbor, mapping.guestAddress, remote, failure.mtu);
    return;
  }
  const length = UDP_HEADER_BYTES + Math.max(0, failure.length);
  const quoted = {
    protocol: PROTOCOL_UDP,
    source: mapping.guestAddress,
    destination: remote,
    firstWord: ((mapping.guestPort << 16) | port) >>> 0,
    secondWord: (length << 16) >>> 0,
    length,
  };
  const source = report.speaker === 'peer' ? remote : router;
  errors.aboutQuoted(neighbor, quoted, report, source, failure.mtu);
}

/** The ICMP error for `failure`; undefined when it does not concern the guest (the host is short of memory). */
function reportOf(failure: DatagramFailure): FailureReport | undefined {
  const { icmpType: type, icmpCode: code } = failure;
  // [::1] is only asked after 127.0.0.1 refused: a host without IPv6 has nothing to add to that.
  if (failure.address === LOOPBACK6 && BY_CODE.has(failure.code)) return PORT_UNREACHABLE;
  if (type !== ICMP_DESTINATION_UNREACHABLE && type !== ICMP_TIME_EXCEEDED) return BY_CODE.get(failure.code);
  if (type === ICMP_DESTINATION_UNREACHABLE && code === ICMP_PORT_UNREACHABLE) return PORT_UNREACHABLE;
  return { type, code, speaker: 'router' };
}
