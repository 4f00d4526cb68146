import type { Cidr } from '../wire/cidr.ts';

/** Shorter leases are all renewal: who asks for less gets this. */
export const MIN_LEASE_SECONDS = 60;

/**
 * How the DHCP server behaves and what it tells guests. Plain data, checked by the configuration; addresses as numbers.
 */
export interface DhcpOptions {
  /** How long a lease lasts, and the longest that a client may ask for; at least MIN_LEASE_SECONDS. */
  readonly leaseSeconds: number;
  /** Where addresses for guests without a reservation come from, both ends included; the whole subnet unless told. */
  readonly range?: AddressRange | undefined;
  /** Option 15; '' for none. */
  readonly domainName: string;
  /** Option 119: names without the last dot. */
  readonly searchDomains: readonly string[];
  /** Option 42. */
  readonly ntpServers: readonly number[];
  /** Option 6; the gateway when empty. */
  readonly dnsServers: readonly number[];
  /** Option 121; the default route by the gateway is added (RFC 3442). */
  readonly routes: readonly StaticRoute[];
  /** Win over what is made from the rest, but for what the protocol itself lives on (51, 53, 54, 58, 59, 61, 82). */
  readonly customOptions: readonly CustomOption[];
  readonly reservations: readonly Reservation[];
  /**
   * Leases that the guests behind one port of the switch may hold, at least 1; a port's own oldest goes to its newest.
   */
  readonly leasesPerGuest: number;
  /** Asks by ARP whether someone uses an address before it is given to a client that was not known to have it. */
  readonly probe: boolean;
}

export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

export interface StaticRoute {
  readonly destination: Cidr;
  /** The router; 0 for what is on the link itself. */
  readonly via: number;
}

export interface CustomOption {
  /** 1 to 254. */
  readonly code: number;
  readonly bytes: Uint8Array | readonly number[];
}

/**
 * Who always gets an address, or a name, or both. Recognised by `clientKey` first, else by `mac`; one of them is there.
 */
export interface Reservation {
  /** A 48-bit number. */
  readonly mac?: number | undefined;
  /** As `clientKey` makes it. */
  readonly clientKey?: string | undefined;
  /** Inside the subnet, and no address of the gateway's; may lie outside the range. */
  readonly address?: number | undefined;
  readonly name?: string | undefined;
}

/** What holds when the configuration says nothing. A lease lasts a day: guests are few and the pool is theirs. */
export const DEFAULT_DHCP: DhcpOptions = {
  leaseSeconds: 86_400,
  domainName: '',
  searchDomains: [],
  ntpServers: [],
  dnsServers: [],
  routes: [],
  customOptions: [],
  reservations: [],
  leasesPerGuest: 64,
  probe: true,
};
