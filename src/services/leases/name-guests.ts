import type { Reservation } from '../../dhcp/dhcp-options.ts';
import type { LeaseRecord } from '../../dhcp/lease-record.ts';
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
 * A name of the configuration is only for whom it is reserved: another guest that calls itself so gets none, or it would
 * receive what is meant for the other.
 */
export class ReservedNames {
  readonly #reservations: readonly Reservation[];
  readonly #names: ReadonlySet<string>;

  constructor(reservations: readonly Reservation[]) {
    this.#reservations = reservations;
    this.#names = new Set(reservations.flatMap(({ name }) => (name === undefined ? [] : [name.toLowerCase()])));
  }

  /** The name of a lease as its guest said it; '' for none, or for one that is another's. */
  nameOf(lease: Pick<LeaseRecord, 'hostName' | 'clientKey' | 'mac'>): string {
    const name = lease.hostName.toLowerCase().split('.', 1)[0] ?? '';
    if (!this.#names.has(name)) return lease.hostName;
    const own = this.#reservations.some(
      (reserved) =>
        reserved.name?.toLowerCase() === name &&
        (reserved.clientKey === undefined ? reserved.mac === lease.mac : reserved.clientKey === lease.clientKey),
    );
    return own ? lease.hostName : '';
  }
}
