import { UNKNOWN_PLACE } from '../../dhcp/dhcp-client.ts';
import type { Reservation } from '../../dhcp/dhcp-options.ts';
import type { LeaseRecord } from '../../dhcp/lease-record.ts';
import { Reservations } from '../../dhcp/reservations.ts';
import type { LeaseBook } from './lease-book.ts';

/** Who makes DNS names of leases; it checks and shortens them itself. */
export interface GuestNaming {
  setLeaseName(lease: { readonly name: string; readonly address: number }): void;
  endLease(address: number): void;
}

/** Tells `naming` of every lease that `book` hears of from now on, under the name that its guest may have. */
export function nameGuests(book: LeaseBook, reservations: readonly Reservation[], naming: GuestNaming): void {
  const names = new ReservedNames(reservations);
  book.watch(({ kind, lease }) => {
    if (kind === 'bound') naming.setLeaseName({ name: names.nameOf(lease), address: lease.address });
    else naming.endLease(lease.address);
  });
}

/**
 * A name of the configuration is only for whom it is reserved: another guest that calls itself so gets none, or it
 * would receive what is meant for the other.
 */
export class ReservedNames {
  /** Those of the DHCP server, so that both recognise the same guests. */
  readonly #reservations: Reservations;
  readonly #names: ReadonlySet<string>;

  constructor(reservations: readonly Reservation[]) {
    this.#reservations = new Reservations(reservations);
    this.#names = new Set(reservations.flatMap(({ name }) => (name === undefined ? [] : [name.toLowerCase()])));
  }

  /**
   * The name of a lease: what its guest's reservation says (a lease of an earlier run may have another name still),
   * else what the guest said; '' for none, or for one that is another's.
   */
  nameOf({ hostName, clientKey, mac }: Pick<LeaseRecord, 'hostName' | 'clientKey' | 'mac'>): string {
    const reserved = this.#reservations.of({ key: clientKey, mac, place: UNKNOWN_PLACE })?.name;
    if (reserved !== undefined) return reserved;
    const name = hostName.toLowerCase().split('.', 1)[0] ?? '';
    return this.#names.has(name) ? '' : hostName;
  }
}
