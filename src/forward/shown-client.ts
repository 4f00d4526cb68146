import { type HostAddress, LOOPBACK6 } from '../env/host.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';

/**
 * A client of the host's side for people: "10.1.2.3:50000"; of other IPv6 than ::1 the port alone, of a unix socket
 * "a socket".
 */
export function shownClient(address: HostAddress, port: number): string {
  if (address === LOOPBACK6) return `[::1]:${port}`;
  if (address >= 0 && address < 2 ** 32) return `${formatIpv4Address(address)}:${port}`;
  return address < 0 ? 'a socket' : `[IPv6]:${port}`;
}
