import type { HostErrorCode } from '../env/host.ts';
import {
  ICMP_COMMUNICATION_PROHIBITED,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NETWORK_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  type IcmpKind,
} from '../wire/icmpv4.ts';

const CODES: ReadonlyMap<HostErrorCode, IcmpKind> = new Map<HostErrorCode, IcmpKind>([
  ['ECONNREFUSED', unreachable(ICMP_PORT_UNREACHABLE)],
  ['ENETUNREACH', unreachable(ICMP_NETWORK_UNREACHABLE)],
  ['ENETDOWN', unreachable(ICMP_NETWORK_UNREACHABLE)],
  ['EHOSTUNREACH', unreachable(ICMP_HOST_UNREACHABLE)],
  ['EHOSTDOWN', unreachable(ICMP_HOST_UNREACHABLE)],
  ['EACCES', unreachable(ICMP_COMMUNICATION_PROHIBITED)],
  ['EPERM', unreachable(ICMP_COMMUNICATION_PROHIBITED)],
  ['EMSGSIZE', unreachable(ICMP_FRAGMENTATION_NEEDED)],
]);

/**
 * What a router would have told the guest where the host socket said `code` (RFC 1122 §3.2.2.1); undefined: nothing.
 */
export function unreachableFor(code: HostErrorCode): IcmpKind | undefined {
  return CODES.get(code);
}

function unreachable(code: number): IcmpKind {
  return { type: ICMP_DESTINATION_UNREACHABLE, code };
}
