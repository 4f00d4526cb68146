import type { ZodType } from 'zod';
import { SlipwayError } from '../facts/errors.ts';
import { GATEWAY_SERVICE_TITLES, GATEWAY_SERVICES } from '../facts/gateway-ports.ts';
import { isOwnName } from '../facts/own-names.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';
import type { ApiConfig } from './api.ts';
import type { DnsConfig } from './dns.ts';
import type { ServiceForward } from './forward.ts';
import { type AddressPlan, freeAddresses, isHostOf } from './network.ts';
import type { SchemaParts } from './schema-parts.ts';
import { hostName, integer, ipv4Address, Mismatch, oneOf, socketPath, type ValueParser } from './values.ts';

/** 4,096: the network looks each connection of a guest up in them. */
export const MAX_SERVICES = 4_096;

/** One of the key `services` as a person said it: without an address it is at the gateway. */
export interface ServiceInput {
  readonly protocol: 'tcp' | 'udp';
  readonly address?: number | undefined;
  readonly port?: number | undefined;
  readonly name?: string | undefined;
  readonly target: ServiceForward['target'];
}

/** Where guests' connections to a service go: "127.0.0.1:5432", "127.0.0.1" (the port stays), "unix:/run/db.sock". */
const serviceTarget: ValueParser<ServiceForward['target']> = (raw) => {
  const expected = new Mismatch('a service of this computer such as "127.0.0.1:5432", 127.0.0.1 or unix:/run/db.sock');
  if (typeof raw !== 'string') return expected;
  if (raw.startsWith('unix:')) {
    const path = socketPath(raw.slice(5));
    return path instanceof Mismatch ? path : { kind: 'unix', path };
  }
  const match = /^([\d.]+)(?::(\d{1,5}))?$/.exec(raw);
  const address = parseIpv4Address(match?.[1] ?? '');
  const port = Number(match?.[2] ?? 0);
  if (address === undefined || port > 65_535 || match?.[2] === '0') return expected;
  return { kind: 'port', address, port };
};

/** One of `services`. */
export function serviceSchema({ value, z }: SchemaParts): ZodType<ServiceInput> {
  return z
    .strictObject({
      protocol: value(oneOf('tcp', 'udp')).default('tcp'),
      address: value(ipv4Address).optional(),
      port: value(integer(1, 65_535)).optional(),
      name: value(hostName).optional(),
      target: value(serviceTarget),
    })
    .superRefine(({ protocol, address, port, target }, context) => {
      const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
      if (address === undefined && port === undefined) refuse('port, address or both, for guests to connect to');
      else if (target.kind === 'unix' && protocol === 'udp') refuse('tcp when the target is a unix socket');
      else if (target.kind === 'unix' && port === undefined) refuse('a port when the target is a unix socket');
      else if (target.kind === 'port' && target.port > 0 && port === undefined)
        refuse('a port when the target has one');
    });
}

export function servicesSchema(parts: SchemaParts): ZodType<readonly ServiceInput[]> {
  return parts.z.array(serviceSchema(parts)).max(MAX_SERVICES, `at most ${MAX_SERVICES} services`);
}

/** Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID, which name a service by `keyOf`. */
export function resolveServices(
  services: readonly ServiceInput[],
  plan: AddressPlan,
  dns: Pick<DnsConfig, 'hostNames' | 'gatewayNames'>,
  api: ApiConfig,
  keyOf: (index: number) => string = (index) => `services.${index}`,
): readonly ServiceForward[] {
  const seen = new Set<string>();
  const named = new Map<string, number>();
  return services.map(({ protocol, address = plan.gateway, port = 0, name = '', target }, index) => {
    checkServiceAddress(`${keyOf(index)}.address`, address, plan);
    if (address === plan.gateway) checkGatewayPort(`${keyOf(index)}.port`, protocol, port, api);
    const key = `${protocol} ${formatIpv4Address(address)}:${port}`;
    if (seen.has(key)) {
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `${keyOf(index)}: ${key} is listed twice`,
        'Each can have one target.',
      );
    }
    seen.add(key);
    if (name !== '') {
      checkServiceName(`${keyOf(index)}.name`, name, address, named.get(name), dns);
      named.set(name, address);
    }
    return { protocol, address, port, name, target };
  });
}

function checkServiceName(
  key: string,
  name: string,
  address: number,
  before: number | undefined,
  dns: Pick<DnsConfig, 'hostNames' | 'gatewayNames'>,
): void {
  if (isOwnName(name, dns)) {
    throw new SlipwayError(
      'ERR_CONFIG_INVALID',
      `${key}: ${name} is one of Slipway's own names, for the host, the gateway or a guest`,
      'Choose another name, or leave it out.',
    );
  }
  if (before === undefined || before === address) return;
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    `${key}: ${name} is the name of ${formatIpv4Address(before)} already`,
    'Choose another name for one of the two addresses, or give both services one address.',
  );
}

/**
 * A service of the host would go before Slipway's own (`decide` in src/flow/route.ts), and take it away from all
 * guests.
 */
function checkGatewayPort(key: string, protocol: 'tcp' | 'udp', port: number, api: ApiConfig): void {
  const own = GATEWAY_SERVICES.get(`${protocol}:${port}`);
  if (own === undefined || (own === 'api-guest' && api.guest === 'none')) return;
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    `${key}: the gateway's ${protocol} port ${port} is ${GATEWAY_SERVICE_TITLES[own]}, which guests could no longer reach`,
    'Choose another port, or an address of its own.',
  );
}

function checkServiceAddress(key: string, address: number, { subnet, hostAddress }: AddressPlan): void {
  if (isHostOf(subnet, address) && address !== hostAddress) return;
  throw new SlipwayError(
    'ERR_ADDRESSES',
    address === hostAddress
      ? `${key}: ${formatIpv4Address(address)} is the host address, which reaches every port of this computer already`
      : `${key}: ${formatIpv4Address(address)} is outside of the subnet ${formatCidr(subnet)}`,
    `Choose a free one from ${freeAddresses(subnet, hostAddress)}.`,
  );
}
