import type { Port } from '../link/port.ts';
import { Shares } from '../turn/shares.ts';
import type { Mapping } from './mapping.ts';

/** All mappings by guest address and port, and whose they are: a guest is its port of the switch, for it may speak from many addresses. */
export class MappingTable {
  readonly shares: Shares<Port, Mapping> = new Shares();
  readonly #byEndpoint = new Map<number, Mapping>();

  get count(): number {
    return this.#byEndpoint.size;
  }

  find(guestAddress: number, guestPort: number): Mapping | undefined {
    return this.#byEndpoint.get(endpoint(guestAddress, guestPort));
  }

  values(): Iterable<Mapping> {
    return this.#byEndpoint.values();
  }

  add(mapping: Mapping): void {
    this.#byEndpoint.set(endpoint(mapping.guestAddress, mapping.guestPort), mapping);
    this.shares.add(mapping);
  }

  remove(mapping: Mapping): void {
    if (this.#byEndpoint.delete(endpoint(mapping.guestAddress, mapping.guestPort))) this.shares.remove(mapping);
  }
}

function endpoint(address: number, port: number): number {
  return address * 65_536 + port;
}
