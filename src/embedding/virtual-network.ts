import type { Duplex } from 'node:stream';
import type { EventJson, FlowJson, ForwardJson, GuestJson, ServiceJson, ZoneJson } from '../api/v1/contract.ts';
import { EventFeed } from '../api/v1/event-feed.ts';
import { eventJson } from '../api/v1/event-json.ts';
import { flowJson, flowOfId } from '../api/v1/flow-json.ts';
import { forwardJson, serviceJson } from '../api/v1/forward-json.ts';
import { guestJson } from '../api/v1/guest-json.ts';
import { addAll, newForwards } from '../api/v1/new-forwards.ts';
import { zoneJson } from '../api/v1/zone-json.ts';
import { guestApiServices } from '../api/gvproxy/guest-api-service.ts';
import { zoneSchema } from '../config/dns-zones.ts';
import { parseListenUrl } from '../config/listen.ts';
import { readBySchema } from '../config/read-by-schema.ts';
import { schemaParts } from '../config/schema-parts.ts';
import { resolveServices, serviceSchema } from '../config/services.ts';
import { type RunningNetwork, startNetwork as startRunning } from '../control/start-network.ts';
import { SlipwayError } from '../facts/errors.ts';
import { type DescribedMessage, describeMessage } from '../services/dns/described-message.ts';
import { formatCidr } from '../wire/cidr.ts';
import { dnsTypeNumber } from '../wire/dns-message.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';
import { type CommandGuest, startCommandGuest } from './command-guest.ts';
import { freeGuestAddress, guestMac } from './guest-addresses.ts';
import { InMemoryGuest } from './in-memory-guest.ts';
import { configOf, type NetworkConfig } from './network-config.ts';
import type { ForwardInput, ServiceInput, TapInput, ZoneInput } from './inputs.ts';

/** Flows that `flows` shows unless told, and at most: a picture of more takes the network too long. */
const FLOWS = 1_000;
const MOST_FLOWS = 10_000;

/** What a network tells while it runs. */
export interface NetworkHooks {
  /** Where lines for people go. Nowhere unless told. */
  readonly log?: NetworkLog;
  /**
   * The network is lost for good (ERR_NETWORK_THREAD). Unless told, the error is thrown where nobody catches it, which
   * ends the process.
   */
  readonly onFatal?: (error: SlipwayError) => void;
}

/** A log such as pino's, with the message first. */
export interface NetworkLog {
  /** What happened, as with guests that come and go. */
  info(message: string, fields?: object): void;
  /** What somebody should look at. */
  warn(message: string, fields?: object): void;
  /** What failed. */
  error(message: string, fields?: object): void;
}

/** Starts a network. The same as `VirtualNetwork.start`. */
export function startNetwork(config: NetworkConfig = {}, hooks: NetworkHooks = {}): Promise<VirtualNetwork> {
  return VirtualNetwork.start(config, hooks);
}

/**
 * A running network: a switch, a gateway with DHCP and DNS, and the way out through this computer's sockets. Its frames
 * are handled by a thread of its own.
 *
 * What goes in is checked in full, and what comes out is plain data in the words of the control API (docs/api.md).
 * Whatever fails rejects or throws a SlipwayError, whose `code` docs/errors.md explains.
 */
export class VirtualNetwork {
  /** "192.168.65.0/24" */
  readonly subnet: string;
  /** The gateway's address, which is the DNS server's too. */
  readonly gateway: string;
  /** The address at which guests reach this computer, also by the name host.docker.internal. */
  readonly hostAddress: string;
  /** Bytes of the largest IP packet. */
  readonly mtu: number;
  readonly #running: RunningNetwork;
  readonly #events: EventFeed;
  /** Of guests that were made here. */
  readonly #addresses = new Set<number>();

  private constructor(running: RunningNetwork, events: EventFeed) {
    const { subnet, gateway, hostAddress, mtu } = running.config.network;
    this.subnet = formatCidr(subnet);
    this.gateway = formatIpv4Address(gateway);
    this.hostAddress = formatIpv4Address(hostAddress);
    this.mtu = mtu;
    this.#running = running;
    this.#events = events;
    running.forwards.onChange((status, removed) => events.tell({ type: 'forward', removed, status }));
    running.watchLeases((change) => events.tell({ type: 'lease', change }));
  }

  /**
   * Starts a network. Rejects with ERR_CONFIG_INVALID or ERR_ADDRESSES for what cannot be, and with ERR_NETWORK_THREAD,
   * ERR_ENGINE_UNAVAILABLE or ERR_PROCESS_LIMITS where this computer does not let it; nothing is left behind then.
   */
  static async start(
    wanted: NetworkConfig = {},
    { log, onFatal = throwLater }: NetworkHooks = {},
  ): Promise<VirtualNetwork> {
    const config = configOf(wanted);
    const events = new EventFeed();
    const lines = events.listeningTo(log ?? SILENT);
    return new VirtualNetwork(await startRunning(config, lines, onFatal, guestApiServices(config.api)), events);
  }

