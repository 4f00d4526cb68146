import type { DhcpClient } from './dhcp-client.ts';
import type { Reservation } from './dhcp-options.ts';

/** Who always gets which address and name (static leases). Found by client key first, then by MAC (RFC 4361 §6.1). */
export class Reservations {
  readonly #byKey = new Map<string, Reservation>();
  readonly #byMac = new Map<number, Reservation>();
  /** How many reservations name the address: two interfaces of one machine may share it. */
  readonly #addresses = new Map<number, number>();

  constructor(reservations: readonly Reservation[] = []) {
    for (const reservation of reservations) this.add(reservation);
  }

  /** An earlier one for the same key or MAC gives way. */
  add(reservation: Reservation): void {
    const { clientKey, mac, address } = reservation;
    if (clientKey !== undefined) {
      this.#leave(this.#byKey.get(clientKey));
      this.#byKey.set(clientKey, reservation);
    } else if (mac !== undefined) {
      this.#leave(this.#byMac.get(mac));
      this.#byMac.set(mac, reservation);
    }
    if (clientKey !== undefined && mac !== undefined && !this.#byMac.has(mac)) this.#byMac.set(mac, reservation);
    if (address !== undefined) this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1);
  }

  of(client: DhcpClient): Reservation | undefined {
    return this.#byKey.get(client.key) ?? this.#byMac.get(client.mac);
  }

  addressOf(client: DhcpClient): number | undefined {
    return this.of(client)?.address;
  }

  /** Whether someone has `address` reserved. */
  holds(address: number): boolean {
    return this.#addresses.has(address);
  }

  #leave(reservation: Reservation | undefined): void {
    const address = reservation?.address;
    if (address === undefined) return;
    const left = (this.#addresses.get(address) ?? 1) - 1;
    if (left > 0) this.#addresses.set(address, left);
    else this.#addresses.delete(address);
  }
}
