import { type Cidr, cidrContains } from '../../../wire/cidr.ts';
import { DNS_TYPE_PTR } from '../../../wire/dns-message.ts';
import type { BuiltinZones } from './builtin-zones.ts';
import type { GuestNames } from './guest-names.ts';
import { ReverseNames } from './reverse-names.ts';
import { apexSets, authorityOf, isWildcard, NO_SETS, type RecordSet, type Zone, type ZoneNode } from './zone.ts';
import type { Finding } from './zone-answer.ts';
import type { ZoneTree } from './zone-tree.ts';

/**
 * PTR for the addresses of the subnet, made from the A records of all zones: of several names the first one, which
 * for the host address and the gateway is the built-in one, zones before `dns.hosts`, and those before leases.
 * Wildcards and default addresses name nothing. What a zone of the reverse tree has itself is stronger, name by name.
 */
export class ReverseZone {
  readonly #subnet: Cidr;
  readonly #others: ReadonlyMap<number, string>;
  readonly #tree: ZoneTree;
  readonly #guests: GuestNames;
  readonly #ttlSeconds: number;
  readonly #names: ReverseNames;
  /** By address; undefined after a change, until someone asks. */
  #pointers: Map<number, string> | undefined;

  constructor(builtIn: BuiltinZones, tree: ZoneTree, guests: GuestNames, ttlSeconds: number) {
    const { subnet, addressNames } = builtIn;
    this.#subnet = subnet;
    this.#others = addressNames;
    this.#tree = tree;
    this.#guests = guests;
    this.#ttlSeconds = ttlSeconds;
    this.#names = new ReverseNames(subnet);
  }

  /** Records other than those of guests have changed. */
  forget(): void {
    this.#pointers = undefined;
  }

  /**
   * What is made for a name; undefined when it is not ours or `zone`, the one that the name lies in, has its own word
   * on it.
   */
  find(key: string, zone: Zone | undefined, serial: number): Finding | undefined {
    const place = this.#names.place(key);
    if (place === undefined) return undefined;
    if ((zone?.node(key)?.sets.length ?? 0) > 0) return undefined;
    const pointer = place.kind === 'address' ? this.#pointer(place.address) : undefined;
    if (pointer === undefined && zone !== undefined && zone.name.length >= place.zone.length) return undefined;
    const authority = authorityOf(place.zone, this.#ttlSeconds, serial);
    if (pointer !== undefined) return { authority, sets: [this.#pointerSet(pointer)] };
    if (place.kind === 'apex') return { authority, sets: apexSets(authority, NO_SETS) };
    return { authority, sets: place.kind === 'between' ? NO_SETS : undefined };
  }

  #pointerSet(target: string): RecordSet {
    return { type: DNS_TYPE_PTR, ttlSeconds: this.#ttlSeconds, data: [{ type: 'PTR', target }] };
  }

  #pointer(address: number): string | undefined {
    this.#pointers ??= this.#collect();
    return this.#pointers.get(address) ?? this.#guests.nameOf(address);
  }

  #collect(): Map<number, string> {
    const pointers = new Map<number, string>();
    for (const zone of this.#tree.all) {
      for (const node of zone.nodes) {
        const { key } = node;
        // What lies in a deeper zone is hidden by that.
        if (isWildcard(key) || this.#tree.of(key) !== zone) continue;
        for (const address of addressesOf(node)) {
          if (!pointers.has(address) && cidrContains(this.#subnet, address)) pointers.set(address, key);
        }
      }
    }
    for (const [address, name] of this.#others) {
      // In a zone of ours the zone decides what the name means.
      if (!pointers.has(address) && this.#tree.of(name) === undefined) pointers.set(address, name);
    }
    return pointers;
  }
}

/** The addresses of a name itself. Names of guests change too often to be collected: they are asked for each time. */
function addressesOf({ given, standing }: ZoneNode): number[] {
  const hidden = given.some(({ record }) => record.data.type === 'A' || record.data.type === 'CNAME');
  const records = hidden || standing === undefined || standing.origin === 'guest' ? given : [standing];
  return records.flatMap(({ record }) => (record.data.type === 'A' ? [record.data.address] : []));
}
