import { type Cidr, firstHost, formatCidr, lastHost } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { DEFAULT_SUBNET } from './defaults.ts';
import { SlipwayError } from './errors.ts';
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
  checkInside('gateway', gateway, subnet);
  checkInside('host address', hostAddress, subnet);
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

function checkInside(what: string, address: number, subnet: Cidr): void {
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
    `Choose one from ${formatIpv4Address(firstHost(subnet))} to ${formatIpv4Address(lastHost(subnet))}.`,
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
