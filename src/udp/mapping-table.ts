import type { Port } from '../link/port.ts';
import type { Mapping } from './mapping.ts';

/** A guest's mappings in order of use, oldest first: a linked list through the mappings themselves. */
interface GuestList {
  oldest: Mapping | undefined;
  newest: Mapping | undefined;
  count: number;
}

/**
 * All mappings, by guest address and port, each guest's in order of last use; a guest is the port of the switch that it is
 * behind, for it may speak from many addresses. It only keeps books: whoever adds asks
 * first whether one must go (`count`, `countOf`, `oldest`), and takes that one out.
 */
export class MappingTable {
  readonly #byEndpoint = new Map<number, Mapping>();
  readonly #guests = new Map<Port, GuestList>();

  get count(): number {
    return this.#byEndpoint.size;
  }

  countOf(guest: Port): number {
    return this.#guests.get(guest)?.count ?? 0;
  }

  find(guestAddress: number, guestPort: number): Mapping | undefined {
    return this.#byEndpoint.get(endpoint(guestAddress, guestPort));
  }

  values(): Iterable<Mapping> {
    return this.#byEndpoint.values();
  }

  add(mapping: Mapping): void {
    this.#byEndpoint.set(endpoint(mapping.guestAddress, mapping.guestPort), mapping);
    let list = this.#guests.get(mapping.openedBehind);
    if (list === undefined) {
      list = { oldest: undefined, newest: undefined, count: 0 };
      this.#guests.set(mapping.openedBehind, list);
    }
    list.count++;
    append(list, mapping);
  }

  remove(mapping: Mapping): void {
    const list = this.#guests.get(mapping.openedBehind);
    if (list === undefined || !this.#byEndpoint.delete(endpoint(mapping.guestAddress, mapping.guestPort))) return;
    unlink(list, mapping);
    if (--list.count === 0) this.#guests.delete(mapping.openedBehind);
  }

  /** It was used just now. */
  touch(mapping: Mapping): void {
    if (mapping.newer === undefined) return;
    const list = this.#guests.get(mapping.openedBehind);
    if (list === undefined) return;
    unlink(list, mapping);
    append(list, mapping);
  }

  /** The one not used for longest: of one guest, or of all (a look at each guest's oldest). */
  oldest(guest?: Port): Mapping | undefined {
    if (guest !== undefined) return this.#guests.get(guest)?.oldest;
    let found: Mapping | undefined;
    for (const { oldest } of this.#guests.values()) {
      if (oldest !== undefined && (found === undefined || oldest.usedMs < found.usedMs)) found = oldest;
    }
    return found;
  }
}

function endpoint(address: number, port: number): number {
  return address * 65_536 + port;
}

function append(list: GuestList, mapping: Mapping): void {
  mapping.older = list.newest;
  mapping.newer = undefined;
  if (list.newest === undefined) list.oldest = mapping;
  else list.newest.newer = mapping;
  list.newest = mapping;
}

function unlink(list: GuestList, mapping: Mapping): void {
  if (mapping.older === undefined) list.oldest = mapping.newer;
  else mapping.older.newer = mapping.newer;
  if (mapping.newer === undefined) list.newest = mapping.older;
  else mapping.newer.older = mapping.older;
  mapping.older = undefined;
  mapping.newer = undefined;
}
