import type { Counters } from '../env/counters.ts';
import type { Host } from '../env/host.ts';
import { isSameGuest } from '../ip/neighbor.ts';
import type { Packet } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import { Shares } from '../turn/shares.ts';
import { Mapping, type MappingOwner } from './mapping.ts';
import type { UdpLimits } from './udp-options.ts';

export interface MappingTableOptions {
  readonly host: Host;
  readonly counters: Counters;
  readonly limits: UdpLimits;
  /** A mapping is on its way out: what was gathered for it still leaves. */
  readonly removing: (mapping: Mapping) => void;
}

/**
 * All mappings by guest address and port, and whose they are: a guest is its port of the switch, for it may speak from
 * many addresses. The table is bounded, in all and for each guest; who makes room, also when the host is out of
 * descriptors, `Shares` says.
 */
export class MappingTable {
  readonly shares: Shares<Port, Mapping> = new Shares();
  readonly #options: MappingTableOptions;
  readonly #byEndpoint = new Map<number, Mapping>();

  constructor(options: MappingTableOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#byEndpoint.size;
  }

  find(guestAddress: number, guestPort: number): Mapping | undefined {
    return this.#byEndpoint.get(endpoint(guestAddress, guestPort));
  }

  values(): Iterable<Mapping> {
    return this.#byEndpoint.values();
  }

  /**
   * The mapping of the packet's sender, a new one unless it has one; one of another guest that had the address before
   * is not its. Undefined (counted) when the host has no socket to give.
   */
  of(packet: Packet, guestPort: number, owner: MappingOwner): Mapping | undefined {
    const mapping = this.find(packet.source, guestPort);
    if (mapping === undefined) return this.#open(packet, guestPort, owner);
    if (isSameGuest({ mac: mapping.mac, port: mapping.owner }, packet.neighbor)) {
      mapping.neighbor = packet.neighbor;
      return mapping;
    }
    this.remove(mapping);
    return this.#open(packet, guestPort, owner);
  }

  /** Ends it and releases its socket. */
  remove(mapping: Mapping): void {
    this.#options.removing(mapping);
    if (this.#byEndpoint.delete(endpoint(mapping.guestAddress, mapping.guestPort))) this.shares.remove(mapping);
    mapping.close();
  }

  #open(packet: Packet, guestPort: number, owner: MappingOwner): Mapping | undefined {
    const { counters, host } = this.#options;
    const { port } = packet.neighbor;
    this.#makeRoom(port);
    const mapping = new Mapping(owner, packet.neighbor, guestPort);
    let socket = host.openDatagram(mapping);
    if ((socket === 'EMFILE' || socket === 'ENFILE') && this.#spareDescriptor(port))
      socket = host.openDatagram(mapping);
    if (typeof socket === 'string') {
      counters.add('udp-no-socket');
      return undefined;
    }
    mapping.open(socket);
    this.#byEndpoint.set(endpoint(mapping.guestAddress, mapping.guestPort), mapping);
    this.shares.add(mapping);
    return mapping;
  }

  #makeRoom(port: Port): void {
    const { limits } = this.#options;
    if (this.shares.of(port) >= limits.mappingsPerGuest) {
      this.#evict(this.shares.leastWantedOf(port), 'udp-evicted-guest-limit');
    } else if (this.count >= limits.mappings) {
      this.#evict(this.shares.leastWantedFor(port), 'udp-evicted-table-limit');
    }
  }

  /** Who used the descriptors up is not known here: an answered mapping of another guest is not the price. */
  #spareDescriptor(port: Port): boolean {
    const spare = this.shares.leastWantedOf(port) ?? this.shares.leastWantedFor(port);
    if (spare === undefined || (spare.owner !== port && spare.rank !== 0 && spare.owner.attached)) return false;
    this.#evict(spare, 'udp-evicted-descriptors');
    return true;
  }

  #evict(mapping: Mapping | undefined, counter: string): void {
    if (mapping === undefined) return;
    this.#options.counters.add(counter);
    this.remove(mapping);
  }
}

function endpoint(address: number, port: number): number {
  return address * 65_536 + port;
}
