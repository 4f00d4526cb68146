import { type HostAddress, LOOPBACK4 } from '../env/host.ts';

/** Where a new flow goes. */
export type Target =
  /** An ordinary socket of the host to this address. */
  | { readonly kind: 'host'; readonly address: HostAddress; readonly port: number }
  /** A service of Slipway at the gateway, by name. */
  | { readonly kind: 'service'; readonly service: string }
  /** Nothing listens there: RST for TCP, port unreachable for UDP. */
  | { readonly kind: 'refuse'; readonly reason: string }
  /** Not allowed: ICMP communication administratively prohibited. */
  | { readonly kind: 'prohibit'; readonly reason: string }
  /** No answer at all. */
  | { readonly kind: 'drop'; readonly reason: string };

export type FlowProtocol = 'tcp' | 'udp';

/** What the decision rests on; frozen while the network runs. */
export interface RoutePolicy {
  readonly gatewayAddress: number;
  readonly hostAddress: number;
  /** Whether the host address reaches the host's own loopback services. */
  readonly hostLoopback: boolean;
  /** Services at the gateway: 'udp:53' → 'dns'. */
  readonly services: ReadonlyMap<string, string>;
}

/**
 * The one decision about a new flow from a guest: pure, made once a flow. `reason` words are counters.
 * Spoofed sources and 127/8 never come here (ip/Interface drops them).
 */
export function decide(policy: RoutePolicy, protocol: FlowProtocol, destination: number, port: number): Target {
  if (destination === policy.gatewayAddress) {
    const service = policy.services.get(`${protocol}:${port}`);
    if (service !== undefined) return { kind: 'service', service };
    return { kind: 'refuse', reason: 'route-no-such-gateway-service' };
  }
  if (destination === policy.hostAddress) {
    if (policy.hostLoopback) return { kind: 'host', address: LOOPBACK4, port };
    return { kind: 'prohibit', reason: 'route-host-loopback-closed' };
  }
  return { kind: 'host', address: destination, port };
}
