import { type HostAddress, LOOPBACK4 } from '../env/host.ts';
import type { OwnListeners } from './own-listeners.ts';
import type { FlowProtocol } from './protocol.ts';

/** Where a new flow goes. */
export type Target =
  /** An ordinary socket of the host to this address. */
  | {
      readonly kind: 'host';
      readonly address: HostAddress;
      readonly port: number;
      /**
       * A configured service: that very address and port are meant, and answers come as from where the guest sent to.
       */
      readonly translated?: true;
    }
  /** A service of Slipway at the gateway, by name. */
  | { readonly kind: 'service'; readonly service: string }
  /** A unix socket of the host, by its name in the host's table of services; it gets the bare stream. TCP only. */
  | { readonly kind: 'socket'; readonly service: string }
  /** Nothing listens there: RST for TCP, port unreachable for UDP. */
  | { readonly kind: 'refuse'; readonly reason: string }
  /** Not allowed: ICMP communication administratively prohibited. */
  | { readonly kind: 'prohibit'; readonly reason: string }
  /** No answer at all. */
  | { readonly kind: 'drop'; readonly reason: string };

/** What one gateway port or virtual address leads to. */
export type ServiceTarget =
  /** `port` 0 keeps the guest's. Loopback is meant as it is written, whatever `hostLoopback` says. */
  | { readonly kind: 'host'; readonly address: HostAddress; readonly port: number }
  | { readonly kind: 'socket'; readonly service: string };

/** One service of the host at an address of the network. */
export interface ServiceRoute {
  readonly protocol: FlowProtocol;
  readonly address: number;
  /** 0: every port that no other route names. */
  readonly port: number;
  readonly target: ServiceTarget;
}

/** What the decision rests on; replaced as a whole when services change. */
export interface RoutePolicy {
  readonly gatewayAddress: number;
  readonly hostAddress: number;
  /** Whether the host address reaches the host's own loopback services. */
  readonly hostLoopback: boolean;
  /** Services at the gateway: 'udp:53' → 'dns'. */
  readonly services: ReadonlyMap<string, string>;
  /** Where Slipway itself listens on the host: no guest gets there. */
  readonly own: OwnListeners;
  /** Services of the host at addresses of the network; none unless told. */
  readonly routes?: ServiceRoutes;
}

/** Services of the host by where guests reach them. A look-up makes no garbage: UDP asks for each datagram. */
export class ServiceRoutes {
  readonly #tcp = new Map<number, ServiceTarget>();
  readonly #udp = new Map<number, ServiceTarget>();
  readonly #addresses = new Set<number>();

  /** Of several routes for the same protocol, address and port the last holds. */
  constructor(routes: readonly ServiceRoute[]) {
    for (const { protocol, address, port, target } of routes) {
      this.#addresses.add(address);
      (protocol === 'tcp' ? this.#tcp : this.#udp).set(address * 65_536 + port, target);
    }
  }

  get addresses(): ReadonlySet<number> {
    return this.#addresses;
  }

  /** What is named for exactly that port (port 0: for all others). */
  at(protocol: FlowProtocol, address: number, port: number): ServiceTarget | undefined {
    return (protocol === 'tcp' ? this.#tcp : this.#udp).get(address * 65_536 + port);
  }
}

/**
 * The one decision about a new flow from a guest: pure, made once a flow. `reason` words are counters. What is
 * configured for a port goes before what the gateway serves there, what is configured for all ports after. Where
 * Slipway itself listens on the host is prohibited at the end of every way.
 * Spoofed sources and 127/8 never come here (ip/Interface drops them).
 */
export function decide(policy: RoutePolicy, protocol: FlowProtocol, destination: number, port: number): Target {
  const { routes } = policy;
  const served = routes?.addresses.has(destination) === true;
  const named = served ? routes?.at(protocol, destination, port) : undefined;
  if (named !== undefined) return toService(policy, named, protocol, port);
  const service = destination === policy.gatewayAddress ? policy.services.get(`${protocol}:${port}`) : undefined;
  if (service !== undefined) return { kind: 'service', service };
  const others = served ? routes?.at(protocol, destination, 0) : undefined;
  if (others !== undefined) return toService(policy, others, protocol, port);
  if (destination === policy.gatewayAddress) return { kind: 'refuse', reason: 'route-no-such-gateway-service' };
  if (destination === policy.hostAddress) {
    if (!policy.hostLoopback) return { kind: 'prohibit', reason: 'route-host-loopback-closed' };
    return policy.own.has(protocol, LOOPBACK4, port) ? OWN : { kind: 'host', address: LOOPBACK4, port };
  }
  if (served) return { kind: 'refuse', reason: 'route-no-such-service-port' };
  return policy.own.has(protocol, destination, port) ? OWN : { kind: 'host', address: destination, port };
}

/** What listens there is Slipway itself, whoever configured the way. */
const OWN: Target = { kind: 'prohibit', reason: 'route-own-listener' };

function toService({ own }: RoutePolicy, target: ServiceTarget, protocol: FlowProtocol, asked: number): Target {
  if (target.kind === 'host') {
    const port = target.port === 0 ? asked : target.port;
    if (own.has(protocol, target.address, port)) return OWN;
    return { kind: 'host', address: target.address, port, translated: true };
  }
  if (protocol === 'udp') return { kind: 'refuse', reason: 'route-socket-without-datagrams' };
  return own.hasSocket(target.service) ? OWN : target;
}
