import { cidrContains, firstHost, formatCidr, lastHost } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { type AddressPlan, freeAddresses, guestAddresses } from './addresses.ts';
import type { ApiConfig } from './api-config.ts';
import type { DnsConfig } from './dns-config.ts';
import { SlipwayError } from '../facts/errors.ts';
import { type ForwardSpec, forwardId, type ServiceForward } from './forward.ts';
import { isOwnName } from '../facts/own-names.ts';
import { GATEWAY_SERVICES, GATEWAY_SERVICE_TITLES } from '../facts/gateway-services.ts';

/** One of the key `services` as a person said it: without an address it is at the gateway. */
export interface ServiceInput {
  readonly protocol: 'tcp' | 'udp';
  readonly address?: number | undefined;
  readonly port?: number | undefined;
  readonly name?: string | undefined;
  readonly target: ServiceForward['target'];
}

/** Checks the guests' addresses, and that each host end stands once. Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID. */
export function resolveForwards(forwards: readonly ForwardSpec[], plan: AddressPlan): readonly ForwardSpec[] {
  const seen = new Set<string>();
  for (const spec of forwards) {
    if (spec.guest.address !== undefined) checkGuest(`the forward ${forwardId(spec)}`, spec.guest.address, plan);
    const id = forwardId(spec);
    const chosen = spec.host.kind === 'port' && spec.host.port === 0;
    if (seen.has(id) && !chosen) {
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `forwards: ${id} stands there twice`,
        'Each host port can be forwarded once.',
      );
    }
    seen.add(id);
  }
  return [...forwards];
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
        `${keyOf(index)}: ${key} stands there twice`,
        'Each can lead to one target.',
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

function checkGuest(what: string, address: number, plan: AddressPlan): void {
  const { subnet, gateway, hostAddress } = plan;
  const inside = cidrContains(subnet, address) && address >= firstHost(subnet) && address <= lastHost(subnet);
  if (inside && address !== gateway && address !== hostAddress) return;
  throw new SlipwayError(
    'ERR_ADDRESSES',
    `${what} leads to ${formatIpv4Address(address)}, which is no guest's address of ${formatCidr(subnet)}`,
    `Choose one from ${guestAddresses(plan)}.`,
  );
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

/** A service of the host would go before Slipway's own (`decide` in src/flow/route.ts), and take it away from all guests. */
function checkGatewayPort(key: string, protocol: 'tcp' | 'udp', port: number, api: ApiConfig): void {
  const own = GATEWAY_SERVICES.get(`${protocol}:${port}`);
  if (own === undefined || (own === 'api-guest' && api.guest === 'none')) return;
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    `${key}: at the gateway's ${protocol} port ${port} is ${GATEWAY_SERVICE_TITLES[own]}, which no guest would reach any more`,
    'Choose another port, or an address of its own.',
  );
}

function checkServiceAddress(key: string, address: number, { subnet, hostAddress }: AddressPlan): void {
  const inside = cidrContains(subnet, address) && address >= firstHost(subnet) && address <= lastHost(subnet);
  if (inside && address !== hostAddress) return;
  throw new SlipwayError(
    'ERR_ADDRESSES',
    address === hostAddress
      ? `${key}: ${formatIpv4Address(address)} is the host address, which reaches every port of this computer already`
      : `${key}: ${formatIpv4Address(address)} is outside of the subnet ${formatCidr(subnet)}`,
    `Choose a free one from ${freeAddresses(subnet, hostAddress)}.`,
  );
}
