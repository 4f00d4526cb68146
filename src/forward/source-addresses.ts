import type { HostAddress } from '../env/host.ts';
import type { Random } from '../env/random.ts';
import { type Cidr, cidrContains } from '../wire/cidr.ts';
import { isLoopbackIpv4, isMulticastIpv4 } from '../wire/ipv4.ts';

/** Ports to use when the client's own is taken, or it has none (Linux's ip_local_port_range). */
const FIRST_PORT = 32_768;
const PORTS = 28_232;
/** Ports tried for one client. A guest with so many connections from one address that all of them are taken is full. */
export const SOURCE_PORT_TRIES = 32;

export interface SourceOptions {
  readonly random: Random;
  readonly subnet: Cidr;
  readonly gatewayAddress: number;
  readonly hostAddress: number;
  /** Whether the stack itself answers for an address. */
  readonly isOwn: (address: number) => boolean;
}

/** Chooses the address and port that a guest sees as its peer's. */
export class SourceAddresses {
  readonly #options: SourceOptions;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  get gateway(): number {
    return this.#options.gatewayAddress;
  }

  get host(): number {
    return this.#options.hostAddress;
  }

  /**
   * 'client': the client's own address where the guest's answers to it come back through the gateway, else the host
   * address, as for clients on the host itself, of IPv6 and of unix sockets. What only the guest knows (its own
   * networks) is found out by `SourceRoutes`.
   */
  addressFor(source: 'client' | 'gateway', client: HostAddress): number {
    if (source === 'gateway') return this.#options.gatewayAddress;
    return this.#isRoutable(client) ? client : this.#options.hostAddress;
  }

  /**
   * The port for try number `attempt`: the client's own first. With the gateway's address a client gets no low port,
   * since those belong to the gateway's own services.
   */
  portFor(attempt: number, address: number, own: number): number {
    const mayKeep = own > 0 && (address !== this.#options.gatewayAddress || own >= FIRST_PORT);
    if (attempt === 0 && mayKeep) return own;
    return FIRST_PORT + (this.#options.random.u32() % PORTS);
  }

  /**
   * True when the guest sends its answers to its router: not for addresses of this link, of a single machine (RFC 6890)
   * or of a group.
   */
  #isRoutable(address: HostAddress): boolean {
    if (address < 0x0100_0000 || address >= 0xe000_0000) return false;
    if (isLoopbackIpv4(address) || isMulticastIpv4(address) || address >>> 16 === 0xa9fe) return false;
    return !cidrContains(this.#options.subnet, address) && !this.#options.isOwn(address);
  }
}
