import { type Cidr, cidrContains, firstHost, lastHost } from '../wire/cidr.ts';
import type { AddressRange } from './dhcp-options.ts';

export interface AddressPoolOptions {
  readonly subnet: Cidr;
  /** The whole subnet unless told. */
  readonly range?: AddressRange | undefined;
  /** Left out although no one has them. */
  readonly excluded?: readonly number[];
  /**
   * Whether the gateway itself answers for an address: its own, the host's, virtual ones. May change while the network
   * runs.
   */
  readonly isOwn: (address: number) => boolean;
}

/**
 * Which addresses there are to give. Network and broadcast address and whatever the gateway owns are never among them.
 */
export class AddressPool {
  readonly first: number;
  readonly last: number;
  readonly #subnet: Cidr;
  readonly #excluded: ReadonlySet<number>;
  readonly #isOwn: (address: number) => boolean;

  constructor(options: AddressPoolOptions) {
    const { subnet, range } = options;
    this.#subnet = subnet;
    this.#isOwn = options.isOwn;
    this.#excluded = new Set(options.excluded);
    this.first = Math.max(firstHost(subnet), range?.first ?? 0);
    this.last = Math.min(lastHost(subnet), range?.last ?? 0xffff_ffff);
  }

  /** How many addresses lie between the ends. */
  get size(): number {
    return Math.max(0, this.last - this.first + 1);
  }

  /** The lowest address that a guest without a reservation may get; undefined when there is none. */
  get lowest(): number | undefined {
    for (let address = this.first; address <= this.last; address++) if (this.has(address)) return address;
    return undefined;
  }

  /** Whether it lies in the subnet at all. */
  onLink(address: number): boolean {
    return cidrContains(this.#subnet, address);
  }

  /** Whether any guest may have the address, by reservation or from the pool. */
  assignable(address: number): boolean {
    return address >= firstHost(this.#subnet) && address <= lastHost(this.#subnet) && !this.#isOwn(address);
  }

  /** Whether guests without a reservation may get it. */
  has(address: number): boolean {
    return address >= this.first && address <= this.last && !this.#excluded.has(address) && !this.#isOwn(address);
  }
}
