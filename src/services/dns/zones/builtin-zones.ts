import { SlipwayError } from '../../../facts/errors.ts';
import { BUILT_IN_NAMES, GUEST_ZONE } from '../../../facts/own-names.ts';
import type { ZoneDescription, ZoneRecord } from '../../../config/dns-zones.ts';
import { type Cidr, cidrContains, firstHost, lastHost } from '../../../wire/cidr.ts';
import { parseIpv4Address } from '../../../wire/ipv4-address.ts';
import { canonicalKey, isAtOrBelow } from './zone-names.ts';
import { NAME_HINT, relativeName } from './zone-record.ts';

/** 127.0.0.1: Kubernetes runs in the guest that asks. */
const LOOPBACK = 0x7f00_0001;

interface BuiltinOptions {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
  /** More names of the host and of the gateway (`dns.hostNames`, `dns.gatewayNames`). */
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
  /** `dns.hosts`, for the reverse names of addresses in the subnet. */
  readonly hosts?: readonly { readonly name: string; readonly addresses: readonly string[] }[];
}

/** The zones that Slipway answers without configuration. */
export interface BuiltinZones {
  readonly zones: readonly ZoneDescription[];
  /** Its reverse tree is ours. */
  readonly subnet: Cidr;
  /** The guest's address while no lease is known. */
  readonly guestAddress: number;
  /** Names (keys) from `dns.hosts` for addresses of the subnet. */
  readonly addressNames: ReadonlyMap<number, string>;
}

/**
 * The built-in zones. A zone takes all names below it from the host's resolver, so each is as small as its makers
 * allow: names of the configuration that lie in no zone of Docker, Podman or Lima are zones of just their name. Throws
 * SlipwayError ERR_DNS_ZONE for a name that is none.
 */
export function builtinZones(options: BuiltinOptions): BuiltinZones {
  const { subnet, gateway, hostAddress } = options;
  const records = new Map<string, ZoneRecord[]>();
  const add = (zone: string, name: string, address: number): void => {
    const there = records.get(zone) ?? [];
    // One name is one place: a name that both lists have is the host.
    if (there.some((record) => record.name === name)) return;
    records.set(zone, [...there, { name, data: { type: 'A', address } }]);
  };
  const addresses = { host: hostAddress, gateway, loopback: LOOPBACK };
  for (const { zone, name, means } of BUILT_IN_NAMES) add(zone, name, addresses[means]);
  records.set(GUEST_ZONE, []);
  const families = [...records.keys()];
  const addNamed = (names: readonly string[], address: number): void => {
    for (const name of names) {
      const key = canonicalKey(name);
      if (key === undefined || key === '') throw badName(name);
      const family = families
        .filter((zone) => isAtOrBelow(key, zone))
        .reduce((longest, zone) => (zone.length > longest.length ? zone : longest), '');
      const zone = family === '' ? key : family;
      add(zone, relativeName(zone, key), address);
    }
  };
  addNamed(options.hostNames, hostAddress);
  addNamed(options.gatewayNames, gateway);
  return {
    zones: [...records].map(([name, all]) => ({ name, records: all })),
    subnet,
    guestAddress: firstGuest(subnet, gateway, hostAddress),
    addressNames: namesOfAddresses(subnet, options.hosts ?? []),
  };
}

/** Of several names of one address the first. */
function namesOfAddresses(subnet: Cidr, hosts: NonNullable<BuiltinOptions['hosts']>): Map<number, string> {
  const names = new Map<number, string>();
  for (const { name, addresses } of hosts) {
    const key = canonicalKey(name);
    if (key === undefined) continue;
    for (const address of addresses.map(parseIpv4Address)) {
      if (address === undefined || !cidrContains(subnet, address) || names.has(address)) continue;
      names.set(address, key);
    }
  }
  return names;
}

/** The subnet's .3, as in Docker Desktop; the next free one if that is the gateway or host address. */
function firstGuest(subnet: Cidr, gateway: number, hostAddress: number): number {
  const free = (address: number): boolean => address !== gateway && address !== hostAddress;
  const last = lastHost(subnet);
  for (let address = Math.min(firstHost(subnet) + 2, last); address <= last; address++)
    if (free(address)) return address;
  for (let address = firstHost(subnet); address < last; address++) if (free(address)) return address;
  return firstHost(subnet);
}

function badName(name: string): SlipwayError {
  return new SlipwayError('ERR_DNS_ZONE', `${JSON.stringify(name)} cannot be a name of the host or gateway`, NAME_HINT);
}
