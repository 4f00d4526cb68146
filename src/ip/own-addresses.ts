/**
 * The addresses that the stack itself answers for: gateway, host address, and virtual ones added later (bounded by the
 * configuration).
 */
export class OwnAddresses {
  readonly gateway: number;
  readonly host: number;
  readonly #virtual = new Set<number>();

  constructor(gateway: number, host: number) {
    this.gateway = gateway;
    this.host = host;
  }

  has(address: number): boolean {
    return address === this.gateway || address === this.host || this.#virtual.has(address);
  }

  /** All virtual addresses, in place of those before. */
  replace(addresses: Iterable<number>): void {
    this.#virtual.clear();
    for (const address of addresses) this.#virtual.add(address);
  }

  add(address: number): void {
    this.#virtual.add(address);
  }

  delete(address: number): void {
    this.#virtual.delete(address);
  }
}
