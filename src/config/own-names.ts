import type { DnsConfig } from './dns-config.ts';

/** Below it, guests have their names. */
const GUESTS = 'vm.docker.internal';

/** Names that Slipway's DNS server answers by itself, as Docker, Podman and Lima have them. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  ...['host', 'gateway', 'http', 'kubernetes', 'vm'].map((name) => `${name}.docker.internal`),
  ...['host', 'gateway'].map((name) => `${name}.containers.internal`),
  'host.lima.internal',
  ...['mac', 'win'].flatMap((system) =>
    ['localhost', 'host.internal', 'gateway.internal', 'http.internal'].map((name) => `docker.for.${system}.${name}`),
  ),
]);

/** Whether the name (lower case, without a last dot) means the host, the gateway or a guest already. */
export function isOwnName(name: string, dns?: Pick<DnsConfig, 'hostNames' | 'gatewayNames'>): boolean {
  if (OWN_NAMES.has(name) || name.endsWith(`.${GUESTS}`)) return true;
  return dns !== undefined && (dns.hostNames.includes(name) || dns.gatewayNames.includes(name));
}
