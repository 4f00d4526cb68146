import { readFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';

/** As os.networkInterfaces gives them. */
export type HostInterfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** RTF_REJECT of linux/route.h: the kernel's placeholder where there is no default route. */
const ROUTE_REJECT = 0x0200;

/**
 * The addresses by which others may reach the host, as one text to compare. Loopback and link-local addresses are left
 * out: every container that starts brings one along, and no name depends on them.
 */
export function addressesOf(interfaces: HostInterfaces): string {
  return outward(interfaces)
    .map(({ address }) => address)
    .sort()
    .join(' ');
}

/**
 * Whether the host can speak IPv6 beyond its link. A global address (2000::/3, RFC 4291 §2.4) says so; a unique local
 * one (RFC 4193) only with a default route, because every container bridge has one.
 */
export function reachesIpv6(interfaces: HostInterfaces, defaultRoute: () => boolean): boolean {
  const addresses = outward(interfaces).filter(({ family }) => family === 'IPv6');
  if (addresses.some(({ address }) => /^[23][0-9a-f]{3}:/i.test(address))) return true;
  return addresses.some(({ address }) => /^f[cd][0-9a-f]{2}:/i.test(address)) && defaultRoute();
}

/** Whether the kernel has an IPv6 default route that leads anywhere; false where there is no such table (not Linux). */
export function hasIpv6Route(): boolean {
  try {
    return readFileSync('/proc/net/ipv6_route', 'utf8').split('\n').some(isDefaultRoute);
  } catch {
    return false;
  }
}

/**
 * A line of /proc/net/ipv6_route: destination, prefix, source, prefix, next hop, metric, references, use, flags,
 * device.
 */
export function isDefaultRoute(line: string): boolean {
  const [destination, prefix, , , , , , , flags, device] = line.trim().split(/\s+/);
  if (destination !== '0'.repeat(32) || prefix !== '00' || flags === undefined) return false;
  return (Number.parseInt(flags, 16) & ROUTE_REJECT) === 0 && device !== 'lo';
}

function outward(interfaces: HostInterfaces): NetworkInterfaceInfo[] {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^fe[89ab][0-9a-f]:/i.test(address));
}
