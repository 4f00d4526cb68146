import { endianness } from 'node:os';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { readProc } from './proc.ts';

/** RTF_UP and RTF_GATEWAY of <linux/route.h>. */
const RTF_UP = 1;
const RTF_GATEWAY = 2;

/** A line of /proc/net/route. Addresses are unsigned 32-bit numbers. */
export interface Ipv4Route {
  readonly device: string;
  readonly destination: number;
  readonly mask: number;
  readonly gateway: number;
  readonly metric: number;
}

/** The IPv4 routes of this computer's main table that are up, in the kernel's order; none where /proc does not tell. */
export function ipv4Routes(file = '/proc/net/route'): readonly Ipv4Route[] {
  const routes: Ipv4Route[] = [];
  for (const line of readProc(file).split('\n').slice(1)) {
    const [device = '', destination = '', gateway = '', flags = '', , , metric = '', mask = ''] = line.split(/\s+/);
    if ((Number.parseInt(flags, 16) & RTF_UP) === 0) continue;
    routes.push({
      device,
      destination: nativeAddress(destination),
      mask: nativeAddress(mask),
      gateway: (Number.parseInt(flags, 16) & RTF_GATEWAY) === 0 ? 0 : nativeAddress(gateway),
      metric: Number(metric),
    });
  }
  return routes;
}

/** The gateway of the default route with the smallest metric, as text; undefined while there is none. */
export function defaultGateway(routes: readonly Ipv4Route[] = ipv4Routes()): string | undefined {
  let best: Ipv4Route | undefined;
  for (const route of routes) {
    if (route.mask !== 0 || route.gateway === 0) continue;
    if (best === undefined || route.metric < best.metric) best = route;
  }
  return best === undefined ? undefined : formatIpv4Address(best.gateway);
}

/**
 * The kernel prints the four bytes of an address, which are in network order, as one number of this machine's order.
 */
function nativeAddress(hex: string): number {
  const number = Number.parseInt(hex, 16) >>> 0;
  if (endianness() === 'BE') return number;
  return (((number & 0xff) << 24) | ((number & 0xff00) << 8) | ((number >>> 8) & 0xff00) | (number >>> 24)) >>> 0;
}
