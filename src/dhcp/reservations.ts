import type { DhcpClient } from './dhcp-client.ts';
import type { Reservation } from './dhcp-options.ts';

/** Who always gets which address and name (static leases). Found by client key first, then by MAC (RFC 4361 §6.1). */
export class Reservations {
  readonly #byKey = new Map<string, Reservation>();
  readonly #byMac = new Map<number, Reservation>();
  /** Two interfaces of one machine may share an address. */
  readonly #addresses = new Set<number>();

  constructor(reservations: readonly Reservation[] = []) {
    for (const reservation of reservations) this.add(reservation);
  }

  /** An earlier one for the same key or MAC gives way; its name stays unless there is a new one. */
  add(reservation: Reservation): void {
    const { clientKey, mac, address } = reservation;
    const before =
      clientKey !== undefined ? this.#byKey.get(clientKey) : mac !== undefined ? this.#byMac.get(mac) : undefined;
    const merged = { name: before?.name, ...reservation };
    if (clientKey !== undefined) this.#byKey.set(clientKey, merged);
    if (mac !== undefined && (clientKey === undefined || !this.#byMac.has(mac))) this.#byMac.set(mac, merged);
    if (before === undefined) {
      if (address !== undefined) this.#addresses.add(address);
      return;
    }
    this.#addresses.clear();
    for (const { address: held } of [...this.#byKey.values(), ...this.#byMac.values()]) {
      if (held !== undefined) this.#addresses.add(held);
    }
  }

  of(client: DhcpClient): Reservation | undefined {
    return this.#byKey.get(client.key) ?? this.#byMac.get(client.mac);
  }

  addressOf(client: DhcpClient): number | undefined {
    return this.of(client)?.address;
  }

  /** All reserved addresses, in ascending order. */
  get addresses(): number[] {
    return [...this.#addresses].sort((a, b) => a - b);
  }

  /** Whether someone has `address` reserved. */
  holds(address: number): boolean {
    return this.#addresses.has(address);
  }
}
