import type { ZodType } from 'zod';
import { SlipwayError } from '../facts/errors.ts';
import { type Cidr, firstHost, formatCidr, lastHost, parseCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { SchemaParts } from './schema-parts.ts';
import { integer, ipv4Address, Mismatch, type ValueParser } from './values.ts';

const DEFAULT_SUBNET = '192.168.65.0/24';
/** Ethernet's own: what any guest takes without being told. */
export const DEFAULT_MTU = 1500;
/** `slipway run` has a tap with offloads, where a frame may be as long as an IP packet. */
export const DEFAULT_RUN_MTU = 65520;

/** The addresses that Slipway itself owns, checked against each other. */
export interface AddressPlan {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
}

/** The key `network`, complete. */
export interface NetworkConfig extends AddressPlan {
  /** Bytes. */
  readonly mtu: number;
}

/** The same as a person said it. */
export type NetworkInput = { readonly [Key in keyof NetworkConfig]?: NetworkConfig[Key] | undefined };

/**
 * 576: the least that every IPv4 host must take (RFC 791). 65520: what fits in one IP packet of 65,535 bytes, rounded
 * down to 16.
 */
export const mtuBytes: ValueParser<number> = integer(576, 65520);

/** 8 to 29: a gateway, the host address and at least one guest must fit. */
export const subnet: ValueParser<Cidr> = (raw) => {
  const cidr = typeof raw === 'string' ? parseCidr(raw) : undefined;
  if (cidr === undefined || cidr.prefix < 8 || cidr.prefix > 29) {
    return new Mismatch('a subnet such as 192.168.65.0/24, with a prefix from 8 to 29');
  }
  // Host bits that are set are more often a slip than meant: say which network it would be.
  return formatCidr(cidr) === raw ? cidr : new Mismatch(`the address of the network, ${formatCidr(cidr)}`);
};

export function networkSchema({ z, value }: SchemaParts): ZodType<NetworkInput> {
  return z
    .strictObject({
      subnet: value(subnet),
      gateway: value(ipv4Address),
      hostAddress: value(ipv4Address),
      mtu: value(mtuBytes),
    })
    .partial();
}

/**
 * Fills in the defaults: the gateway is the subnet's first address and the host address its last. Throws SlipwayError
 * ERR_ADDRESSES when they do not fit together.
 */
export function resolveNetwork(input: NetworkInput): NetworkConfig {
  const within = input.subnet ?? parseCidr(DEFAULT_SUBNET)!;
  refuseReserved(within);
  const gateway = input.gateway ?? firstHost(within);
  const last = lastHost(within);
  // Who puts the gateway at the end, as some routers do, gets the host address before it.
  const hostAddress = input.hostAddress ?? (gateway === last ? last - 1 : last);
  checkInside('gateway', gateway, within, input.hostAddress);
  checkInside('host address', hostAddress, within, gateway);
  if (gateway === hostAddress) {
    throw new SlipwayError(
      'ERR_ADDRESSES',
      `gateway and host address are both ${formatIpv4Address(gateway)}`,
      'Give them two different addresses of the subnet: the gateway routes, the host address reaches the host itself.',
    );
  }
  return { subnet: within, gateway, hostAddress, mtu: input.mtu ?? DEFAULT_MTU };
}

/** Whether the address is one that a host of the subnet can have. */
export function isHostOf(subnet: Cidr, address: number): boolean {
  return address >= firstHost(subnet) && address <= lastHost(subnet);
}

/** Whether the address is one that guests can have. */
export function isGuestOf({ subnet, gateway, hostAddress }: AddressPlan, address: number): boolean {
  return isHostOf(subnet, address) && address !== gateway && address !== hostAddress;
}

/**
 * The addresses of the subnet that are left beside those that are taken, for a hint: "192.168.65.2 to 192.168.65.253".
 */
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
  if (isHostOf(subnet, address)) return;
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
