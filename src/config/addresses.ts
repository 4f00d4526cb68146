import { type Cidr, firstHost, formatCidr, lastHost } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { DEFAULT_SUBNET } from './defaults.ts';
import { SlipwayError } from '../facts/errors.ts';
import { Mismatch, subnet as parseSubnet } from './values.ts';

/** The addresses that Slipway itself owns, checked against each other. */
export interface AddressPlan {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
}

/**
 * Completes the addresses: the gateway is the subnet's first address and the host address its last, unless told.
 * Throws SlipwayError ERR_ADDRESSES when they do not fit together.
 */
export function addressPlan(wanted: {
  readonly subnet?: Cidr | undefined;
  readonly gateway?: number | undefined;
  readonly hostAddress?: number | undefined;
}): AddressPlan {
  const subnet = wanted.subnet ?? defaultSubnet();
  refuseReserved(subnet);
  const gateway = wanted.gateway ?? firstHost(subnet);
  const last = lastHost(subnet);
  // Who puts the gateway at the end, as some routers do, gets the host address before it.
  const hostAddress = wanted.hostAddress ?? (gateway === last ? last - 1 : last);
  checkInside('gateway', gateway, subnet, wanted.hostAddress);
  checkInside('host address', hostAddress, subnet, gateway);
  if (gateway === hostAddress) {
    throw new SlipwayError(
      'ERR_ADDRESSES',
      `gateway and host address are both ${formatIpv4Address(gateway)}`,
      'Give them two different addresses of the subnet: the gateway routes, the host address reaches the host itself.',
    );
  }
  return { subnet, gateway, hostAddress };
}

function defaultSubnet(): Cidr {
  const parsed = parseSubnet(DEFAULT_SUBNET);
  if (parsed instanceof Mismatch) throw new Error('the default subnet is malformed');
  return parsed;
}

/** The addresses of the subnet that are left beside those that are taken, for a hint: "192.168.65.2 to 192.168.65.253". */
export function freeAddresses(subnet: Cidr, ...taken: readonly (number | undefined)[]): string {
  let [first, last] = [firstHost(subnet), lastHost(subnet)];
  while (taken.includes(first)) first++;
  while (taken.includes(last)) last--;
  const between = taken.filter((address) => address !== undefined && address > first && address < last);
  const except =
    between.length > 0 ? `, except ${between.map((address) => formatIpv4Address(address!)).join(' and ')}` : '';
  return `${formatIpv4Address(first)} to ${formatIpv4Address(last)}${except}`;
}

/** Those that guests can have. */
export function guestAddresses({ subnet, gateway, hostAddress }: AddressPlan): string {
  return freeAddresses(subnet, gateway, hostAddress);
}

function checkInside(what: string, address: number, subnet: Cidr, taken: number | undefined): void {
  if (address >= firstHost(subnet) && address <= lastHost(subnet)) return;
  const why =
    address === subnet.network
      ? 'is the network address of'
      : address === subnet.broadcast
        ? 'is the broadcast address of'
        : 'is outside of';
  throw new SlipwayError(
    'ERR_ADDRESSES',
    `the ${what} ${formatIpv4Address(address)} ${why} the subnet ${formatCidr(subnet)}`,
    `Choose one from ${freeAddresses(subnet, taken)}.`,
  );
}

/** Ranges whose addresses a guest's kernel would not route to a gateway (RFC 6890). */
function refuseReserved(subnet: Cidr): void {
  const firstByte = subnet.network >>> 24;
  const kind =
    firstByte === 0
      ? 'is "this network"'
      : firstByte === 127
        ? 'is loopback'
        : firstByte >= 224
          ? 'is multicast or reserved'
          : undefined;
  if (kind === undefined) return;
  throw new SlipwayError(
    'ERR_ADDRESSES',
    `the subnet ${formatCidr(subnet)} ${kind} (RFC 6890), guests cannot use it`,
    'Choose a private one such as 192.168.65.0/24 or 10.87.0.0/24.',
  );
}
