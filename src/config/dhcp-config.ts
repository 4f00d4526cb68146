import type { AddressRange, CustomOption, DhcpOptions, Reservation, StaticRoute } from '../dhcp/dhcp-options.ts';
import { type Cidr, cidrContains, firstHost, formatCidr, lastHost } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { formatMac } from '../wire/mac.ts';
import { type AddressPlan, freeAddresses, guestAddresses } from './addresses.ts';
import { DEFAULT_LEASE_SECONDS, DEFAULT_LEASES_PER_GUEST } from './defaults.ts';
import { SlipwayError } from '../facts/errors.ts';

/** The key `dhcp` as a person said it. */
export interface DhcpInput {
  readonly leaseSeconds?: number | undefined;
  readonly range?: AddressRange | undefined;
  readonly domain?: string | undefined;
  readonly search?: readonly string[] | undefined;
  readonly ntp?: readonly number[] | undefined;
  readonly dns?: readonly number[] | undefined;
  readonly routes?: readonly StaticRoute[] | undefined;
  readonly options?: readonly CustomOption[] | undefined;
  readonly reservations?: readonly ReservationInput[] | undefined;
  readonly leasesPerGuest?: number | undefined;
  readonly probe?: boolean | undefined;
}

/** A reservation before its client identifier became one or two keys. */
export interface ReservationInput {
  readonly mac?: number | undefined;
  readonly clientKeys?: readonly string[] | undefined;
  readonly address?: number | undefined;
  readonly name?: string | undefined;
}

/** The key `dhcp`, complete: what the core's server takes. The range is always there. */
export type DhcpConfig = DhcpOptions & { readonly range: AddressRange };

/** Fills in the defaults and checks the addresses against the network's. Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID. */
export function resolveDhcp(input: DhcpInput, plan: AddressPlan): DhcpConfig {
  // The second address stays free: Docker Desktop's guests begin at .3, and so do the examples of everyone.
  const range = input.range ?? { first: firstHost(plan.subnet) + 2, last: lastHost(plan.subnet) };
  checkRange(range, plan);
  checkRoutes(input.routes ?? [], plan);
  checkReservations(input.reservations ?? [], plan);
  return {
    leaseSeconds: input.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    range: { ...range },
    domainName: input.domain ?? '',
    searchDomains: [...(input.search ?? [])],
    ntpServers: [...(input.ntp ?? [])],
    dnsServers: [...(input.dns ?? [])],
    routes: [...(input.routes ?? [])],
    customOptions: [...(input.options ?? [])],
    reservations: (input.reservations ?? []).flatMap(reservationsOf),
    leasesPerGuest: input.leasesPerGuest ?? DEFAULT_LEASES_PER_GUEST,
    probe: input.probe ?? true,
  };
}

/** Text can be meant as two identifiers (see `clientIdentifier` in dhcp-values.ts): one reservation for each. */
function reservationsOf({ clientKeys, ...rest }: ReservationInput): Reservation[] {
  if (clientKeys === undefined) return [rest];
  return clientKeys.map((clientKey) => ({ ...rest, clientKey }));
}

function checkRange({ first, last }: AddressRange, plan: AddressPlan): void {
  if (first > last) {
    refuse(
      'dhcp.range',
      `first ${formatIpv4Address(first)} comes after last ${formatIpv4Address(last)}`,
      'Swap the two.',
    );
  }
  checkHostOf('dhcp.range.first', first, plan.subnet);
  checkHostOf('dhcp.range.last', last, plan.subnet);
  const own = Number(inRange(plan.gateway, first, last)) + Number(inRange(plan.hostAddress, first, last));
  if (last - first + 1 > own) return;
  refuse('dhcp.range', 'no address is left for a guest besides gateway and host address', 'Make the range larger.');
}

function inRange(address: number, first: number, last: number): boolean {
  return address >= first && address <= last;
}

function checkRoutes(routes: readonly StaticRoute[], { subnet }: AddressPlan): void {
  for (const [index, { via }] of routes.entries()) checkHostOf(`dhcp.routes.${index}.via`, via, subnet);
}

function checkReservations(reservations: readonly ReservationInput[], plan: AddressPlan): void {
  const taken = new Map<string, number>();
  const once = (index: number, what: string): void => {
    const before = taken.get(what);
    if (before !== undefined) {
      const where = `dhcp.reservations.${index}`;
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `${where}: ${what} is reserved already, by dhcp.reservations.${before}`,
        'Each MAC, client identifier, address and name can be reserved once.',
      );
    }
    taken.set(what, index);
  };
  for (const [index, { mac, clientKeys, address, name }] of reservations.entries()) {
    if (mac !== undefined) once(index, `the MAC ${formatMac(mac)}`);
    for (const key of clientKeys ?? []) once(index, `the client identifier ${key.replace(/^id-/, '')}`);
    if (name !== undefined) once(index, `the name ${name.toLowerCase()}`);
    if (address === undefined) continue;
    once(index, `the address ${formatIpv4Address(address)}`);
    const key = `dhcp.reservations.${index}.address`;
    checkHostOf(key, address, plan.subnet, plan.gateway, plan.hostAddress);
    if (address !== plan.gateway && address !== plan.hostAddress) continue;
    const owner = address === plan.gateway ? 'gateway' : 'host address';
    refuse(key, `${formatIpv4Address(address)} is the ${owner}`, `Choose one from ${guestAddresses(plan)}.`);
  }
}

/** `taken`: what inside of the subnet is refused elsewhere, so that the hint does not recommend it. */
function checkHostOf(key: string, address: number, subnet: Cidr, ...taken: readonly number[]): void {
  if (cidrContains(subnet, address) && address >= firstHost(subnet) && address <= lastHost(subnet)) return;
  refuse(
    key,
    `${formatIpv4Address(address)} is no guest's address of the subnet ${formatCidr(subnet)}`,
    `Choose one from ${freeAddresses(subnet, ...taken)}.`,
  );
}

function refuse(key: string, why: string, hint: string): never {
  throw new SlipwayError('ERR_ADDRESSES', `${key}: ${why}`, hint);
}
