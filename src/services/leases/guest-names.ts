import type { Reservation } from '../../dhcp/dhcp-options.ts';
import type { LeaseRecord } from '../../dhcp/lease-record.ts';

/**
 * What a guest may be called in DNS. A name of the configuration is only for whom it is reserved: another guest that calls
 * itself so gets none, or it would receive what is meant for the other.
 */
export class GuestNames {
  readonly #reservations: readonly Reservation[];
  readonly #reserved: ReadonlySet<string>;

  constructor(reservations: readonly Reservation[]) {
    this.#reservations = reservations;
    this.#reserved = new Set(reservations.flatMap(({ name }) => (name === undefined ? [] : [name.toLowerCase()])));
  }

  /** The name of a lease, not checked in any other way; '' for none. */
  nameOf(lease: Pick<LeaseRecord, 'hostName' | 'clientKey' | 'mac'>): string {
    const name = lease.hostName.toLowerCase().split('.', 1)[0] ?? '';
    if (!this.#reserved.has(name)) return lease.hostName;
    const owner = this.#reservations.some(
      ({ name: own, clientKey, mac }) =>
        own?.toLowerCase() === name && (clientKey === undefined ? mac === lease.mac : clientKey === lease.clientKey),
    );
    return owner ? lease.hostName : '';
  }
}
