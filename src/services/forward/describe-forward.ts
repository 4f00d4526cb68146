import { type ForwardSpec, forwardId, type ServiceForward } from '../../config/forward.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';

/** "tcp:*:8080 → 192.168.65.3:80" */
export function describeForward(spec: ForwardSpec): string {
  return `${forwardId(spec)} → ${describeGuest(spec)}`;
}

function describeGuest({ guest, count }: ForwardSpec): string {
  const address = guest.address === undefined ? 'the first guest' : formatIpv4Address(guest.address);
  if (guest.kind === 'ssh') return `${guest.path} by ssh ${guest.user}@${address}:${guest.port}`;
  return `${address}:${guest.port}${count > 1 ? `-${guest.port + count - 1}` : ''}`;
}

/** "tcp 192.168.65.10:5432" */
export function serviceKey({ protocol, address, port }: Pick<ServiceForward, 'protocol' | 'address' | 'port'>): string {
  return `${protocol} ${formatIpv4Address(address)}:${port === 0 ? '*' : port}`;
}
