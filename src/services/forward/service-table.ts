import { SlipwayError } from '../../facts/errors.ts';
import type { ServiceForward } from '../../config/forward.ts';
import { isOwnName } from '../../facts/own-names.ts';
import { cidrContains, firstHost, formatCidr, lastHost } from '../../wire/cidr.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { serviceKey } from './describe-forward.ts';
import type { ForwardEdges } from './edges.ts';
import type { AddressPlan } from '../../config/network.ts';
import { MAX_SERVICES } from '../../config/services.ts';

/**
 * What guests reach of the host at the gateway's ports and at virtual addresses. A change is in the network and its
 * name in the DNS when it settles, or it is neither. Changes are made one after the other.
 */
export class ServiceTable {
  readonly #edges: Pick<ForwardEdges, 'network' | 'names' | 'guestAddresses'>;
  readonly #guests: AddressPlan;
  readonly #services = new Map<string, ServiceForward>();
  #work: Promise<unknown> = Promise.resolve();

  constructor(edges: Pick<ForwardEdges, 'network' | 'names' | 'guestAddresses'>, guests: AddressPlan) {
    this.#edges = edges;
    this.#guests = guests;
  }

  list(): readonly ServiceForward[] {
    return [...this.#services.values()].sort(
      (a, b) => a.address - b.address || a.port - b.port || a.protocol.localeCompare(b.protocol),
    );
  }

  /**
   * An equal one that is there already is no error. Rejects with ERR_FORWARD_EXISTS, ERR_FORWARD_INVALID or
   * ERR_DNS_ZONE.
   */
  add(service: ServiceForward): Promise<void> {
    return this.#next(async () => {
      checkService(service, this.#guests);
      const key = serviceKey(service);
      const there = this.#services.get(key);
      if (there !== undefined && isSame(there, service)) return;
      if (there !== undefined) {
        const why = `${key} leads to ${describeTarget(there)} already`;
        throw new SlipwayError('ERR_FORWARD_EXISTS', why, 'Remove it first, or choose another port or address.');
      }
      this.#checkName(service);
      if (this.#services.size >= MAX_SERVICES) {
        throw new SlipwayError(
          'ERR_FORWARD_INVALID',
          `there are ${MAX_SERVICES} services already`,
          'Remove one first.',
        );
      }
      await this.#checkFree(service);
      if (!this.#isNamed(service)) this.#edges.names.add(service.name, service.address);
      try {
        await this.#edges.network.setServices([...this.#services.values(), service]);
      } catch (error) {
        if (!this.#isNamed(service)) this.#edges.names.remove(service.name);
        throw error;
      }
      this.#services.set(key, service);
    });
  }

  /** False when there is none. */
  remove(which: Pick<ServiceForward, 'protocol' | 'address' | 'port'>): Promise<boolean> {
    return this.#next(async () => {
      const key = serviceKey(which);
      const service = this.#services.get(key);
      if (service === undefined) return false;
      await this.#edges.network.setServices([...this.#services.values()].filter((one) => one !== service));
      this.#services.delete(key);
      if (!this.#isNamed(service)) this.#edges.names.remove(service.name);
      return true;
    });
  }

  /** A name with two addresses would lead half of the connections to the wrong one. */
  #checkName({ name, address }: ServiceForward): void {
    if (name === '') return;
    const other = [...this.#services.values()].find((one) => one.name === name && one.address !== address);
    if (other === undefined) return;
    throw new SlipwayError(
      'ERR_FORWARD_EXISTS',
      `${name} is the name of ${formatIpv4Address(other.address)} already`,
      'Choose another name, or the same address.',
    );
  }

  /** From the first service on an address is the network's own, and a guest that had it would be cut off. */
  async #checkFree(service: ServiceForward): Promise<void> {
    const { address } = service;
    const isOurs =
      address === this.#guests.gateway || [...this.#services.values()].some((one) => one.address === address);
    if (isOurs || !(await this.#edges.guestAddresses()).has(address)) return;
    throw new SlipwayError(
      'ERR_FORWARD_EXISTS',
      `no service can be at ${serviceKey(service)}: a guest has the address`,
      'Choose one that no guest has; slipway status lists them.',
    );
  }

  /** Whether the name stands in the DNS for another service of the address, or there is none. */
  #isNamed({ name, address }: ServiceForward): boolean {
    return name === '' || [...this.#services.values()].some((one) => one.name === name && one.address === address);
  }

  #next<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#work.then(act);
    this.#work = done.catch(() => {});
    return done;
  }
}

function checkService(service: ServiceForward, { subnet, hostAddress }: AddressPlan): void {
  const { protocol, address, port, name, target } = service;
  const refuse = (why: string, hint: string): never => {
    throw new SlipwayError('ERR_FORWARD_INVALID', `no service can be at ${serviceKey(service)}: ${why}`, hint);
  };
  const range = `Choose a free one from ${formatIpv4Address(firstHost(subnet))} to ${formatIpv4Address(lastHost(subnet))}.`;
  if (!cidrContains(subnet, address) || address < firstHost(subnet) || address > lastHost(subnet)) {
    refuse(`the address is not in ${formatCidr(subnet)}`, range);
  }
  if (address === hostAddress) refuse('the host address reaches every port of this computer already', range);
  if (isOwnName(name)) refuse(`${name} is one of Slipway's own names`, 'Choose another name, or leave it out.');
  if (!isPort(port)) refuse('that is not a port', 'Ports go from 1 to 65535; 0 means all of them.');
  if (target.kind === 'unix') {
    if (!target.path.startsWith('/')) refuse('its target is not an absolute path', 'Give the path of a socket.');
    if (protocol !== 'tcp') refuse('a unix socket cannot serve UDP', 'Use tcp.');
    if (port === 0) refuse('a unix socket serves one port', 'Say which.');
    return;
  }
  if (!isPort(target.port)) refuse('its target is not a port', 'Ports go from 1 to 65535; 0 keeps the number.');
  if (port === 0 && target.port !== 0)
    refuse('all ports cannot lead to one port', 'Name one port, or leave out the port of the target.');
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65_535;
}

function isSame(one: ServiceForward, other: ServiceForward): boolean {
  return one.name === other.name && describeTarget(one) === describeTarget(other);
}

function describeTarget({ target }: ServiceForward): string {
  if (target.kind === 'unix') return target.path;
  return `${formatIpv4Address(target.address)}${target.port === 0 ? '' : `:${target.port}`}`;
}
