import { type Ipv4Route, ipv4Routes } from '../host/proc/ipv4-routes.ts';
import { type Cidr, cidrContains, cidrOf, formatCidr } from '../wire/cidr.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import type { ControlLog } from './network-control.ts';

/** Shorter prefixes are ways to everywhere: the default route, and the halves that VPNs put before it. */
const MIN_PREFIX = 8;
/** Private ranges that neither home routers nor container engines begin with. */
const SUGGESTIONS = ['10.87.0.0', '192.168.127.0', '172.29.0.0', '10.211.0.0', '192.168.201.0'];
/** Routes that were told: a VPN that comes and goes has few. */
const MAX_TOLD = 256;

/**
 * Warns of a route of this computer to addresses that the guests' subnet has as well, once for each. It never stops
 * anything: guests reach all else, and only they do not reach what lies there, because they take it for their own
 * network.
 */
export class SubnetOverlap {
  readonly #subnet: Cidr;
  readonly #log: Pick<ControlLog, 'warn'>;
  readonly #routes: () => readonly Ipv4Route[];
  readonly #told = new Set<string>();

  constructor(subnet: Cidr, log: Pick<ControlLog, 'warn'>, routes: () => readonly Ipv4Route[] = ipv4Routes) {
    this.#subnet = subnet;
    this.#log = log;
    this.#routes = routes;
  }

  /** At the start, and whenever routes may have changed. */
  look(): void {
    const routes = this.#routes().map((route) => ({ device: route.device, to: rangeOf(route) }));
    const specific = routes.filter(({ device, to }) => device !== 'lo' && to.prefix >= MIN_PREFIX);
    for (const { device, to } of specific) {
      const name = formatCidr(to);
      if (!overlaps(to, this.#subnet) || this.#told.has(name) || this.#told.size >= MAX_TOLD) continue;
      this.#told.add(name);
      const free = freeSubnet(this.#subnet.prefix, specific);
      const way = free === undefined ? 'choose another subnet' : `${free} is free`;
      this.#log.warn(
        `the guests' subnet ${formatCidr(this.#subnet)} overlaps ${name}, which this computer reaches through ${device}: guests cannot reach it; ${way} (--subnet, network.subnet)`,
      );
    }
  }
}

function rangeOf({ destination, mask }: Ipv4Route): Cidr {
  return cidrOf(destination, Math.clz32(~mask));
}

function overlaps(one: Cidr, other: Cidr): boolean {
  return cidrContains(one, other.network) || cidrContains(other, one.network);
}

function freeSubnet(prefix: number, routes: readonly { readonly to: Cidr }[]): string | undefined {
  const ranges = SUGGESTIONS.map((text) => cidrOf(parseIpv4Address(text)!, Math.max(prefix, 16)));
  const free = ranges.find((range) => !routes.some(({ to }) => overlaps(to, range)));
  return free && formatCidr(free);
}
