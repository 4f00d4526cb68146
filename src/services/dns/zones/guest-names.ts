import type { Counters } from '../../../env/counters.ts';
import { GUEST_ZONE } from './builtin-zones.ts';
import { hostLabel, type LeaseName, LeaseNames } from './lease-names.ts';
import type { Zone } from './zone.ts';
import { childKey } from './zone-names.ts';
import { storedRecord } from './zone-record.ts';
import type { ZoneTree } from './zone-tree.ts';

/** 65,536: far above what the DHCP server's pool holds. Later leases have no name. */
const MAX_LEASES = 65_536;

/**
 * Keeps the names of leases in the guest zone: NAME.vm.docker.internal for each, and vm.docker.internal for the oldest lease's guest.
 * Of two guests of one name the first keeps it until its lease ends. Names are guests' own words: they never reach outside of
 * the guest zone, and what was set there by configuration or API is stronger.
 */
export class GuestNames {
  readonly #tree: ZoneTree;
  readonly #withoutLease: number;
  readonly #changed: (zone: Zone) => void;
  readonly #counters: Counters | undefined;
  readonly #leases = new LeaseNames();

  /** `withoutLease`: the guest's address as long as no lease is known. `changed` is called after each change of the zone. */
  constructor(tree: ZoneTree, withoutLease: number, changed: (zone: Zone) => void, counters: Counters | undefined) {
    this.#tree = tree;
    this.#withoutLease = withoutLease;
    this.#changed = changed;
    this.#counters = counters;
    this.#publish([]);
  }

  set(lease: LeaseName): void {
    this.#publish(this.#take(lease));
  }

  end(address: number): void {
    this.#publish(this.#drop(address));
  }

  replace(leases: readonly LeaseName[]): void {
    const kept = new Set(leases.map(({ address }) => address));
    const gone = [...this.#leases.addresses].filter((address) => !kept.has(address));
    this.#publish([...gone.flatMap((address) => this.#drop(address)), ...leases.flatMap((lease) => this.#take(lease))]);
  }

  /** The name that PTR tells for the address of a guest. */
  nameOf(address: number): string | undefined {
    const label = this.#leases.heldBy(address);
    const name = label === undefined ? undefined : childKey(label, GUEST_ZONE);
    if (name !== undefined && this.#means(name, address)) return name;
    return this.#means(GUEST_ZONE, address) ? GUEST_ZONE : undefined;
  }

  #means(name: string, address: number): boolean {
    const sets = this.#tree.of(name)?.node(name)?.sets ?? [];
    return sets.some(({ data }) => data.some((one) => one.type === 'A' && one.address === address));
  }

  /** Returns the labels that may mean another address now. */
  #take({ name, address }: LeaseName): string[] {
    const before = this.#leases.label(address);
    if (before === undefined && this.#leases.size >= MAX_LEASES) {
      this.#counters?.add('dns-too-many-leases');
      return [];
    }
    const label = hostLabel(name);
    this.#leases.set(address, label);
    return before === undefined ? [label] : [before, label];
  }

  #drop(address: number): string[] {
    const label = this.#leases.label(address);
    this.#leases.end(address);
    return label === undefined ? [] : [label];
  }

  #publish(labels: readonly string[]): void {
    const zone = this.#tree.get(GUEST_ZONE);
    if (zone === undefined) return;
    let changed = point(zone, GUEST_ZONE, this.#leases.oldest ?? this.#withoutLease);
    for (const label of labels) {
      if (label !== '' && point(zone, childKey(label, GUEST_ZONE), this.#leases.holder(label))) changed = true;
    }
    if (changed) this.#changed(zone);
  }
}

/** Makes a name of leases mean an address, or nothing. Returns whether it did not yet. */
function point(zone: Zone, key: string, address: number | undefined): boolean {
  const [before] = zone.node(key)?.layers.lease ?? [];
  const data = before?.record.data;
  if ((data?.type === 'A' ? data.address : undefined) === address) return false;
  zone.remove('lease', key, () => true);
  if (address !== undefined)
    zone.add('lease', storedRecord(zone.name, { name: `${key}.`, data: { type: 'A', address } }));
  return true;
}