  /**
   * Lets guests attach at a unix socket or a port of 127.0.0.1, as often as they like: `qemu+unix:///run/vm.sock`,
   * `qemu+tcp://127.0.0.1:0`. Resolves with the port, 0 for a unix socket. Rejects with ERR_LISTEN_URL,
   * ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED.
   */
  async listen(url: string): Promise<number> {
    const parsed = parseListenUrl(url);
    if (typeof parsed === 'string') {
      throw new SlipwayError('ERR_LISTEN_URL', `expected ${parsed}, found ${JSON.stringify(url)}`);
    }
    return (await this.#running.control.attachments.listen(parsed)).port;
  }

  /**
   * Attaches the guest behind a tap device, whose descriptor is open in this process and non-blocking. It stays the
   * caller's to close, after the network has stopped. Needs the engine "epoll".
   */
  async attachTap(tap: TapInput): Promise<void> {
    const { fd, name = 'tap', offloads = NO_OFFLOADS } = tap;
    await this.#running.control.attachments.attachTap({ fd, name, offloads });
  }

  /**
   * Attaches the guest at the other end of a connected stream socket, such as one that QEMU was given (`-netdev
   * stream,addr.type=fd`). The descriptor is the network's from the call on.
   */
  attachSocket(fd: number, name: string = 'socket'): Promise<void> {
    return this.#running.control.guests.attachSocket(fd, name);
  }

  /**
   * Attaches a guest whose Ethernet frames go through the stream that this resolves with, each behind its length as u32
   * big-endian, as QEMU's `-netdev stream` has them. To end the stream detaches the guest. `name` is for people.
   */
  attachStream(name: string = 'stream'): Promise<Duplex> {
    return this.#running.control.guests.attach(name);
  }

  /** Attaches a guest that lives in this process, with an address of its own. */
  async attachInMemory(): Promise<InMemoryGuest> {
    const { MemoryGuest } = await import('../memory-guest/memory-guest.ts');
    const { config, control } = this.#running;
    const { subnet, gateway } = config.network;
    const address = await this.#takeAddress();
    const mac = guestMac(address);
    await control.requests.ask('reserveLeases', [{ mac, address }]);
    const guest = new MemoryGuest(await control.guests.attach('in memory'), { mac, mtu: this.mtu });
    guest.configure(address, subnet.mask, gateway);
    return new InMemoryGuest(guest, address, gateway);
  }

  /**
   * Runs a command in a network namespace of its own whose only way out is this network, as `slipway run` does. Linux
   * only. `env` and standard streams are this process's unless told. Rejects with ERR_TUN_…, ERR_NAMESPACE_… or
   * ERR_COMMAND_….
   */
  async runCommand(
    command: readonly string[],
    options: { readonly env?: Readonly<Record<string, string | undefined>> } = {},
  ): Promise<CommandGuest> {
    const address = await this.#takeAddress();
    return startCommandGuest(this.#running, address, command, { ...options, forwardSignals: false });
  }

  /** The guests that are attached now, with their addresses and leases. */
  async guests(): Promise<GuestJson[]> {
    const { guests, leases } = await this.#running.status();
    return guests.map((guest) => guestJson(guest, leases));
  }

  /**
   * A TCP connection from the gateway to a port of a guest; to the first guest unless `address` is told. Rejects with
   * ERR_GUEST_REFUSED, ERR_GUEST_UNREACHABLE or ERR_GUEST_TIMEOUT.
   */
  async connectToGuest(port: number, address?: string): Promise<Duplex> {
    const guest = address === undefined ? 0 : parseIpv4Address(address);
    if (guest === undefined) throw usage(`expected an IPv4 address, found ${JSON.stringify(address)}`);
    return this.#running.control.guests.dial(guest, port);
  }

  /**
   * Publishes ports of this computer that reach a guest: `8080:80` as `docker run -p` has it, or an object. All of
   * them, or none; one forward unless the host chose several ports. Rejects with ERR_PORT_…, ERR_FORWARD_… or
   * ERR_CONFIG_INVALID.
   */
  async publish(forward: string | ForwardInput): Promise<ForwardJson[]> {
    const raw = typeof forward === 'string' ? { publish: forward } : forward;
    return addAll(this.#running.forwards, checked(newForwards, raw, 'forward'));
  }

  /** Closes a forward; its connections live on. False when there is none of that id. */
  unpublish(id: string): Promise<boolean> {
    return this.#running.forwards.close(id);
  }

  /** The current state of every forward, by id. */
  async forwards(): Promise<ForwardJson[]> {
    await this.#running.forwards.refresh();
    return this.#running.forwards.list().map(forwardJson);
  }

  /**
   * Lets guests reach a service of this computer at the gateway or at an address of its own. Rejects with
   * ERR_CONFIG_INVALID, ERR_ADDRESSES or ERR_FORWARD_EXISTS.
   */
  async addService(service: ServiceInput): Promise<ServiceJson> {
    const { network, dns, api } = this.#running.config;
    const [made] = resolveServices(
      [checked(serviceSchema(schemaParts), service, 'service')],
      network,
      dns,
      api,
      () => 'service',
    );
    await this.#running.forwards.addService(made!);
    return serviceJson(made!);
  }

  /** Closes a service. False when there is none of that id. */
  async removeService(id: string): Promise<boolean> {
    const found = this.#running.forwards.services().find((service) => serviceJson(service).id === id);
    return found !== undefined && (await this.#running.forwards.removeService(found));
  }

  /** Every service that guests reach now. */
  services(): ServiceJson[] {
    return this.#running.forwards.services().map(serviceJson);
  }

  /**
   * Sets a zone of names, in the place of the one of its name; the next answer has it. Throws ERR_CONFIG_INVALID or
   * ERR_DNS_ZONE.
   */
  setZone(zone: ZoneInput): void {
    this.#running.dns.zones.setZone(checked(zoneSchema(schemaParts), zone, 'zone'));
  }

  /** Removes what was set under the name. False when nothing was. */
  removeZone(name: string): boolean {
    return this.#running.dns.zones.removeZone(name);
  }

  /** All zones, the built-in ones first. */
  zones(): ZoneJson[] {
    return this.#running.dns.zones.list().map(zoneJson);
  }

  /**
   * The answer that a guest would get to a question of DNS. `type` is a word such as "AAAA". Rejects with ERR_USAGE.
   */
  async lookup(name: string, type: string = 'A'): Promise<DescribedMessage> {
    const number = dnsTypeNumber(type);
    if (number === undefined) throw usage(`expected a record type such as AAAA, found ${JSON.stringify(type)}`);
    return describeMessage(await this.#running.dns.lookup({ name, type: number }));
  }

  /** At most `limit` (up to 10,000) of the flows that cross the network now, TCP first. */
  async flows(limit: number = FLOWS): Promise<FlowJson[]> {
    return (await this.#running.control.ask('flows', { limit: Math.min(limit, MOST_FLOWS) })).map(flowJson);
  }

  /** Ends a flow with a reset on both sides. False when there is none of that id. */
  async killFlow(id: string): Promise<boolean> {
    const flow = flowOfId(id);
    return flow !== undefined && this.#running.control.ask('killFlow', flow);
  }

  /** What was counted since the start, by its word; docs/security.md has those of every limit. */
  async counters(): Promise<Readonly<Record<string, number>>> {
    return (await this.#running.status()).counters;
  }

  /** Calls `listener` with everything that happens from now on. Returns what ends it. */
  watch(listener: (event: EventJson) => void): () => void {
    return this.#events.subscribe((event) => listener(eventJson(event)));
  }

  /** Ends the network: guests are detached, connections reset, ports and sockets closed. Idempotent. */
  stop(): Promise<void> {
    return this.#running.stop();
  }

  /** The same as `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #takeAddress(): Promise<number> {
    const { config } = this.#running;
    const { guests, leases } = await this.#running.status();
    const known = [...guests, ...leases, ...config.dhcp.reservations].flatMap(({ address }) => address ?? []);
    const address = freeGuestAddress(config, new Set([...this.#addresses, ...known]));
    if (address === undefined) throw new SlipwayError('ERR_ADDRESSES', `no address of ${this.subnet} is free`);
    this.#addresses.add(address);
    return address;
  }
}

const SILENT: NetworkLog = { info: () => {}, warn: () => {}, error: () => {} };
const NO_OFFLOADS = { checksum: false, tcpSegmentation: false, udpSegmentation: false };

function throwLater(error: SlipwayError): void {
  setImmediate(() => {
    throw error;
  });
}

function usage(message: string): SlipwayError {
  return new SlipwayError('ERR_USAGE', message);
}

/** `raw` as the schema reads it. Throws ERR_CONFIG_INVALID. */
function checked<T>(schema: Parameters<typeof readBySchema<T>>[0], raw: unknown, name: string): T {
  const read = readBySchema(schema, raw, name);
  if ('value' in read) return read.value;
  throw new SlipwayError('ERR_CONFIG_INVALID', read.problems.join('\n'), 'docs/api.md has examples.');
}
