import type { ZodType } from 'zod';
import { clientKey } from '../dhcp/dhcp-client.ts';
import {
  type AddressRange,
  type CustomOption,
  type DhcpOptions,
  MIN_LEASE_SECONDS,
  type Reservation,
  type StaticRoute,
} from '../dhcp/dhcp-options.ts';
import { SlipwayError } from '../facts/errors.ts';
import { type Cidr, firstHost, formatCidr, lastHost, parseCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { formatMac, parseMac } from '../wire/mac.ts';
import { customOptionsSchema, hexBytes, OPTION_BYTES } from './dhcp-custom-option.ts';
import { type AddressPlan, freeAddresses, guestAddresses, isHostOf } from './network.ts';
import type { SchemaParts } from './schema-parts.ts';
import { hostName, integer, ipv4Address, Mismatch, type ValueParser, yesOrNo } from './values.ts';

/** A lease lasts a day: guests are few and the pool is theirs. */
const DEFAULT_LEASE_SECONDS = 86_400;
/** 64 leases behind one attachment: nested guests and bridges, not a flood of made-up MACs. */
const DEFAULT_LEASES_PER_GUEST = 64;
/** The longest lease: 0xffffffff would be one without end (RFC 2132 §9.2). */
const MAX_LEASE_SECONDS = 0xffff_fffe;
/** Of one kind: NTP and DNS servers, search domains. */
const MAX_SERVERS = 16;
const MAX_ROUTES = 64;
const MAX_RESERVATIONS = 4_096;

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

export const macAddress: ValueParser<number> = (raw) => {
  const mac = typeof raw === 'string' ? parseMac(raw) : undefined;
  // The lowest bit of the first byte makes a group of it, which sends nothing.
  return mac !== undefined && mac !== 0 && Math.floor(mac / 2 ** 40) % 2 === 0
    ? mac
    : new Mismatch('the MAC address of one card such as 5a:94:ef:00:00:01');
};

/**
 * A client identifier (option 61) as the keys that leases know it by. Hexadecimal ("01:5a:94:…", "0xff00…") is taken
 * byte for byte. Text has two forms on the wire, by itself (dhclient) and after a type byte of 0 (RFC 2132 §9.14,
 * dhcpcd): both are meant.
 */
export const clientIdentifier: ValueParser<readonly string[]> = (raw) => {
  const expected = 'a client identifier: text of 2 to 254 bytes, or hexadecimal such as "01:5a:94:ef:00:00:01"';
  if (typeof raw !== 'string') return new Mismatch(expected);
  const hex = /^0x((?:[0-9a-f]{2})+)$/i.exec(raw)?.[1] ?? (/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(raw) ? raw : undefined);
  if (hex !== undefined) {
    const bytes = hexBytes(hex.replaceAll(':', ''));
    if (bytes === undefined || bytes.length < 2 || bytes.length > OPTION_BYTES) return new Mismatch(expected);
    return [
      clientKey(
        bytes,
        bytes.slice(1).reduce((mac, byte) => mac * 256 + byte, 0),
      ),
    ];
  }
  const text = new TextEncoder().encode(raw);
  if (text.length < 2 || text.length >= OPTION_BYTES) return new Mismatch(expected);
  return [clientKey(text, 0), clientKey(Uint8Array.of(0, ...text), 0)];
};

/** The destination of a static route; the default route is always the gateway's (RFC 3442). */
const routeDestination: ValueParser<Cidr> = (raw) => {
  const cidr = typeof raw === 'string' ? parseCidr(raw) : undefined;
  if (cidr === undefined || cidr.prefix === 0) return new Mismatch('a network such as 10.0.0.0/8, prefix 1 to 32');
  return formatCidr(cidr) === raw ? cidr : new Mismatch(`the address of the network, ${formatCidr(cidr)}`);
};

/** One label: it becomes NAME.vm.docker.internal. */
const clientName: ValueParser<string> = (raw) => {
  const name = typeof raw === 'string' && !raw.includes('.') ? hostName(raw) : undefined;
  return typeof name === 'string' && /^[a-z0-9-]+$/.test(name)
    ? name
    : new Mismatch('a name without dots, of letters, digits and hyphens, such as web');
};

/** '' for none. */
const domainName: ValueParser<string> = (raw) => (raw === '' ? '' : hostName(raw));

export function dhcpSchema(parts: SchemaParts): ZodType<DhcpInput> {
  const { list, value, z } = parts;
  const route = z
    .strictObject({ to: value(routeDestination), via: value(ipv4Address) })
    .transform(({ to, via }) => ({ destination: to, via }));
  return z
    .strictObject({
      leaseSeconds: value(integer(MIN_LEASE_SECONDS, MAX_LEASE_SECONDS)),
      range: z.strictObject({ first: value(ipv4Address), last: value(ipv4Address) }),
      domain: value(domainName),
      search: list(hostName, MAX_SERVERS),
      ntp: list(ipv4Address, MAX_SERVERS),
      dns: list(ipv4Address, MAX_SERVERS),
      routes: z.array(route).max(MAX_ROUTES, `at most ${MAX_ROUTES} routes`),
      options: customOptionsSchema(parts),
      reservations: z.array(reservationSchema(parts)).max(MAX_RESERVATIONS, `at most ${MAX_RESERVATIONS} reservations`),
      leasesPerGuest: value(integer(1, 4_096)),
      probe: value(yesOrNo),
    })
    .partial();
}

function reservationSchema({ value, z }: SchemaParts): ZodType<ReservationInput> {
  return z
    .strictObject({
      mac: value(macAddress).optional(),
      clientId: value(clientIdentifier).optional(),
      address: value(ipv4Address).optional(),
      name: value(clientName).optional(),
    })
    .superRefine(({ mac, clientId, address, name }, context) => {
      if (mac === undefined && clientId === undefined) {
        context.addIssue({ code: 'custom', message: 'mac or clientId, to recognise the guest' });
      }
      if (address === undefined && name === undefined) {
        context.addIssue({ code: 'custom', message: 'address or name, to give to the guest' });
      }
    })
    .transform(({ clientId, ...rest }) => ({ ...rest, ...(clientId !== undefined && { clientKeys: clientId }) }));
}

/**
 * Fills in the defaults and checks the addresses against the network's. Throws SlipwayError ERR_ADDRESSES or
 * ERR_CONFIG_INVALID.
 */
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

/** Text can be meant as two identifiers (see `clientIdentifier`): one reservation for each. */
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
  refuse('dhcp.range', 'gateway and host address leave no address for a guest', 'Make the range larger.');
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
  if (isHostOf(subnet, address)) return;
  refuse(
    key,
    `${formatIpv4Address(address)} is not a guest's address in the subnet ${formatCidr(subnet)}`,
    `Choose one from ${freeAddresses(subnet, ...taken)}.`,
  );
}

function refuse(key: string, why: string, hint: string): never {
  throw new SlipwayError('ERR_ADDRESSES', `${key}: ${why}`, hint);
}
