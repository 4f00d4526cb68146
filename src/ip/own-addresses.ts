/** The addresses that the stack itself answers for: gateway, host address, and virtual ones added later (bounded by the configuration). */
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

  add(address: number): void {
    this.#virtual.add(address);
  }

  delete(address: number): void {
    this.#virtual.delete(address);
  }
}
