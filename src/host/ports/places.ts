/** Which addresses of the host a forward's text means, and how errors show them. */
import { networkInterfaces } from 'node:os';
import { parseIpv4Address } from '../../wire/ipv4-address.ts';
import { formatIpv6Address, parseIpv6Address } from '../../wire/ipv6-address.ts';
import { close } from '../namespace/libc.ts';
import { bindSocket, errorName, type Place } from './socket-calls.ts';

const EVERY4: Place = { family: 4, address: new Uint8Array(4), scope: 0 };
const EVERY6: Place = { family: 6, address: new Uint8Array(16), scope: 0 };

/**
 * '' is every address: IPv4, and IPv6 too unless `ipv4Only` or the host has none. Else one address as text, a
 * link-local one with its interface ('fe80::1%eth0'). Undefined for text that is no address.
 */
export function placesOf(address: string, ipv4Only: boolean): readonly Place[] | undefined {
  if (address === '') return ipv4Only || !hasIpv6() ? [EVERY4] : [EVERY4, EVERY6];
  const address4 = parseIpv4Address(address);
  if (address4 !== undefined) {
    return [{ family: 4, address: Uint8Array.from([24, 16, 8, 0], (shift) => address4 >>> shift), scope: 0 }];
  }
  const [plain = '', zone] = address.split('%', 2);
  const address6 = parseIpv6Address(plain);
  if (address6 === undefined) return undefined;
  if (isMapped(address6)) return [{ family: 4, address: address6.slice(12), scope: 0 }];
  return [{ family: 6, address: address6, scope: zone === undefined ? 0 : interfaceNumber(zone) }];
}

/** "0.0.0.0:80", "[::1]:80", and "[::]:8000-8100" where `last` is given. */
export function showPlace(place: Place, port: number, last: number = port): string {
  const ports = last === port ? `${port}` : `${port}-${last}`;
  return place.family === 4
    ? `${place.address.join('.')}:${ports}`
    : `[${formatIpv6Address(place.address, 0)}]:${ports}`;
}

/** True for 0.0.0.0 and ::. */
export function isEvery(place: Place): boolean {
  return place.address.every((byte) => byte === 0);
}

/** IPv4 in IPv6's form, ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
export function isMapped(address: Uint8Array): boolean {
  return address.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
}

/**
 * Not from a list of interfaces: a kernel without IPv6 refuses the socket, one that has it switched off the address.
 */
function hasIpv6(): boolean {
  const fd = bindSocket('udp', EVERY6, 0);
  if (fd >= 0) close(fd);
  return fd >= 0 || !['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT'].includes(errorName(fd));
}

/** By name or number; 0 (which no link-local address can be bound with) for one that is not there. */
function interfaceNumber(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  return networkInterfaces()[zone]?.find(({ family }) => family === 'IPv6')?.scopeid ?? 0;
}
