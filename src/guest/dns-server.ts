import { Counters } from '../env/counters.ts';
import { defaultGateway } from '../host/proc/ipv4-routes.ts';
import type { Nameserver } from '../facts/nameserver.ts';
import { DnsFront } from './dns-front.ts';
import { type DnsPlace, DnsPlaces, type PlaceEvent } from './dns-places.ts';
import { DnsRoutes, type GatewayServer } from './dns-routes.ts';
import { GatewayExchange } from './gateway-exchange.ts';
import { INTERNAL_DNS_PORT } from '../facts/gateway-ports.ts';
import { DNS_PORT } from '../wire/dns-message.ts';

export const DEFAULT_PLACES: readonly DnsPlace[] = [
  { address: '127.0.0.1', port: DNS_PORT },
  { interface: 'docker0', port: DNS_PORT },
];
/** How often interfaces and the default route are looked at: reading three small files of /proc. */
const LOOK_MS = 2000;

export interface GuestDnsOptions {
  readonly places: readonly DnsPlace[];
  /** Absent: at the gateway of the default route, whichever that is at the time. */
  readonly internal: Nameserver | undefined;
  readonly system: Nameserver | undefined;
  /** Internal domains besides the usual. */
  readonly domains: readonly string[];
}

export type GuestDnsEvent =
  | PlaceEvent
  /** Where questions go from now on; without servers: the default route is waited for. */
  | {
      readonly event: 'routes';
      readonly domains: readonly string[];
      readonly internal: Nameserver | undefined;
      readonly system: Nameserver | undefined;
    };

/** CoreDNS's part in the guest: two servers at the gateway behind the addresses where programs and containers ask. */
export class GuestDnsServer {
  readonly counters: Counters = new Counters();
  readonly #options: GuestDnsOptions;
  readonly #tell: (event: GuestDnsEvent) => void;
  readonly #routes: DnsRoutes;
  readonly #places: DnsPlaces;
  readonly #udp: GatewayExchange;
  readonly #tcp: GatewayExchange;
  #gateway: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: GuestDnsOptions, tell: (event: GuestDnsEvent) => void) {
    this.#options = options;
    this.#tell = tell;
    this.#routes = new DnsRoutes(options.domains);
    const { counters } = this;
    const front = new DnsFront({ routes: this.#routes, servers: (name) => this.#server(name), counters });
    this.#udp = new GatewayExchange({ transport: 'udp', counters });
    this.#tcp = new GatewayExchange({ transport: 'tcp', counters });
    this.#places = new DnsPlaces(options.places, { front, udp: this.#udp, tcp: this.#tcp, counters }, tell);
  }

  /** Rejects with a SlipwayError when an address is refused; else it serves until `stop`. */
  async start(): Promise<void> {
    this.#gateway = defaultGateway();
    this.#tellRoutes();
    await this.#places.start();
    this.#lookLater();
  }

  /** Idempotent. Questions under way stay unanswered. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#places.close();
    this.#closeExchanges();
  }

  #server(name: GatewayServer): Nameserver | undefined {
    const given = this.#options[name];
    if (given !== undefined || this.#gateway === undefined) return given;
    return { address: this.#gateway, port: name === 'internal' ? INTERNAL_DNS_PORT : DNS_PORT };
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#look().then(() => this.#lookLater()), LOOK_MS);
  }

  async #look(): Promise<void> {
    const gateway = defaultGateway();
    // A route that is gone for a moment (a lease renewed) is not a reason to answer with SERVFAIL.
    if (gateway !== undefined && gateway !== this.#gateway) {
      this.#gateway = gateway;
      this.#closeExchanges();
      this.#tellRoutes();
    }
    await this.#places.look();
  }

  #closeExchanges(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #tellRoutes(): void {
    this.#tell({
      event: 'routes',
      domains: this.#routes.domains,
      internal: this.#server('internal'),
      system: this.#server('system'),
    });
  }
}
