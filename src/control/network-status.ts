import type { LeaseRecord } from '../dhcp/lease-record.ts';
import type { CoreNetwork } from '../network/core-network.ts';

/** A picture of the network, plain data. */
export interface NetworkStatus {
  readonly guests: readonly GuestStatus[];
  /** In force, in order of address. */
  readonly leases: readonly LeaseStatus[];
  readonly flows: number;
  readonly counters: Readonly<Record<string, number>>;
}

export interface GuestStatus {
  readonly name: string;
  readonly address?: number;
  readonly mac?: number;
}

export interface LeaseStatus {
  readonly address: number;
  readonly mac: number;
  /** What the client calls itself, or what its reservation calls it; '' for neither. */
  readonly name: string;
  /** Infinity (null in JSON) for a lease without end. */
  readonly remainingMs: number;
}

export function statusOf(network: CoreNetwork): NetworkStatus {
  const guests = network.ports.map((port): GuestStatus => {
    const [address] = port.addresses;
    return {
      name: port.name,
      ...(address !== undefined && { address }),
      ...(port.mac !== undefined && { mac: port.mac }),
    };
  });
  const leases = leasesInForce(network).map(
    ({ address, mac, hostName, remainingMs }): LeaseStatus => ({ address, mac, name: hostName, remainingMs }),
  );
  return {
    guests,
    leases,
    flows: network.flowCount,
    counters: { ...network.counts, ...network.gauges, ...network.traffic },
  };
}

export function leasesInForce(network: CoreNetwork): LeaseRecord[] {
  return network.leases().filter(({ remainingMs }) => remainingMs > 0);
}
