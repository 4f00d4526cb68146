import type { NetworkStatus } from '../../control/network-status.ts';
import type { Reservation } from '../../dhcp/dhcp-options.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { formatMac } from '../../wire/mac.ts';

/** What gvproxy shows of the network. */
export interface NetworkFacts {
  readonly gateway: { readonly address: number; readonly mac: number };
  readonly reservations: readonly Reservation[];
  status(): Promise<NetworkStatus>;
}

/** /leases: address → MAC, with the gateway's and those that are reserved, as gvproxy has them from the start. */
export function leasesOf({ gateway, reservations }: NetworkFacts, { leases }: NetworkStatus): Record<string, string> {
  const all = new Map<number, number>();
  for (const { address, mac } of reservations) if (address !== undefined && mac !== undefined) all.set(address, mac);
  for (const { address, mac } of leases) all.set(address, mac);
  all.set(gateway.address, gateway.mac);
  return sorted([...all].map(([address, mac]) => [formatIpv4Address(address), formatMac(mac)]));
}

/** /cam: MAC → number of the guest's connection. */
export function camOf({ guests }: NetworkStatus): Record<string, number> {
  return sorted(guests.flatMap(({ mac }, index) => (mac === undefined ? [] : [[formatMac(mac), index]])));
}

/** Go writes the keys of a map in order. */
function sorted<Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}
