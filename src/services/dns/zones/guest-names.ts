import { GUEST_ZONE } from '../../../facts/own-names.ts';
import type { Counters } from '../../../env/counters.ts';
import { hostLabel, type LeaseName, LeaseNames } from './lease-names.ts';
import type { StandingNames } from './standing-names.ts';
import { childKey } from './zone-names.ts';
import type { ZoneTree } from './zone-tree.ts';

/** 65,536: far above what the DHCP server's pool holds. Later leases have no name. */
const MAX_LEASES = 65_536;

interface GuestNamesOptions {
  readonly tree: ZoneTree;
  readonly standing: StandingNames;
  /** The guest's address while no lease is known. */
  readonly withoutLease: number;
  readonly counters: Counters | undefined;
}

/**
 * Keeps the names of leases in the guest zone: NAME.vm.docker.internal for each, and vm.docker.internal for the
 * oldest lease's guest. Of two guests of one name the first keeps it until its lease ends.
 */
export class GuestNames {
  readonly #options: GuestNamesOptions;
  readonly #leases = new LeaseNames();

  constructor(options: GuestNamesOptions) {
    this.#options = options;
    this.#publish([]);
  }

  set(lease: LeaseName): void {
    this.#publish(this.#take(lease));
  }

  remove(address: number): void {
    this.#publish(this.#drop(address));
  }

  /** The name that PTR tells for the address of a guest. */
  nameOf(address: number): string | undefined {
    const label = this.#leases.heldBy(address);
    const name = label === undefined ? undefined : childKey(label, GUEST_ZONE);
    if (name !== undefined && this.#means(name, address)) return name;
    return this.#means(GUEST_ZONE, address) ? GUEST_ZONE : undefined;
  }

  #means(name: string, address: number): boolean {
    const sets = this.#options.tree.of(name)?.node(name)?.sets ?? [];
    return sets.some(({ data }) => data.some((one) => one.type === 'A' && one.address === address));
  }

  /** Returns the labels that may mean another address now. */
  #take({ name, address }: LeaseName): string[] {
    const before = this.#leases.label(address);
    if (before === undefined && this.#leases.size >= MAX_LEASES) {
      this.#options.counters?.add('dns-too-many-leases');
      return [];
    }
    const label = hostLabel(name);
    this.#leases.set(address, label);
    return before === undefined ? [label] : [before, label];
  }

  #drop(address: number): string[] {
    const label = this.#leases.label(address);
    this.#leases.remove(address);
    return label === undefined ? [] : [label];
  }

  #publish(labels: readonly string[]): void {
    const { standing, withoutLease } = this.#options;
    standing.set('guest', GUEST_ZONE, this.#leases.oldest ?? withoutLease);
    for (const label of labels) {
      if (label !== '') standing.set('guest', childKey(label, GUEST_ZONE), this.#leases.holder(label));
    }
  }
}
