import { type Cidr, cidrContains } from '../wire/cidr.ts';
import { IPV4_BROADCAST, isLoopbackIpv4, isMulticastIpv4 } from '../wire/ipv4.ts';
import type { OwnAddresses } from './own-addresses.ts';

export type SourceFault = 'ipv4-martian-source' | 'ipv4-spoofed-source' | 'ipv4-gateway-address-claimed';

/** What a destination is to the gateway. 'neighbor': another guest's, which the guest should have reached itself. */
export type DestinationKind = 'own' | 'outside' | 'neighbor' | 'broadcast' | 'martian';

/** Which addresses a guest may speak from and to. */
export class AddressRules {
  readonly #subnet: Cidr;
  readonly #own: OwnAddresses;

  constructor(subnet: Cidr, own: OwnAddresses) {
    this.#subnet = subnet;
    this.#own = own;
  }

  /** Why no guest may have `address`; undefined when one may. RFC 1122 §3.2.1.3. */
  sourceFault(address: number): SourceFault | undefined {
    if (cidrContains(this.#subnet, address)) {
      if (this.#own.has(address)) return 'ipv4-gateway-address-claimed';
      return this.#isSubnetEdge(address) ? 'ipv4-martian-source' : undefined;
    }
    return isMartian(address) || isMulticastIpv4(address) ? 'ipv4-martian-source' : 'ipv4-spoofed-source';
  }

  kindOf(destination: number): DestinationKind {
    if (this.#own.has(destination)) return 'own';
    if (destination === IPV4_BROADCAST || isMulticastIpv4(destination)) return 'broadcast';
    if (!cidrContains(this.#subnet, destination)) return isMartian(destination) ? 'martian' : 'outside';
    if (!this.#isSubnetEdge(destination)) return 'neighbor';
    return destination === this.#subnet.broadcast ? 'broadcast' : 'martian';
  }

  /** The network's or the broadcast address; a /31 and a /32 have neither (RFC 3021). */
  #isSubnetEdge(address: number): boolean {
    const { network, broadcast, prefix } = this.#subnet;
    return prefix < 31 && (address === network || address === broadcast);
  }
}

/** 0/8, 127/8 and 240/4 (RFC 6890): never on a wire. */
function isMartian(address: number): boolean {
  return address >>> 24 === 0 || isLoopbackIpv4(address) || address >>> 28 === 15;
}
