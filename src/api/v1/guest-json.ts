import type { GuestStatus, LeaseStatus } from '../../control/network-status.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { formatMac } from '../../wire/mac.ts';
import type { GuestJson, LeaseJson } from './contract.ts';

/** A guest as the API shows it, with those of `leases` that are its own. */
export function guestJson({ name, address, mac }: GuestStatus, leases: readonly LeaseStatus[]): GuestJson {
  return {
    name,
    ...(address !== undefined && { address: formatIpv4Address(address) }),
    ...(mac !== undefined && { mac: formatMac(mac) }),
    leases: leases.filter((lease) => lease.mac === mac).map(leaseJson),
  };
}

/** A lease as the API shows it. */
export function leaseJson({ address, mac, name, remainingMs }: LeaseStatus): LeaseJson {
  return {
    address: formatIpv4Address(address),
    mac: formatMac(mac),
    name,
    remainingSeconds: Number.isFinite(remainingMs) ? Math.max(0, Math.round(remainingMs / 1000)) : null,
  };
}
