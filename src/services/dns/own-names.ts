import { type Cidr, cidrContains } from '../../wire/cidr.ts';
import { dnsNameKey } from '../../wire/dns-name.ts';
import { parseIpv4Address } from '../../wire/ipv4-address.ts';

export interface OwnNamesOptions {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
  /** Names of the host and of the gateway; the first of each is the one that PTR tells. */
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
}

/** The names that Slipway itself answers, never the host's resolver. */
export class OwnNames {
  readonly #options: OwnNamesOptions;
  readonly #addresses = new Map<string, number>();

  constructor(options: OwnNamesOptions) {
    this.#options = options;
    for (const name of options.gatewayNames) this.#addresses.set(dnsNameKey(name), options.gateway);
    for (const name of options.hostNames) this.#addresses.set(dnsNameKey(name), options.hostAddress);
  }

  /** IPv4 address of one of our names; undefined for any other. */
  address(name: string): number | undefined {
    return this.#addresses.get(dnsNameKey(name));
  }

  /**
   * The name of an address of ours, asked for as 'd.c.b.a.in-addr.arpa' (RFC 1035 §3.5): null for an address of the subnet
   * that has no name, undefined for what is not ours to tell.
   */
  pointer(name: string): string | null | undefined {
    const digits = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(dnsNameKey(name));
    const address = digits === null ? undefined : parseIpv4Address(digits.slice(1).reverse().join('.'));
    if (address === undefined || !cidrContains(this.#options.subnet, address)) return undefined;
    const names = address === this.#options.gateway ? this.#options.gatewayNames : this.#options.hostNames;
    if (address !== this.#options.gateway && address !== this.#options.hostAddress) return null;
    return names[0] ?? null;
  }
}
