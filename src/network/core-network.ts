import type { AttachmentKind } from '../attachment/kinds/kind.ts';
import type { LeaseRecord } from '../dhcp/lease-record.ts';
import type { ServiceFlow } from '../env/gateway-services.ts';
import type { HostPipe } from '../env/host.ts';
import type { Offloads } from '../env/offloads.ts';
import { GATEWAY_SERVICES } from '../facts/gateway-ports.ts';
import { type OwnListener, OwnListeners } from '../flow/own-listeners.ts';
import type { FlowProtocol } from '../flow/protocol.ts';
import { decide, type RoutePolicy, type ServiceRoute, ServiceRoutes, type Target } from '../flow/route.ts';
import type { ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import type { GuestStreamDone } from '../forward/guest-streams.ts';
import { type ForwardDone, OpenForwards } from '../forward/open-forwards.ts';
import { IcmpEcho } from '../icmp/echo.ts';
import { IcmpErrorSender } from '../icmp/errors.ts';
import { Interface } from '../ip/interface.ts';
import { Ipv4Sender } from '../ip/ipv4-sender.ts';
import type { PortFacts } from '../link/port.ts';
import { Switch } from '../link/switch.ts';
import { Tcp, type TcpFlowStatus } from '../tcp/tcp.ts';
import { Turn } from '../turn/turn.ts';
import { Udp } from '../udp/udp.ts';
import type { UdpMappingStatus } from '../udp/udp-options.ts';
import { DHCP_SERVER_PORT } from '../wire/dhcpv4.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { ArpProber } from './arp-prober.ts';
import { type AttachedGuest, AttachedGuests } from './attached-guests.ts';
import { DhcpAdapter } from './dhcp-adapter.ts';
import { GATEWAY_MAC, type NetworkOptions, type NetworkWorld, WINDOW_BYTES } from './network-options.ts';
import { Traffic } from './traffic.ts';

/** A guest's place at the switch, for people. */
export interface PortStatus {
  readonly name: string;
  readonly addresses: readonly number[];
  readonly mac: number | undefined;
  readonly rxFrames: number;
  readonly rxBytes: number;
  readonly txFrames: number;
  readonly txBytes: number;
}

/**
 * The whole network: switch, interface and protocols joined, with a host behind it. It does no input or output of its
 * own, so it runs as it is in a test with a clock by hand. Whoever owns it runs `turn.run(now)` whenever the host or a
 * guest has something, and sleeps at most `turn.waitMs(limit)` in between.
 */
export class CoreNetwork {
  readonly turn: Turn;
  readonly #world: NetworkWorld;
  readonly #options: NetworkOptions;
  readonly #switch: Switch;
  readonly #guests: AttachedGuests;
  readonly #interface: Interface;
  readonly #icmp: IcmpEcho;
  readonly #tcp: Tcp;
  readonly #udp: Udp;
  readonly #prober: ArpProber;
  readonly #dhcp: DhcpAdapter;
  readonly #forwards: OpenForwards;
  readonly #traffic: Traffic = new Traffic();
  #policy: RoutePolicy;

  /** Throws a RangeError when the arena is too small for it. */
  constructor(world: NetworkWorld, options: NetworkOptions) {
    const { arena, random, log, counters, host, services } = world;
    const { subnet, gateway, hostAddress, limits } = options;
    const turn = new Turn(world.clock.nowMs(), world);
    const wiring = { arena, turn, counters, log, random, host };
    this.turn = turn;
    this.#world = world;
    this.#options = options;
    const output = new Ipv4Sender({ arena, random, gatewayMac: GATEWAY_MAC });
    const errors = new IcmpErrorSender({ ...wiring, output, gatewayAddress: gateway, subnet });
    const uplink = new Interface({
      ...wiring,
      subnet,
      gatewayAddress: gateway,
      hostAddress,
      gatewayMac: GATEWAY_MAC,
      errors,
    });
    this.#interface = uplink;
    this.#switch = new Switch({ ...wiring, gatewayMac: GATEWAY_MAC, uplink });
    this.#guests = new AttachedGuests(world, options, turn, this.#switch, {
      left: (port) => {
        this.#traffic.left(port);
        this.#tcp.guestLeft(port);
        this.#forwards.guestLeft();
      },
    });
    this.#policy = {
      gatewayAddress: gateway,
      hostAddress,
      hostLoopback: options.hostLoopback,
      services: GATEWAY_SERVICES,
      own: new OwnListeners(),
    };
    const route = (protocol: FlowProtocol, destination: number, port: number): Target =>
      decide(this.#policy, protocol, destination, port);
    this.#tcp = new Tcp({
      ...wiring,
      icmpErrors: errors,
      gatewayMac: GATEWAY_MAC,
      limits: { flows: limits.flows, dialsInFlight: limits.dialsInFlight, windowBytes: WINDOW_BYTES },
      decide: (destination, port) => route('tcp', destination, port),
    });
    this.#udp = new Udp({
      ...wiring,
      output,
      errors,
      services,
      decide: route,
      neighborOf: (address) => uplink.neighbors.find(address),
      gatewayAddress: gateway,
      broadcastAddress: subnet.broadcast,
      seed: random.u32(),
      limits: { mappings: limits.udpMappings, mappingsPerGuest: Math.max(1, limits.udpMappings >> 2) },
    });
    this.#icmp = new IcmpEcho({
      ...wiring,
      output,
      errors,
      own: uplink.own,
      unreachable: (packet, code, mtu, at, end) => this.#tcp.unreachable(packet, code, mtu, at, end),
    });
    uplink.register(PROTOCOL_TCP, this.#tcp);
    uplink.register(PROTOCOL_UDP, this.#udp);
    uplink.register(PROTOCOL_ICMP, this.#icmp);
    this.#prober = new ArpProber(arena, GATEWAY_MAC, () => this.#switch.ports);
    this.#dhcp = this.#serveDhcp(uplink);
    this.#forwards = this.#makeForwards(uplink);
  }

  /** A guest that came by an address of that kind. Undefined when there is no room for another (counted, logged). */
  attach(kind: AttachmentKind, pipe: HostPipe, name: string, facts?: PortFacts): AttachedGuest | undefined {
    return this.#guests.attach(kind, pipe, name, facts);
  }

  /** A guest behind a tap device. Undefined when there is no room for another. */
  attachTap(pipe: HostPipe, name: string, offloads: Offloads, facts?: PortFacts): AttachedGuest | undefined {
    const guest = this.#guests.attachTap(pipe, name, offloads, facts);
    if (guest !== undefined) this.#forwards.guestCame();
    return guest;
  }

  /**
   * The answer of a UDP service at the gateway; the eight bytes before `at` are overwritten. False when it found no
   * room or no guest.
   */
  replyFromService(flow: ServiceFlow, at: number, length: number): boolean {
    return this.#udp.replyFromService(flow, at, length);
  }

  /** `mac` always gets `address`. */
  reserveLease(mac: number, address: number): void {
    this.#dhcp.reserve(mac, address);
  }

  /**
   * Takes up leases as an earlier network left them; they are counted on from now. What no longer fits the options is
   * dropped.
   */
  restoreLeases(records: readonly LeaseRecord[]): void {
    this.#dhcp.restore(records, this.#world.clock.nowMs());
  }

  /** Leases in force and those that are remembered, in order of address. */
  leases(): LeaseRecord[] {
    return this.#dhcp.records(this.#world.clock.nowMs());
  }

  /**
   * Begins to forward clients of the host's side to a guest; `done` hears within a moment. The sockets are the
   * network's from here on.
   */
  openForward(request: ForwardRequest, done: ForwardDone): void {
    this.#forwards.open(request, done);
  }

  /** Takes no more clients; with `connections` ends those that there are. False when there is no such forward. */
  closeForward(id: number, connections: boolean): boolean {
    return this.#forwards.close(id, connections);
  }

  /** Open forwards, in order of id. */
  forwards(): ForwardReport[] {
    return this.#forwards.list();
  }

  /**
   * Joins one end of a pair of stream sockets, `fd`, to a guest's port (address 0: the first guest). `done` hears what
   * the guest says.
   */
  openGuestStream(fd: number, address: number, port: number, done: GuestStreamDone): void {
    this.#forwards.openStream(fd, address, port, done);
  }

  /**
   * All services of the host that guests reach at the gateway or at addresses of their own, in place of those before.
   * Flows that are open go on.
   */
  setServices(routes: readonly ServiceRoute[]): void {
    const { gateway, hostAddress } = this.#options;
    const services = new ServiceRoutes(routes);
    const virtual = [...services.addresses].filter((address) => address !== gateway && address !== hostAddress);
    for (const address of virtual) this.#warnOfOwner(address);
    this.#interface.own.replace(virtual);
    this.#dhcp.ownAddressesChanged();
    this.#policy = { ...this.#policy, routes: services };
  }

  /** This process listens there itself: from now on no guest gets there. */
  addOwnListener(listener: OwnListener): void {
    this.#policy.own.add(listener);
  }

  /** It no longer does. */
  removeOwnListener(listener: OwnListener): void {
    this.#policy.own.remove(listener);
  }

  /** Ends a TCP flow with a reset on both sides. False when there is none. */
  killTcpFlow(guestAddress: number, guestPort: number, remoteAddress: number, remotePort: number): boolean {
    if (this.#tcp.kill(guestAddress, guestPort, remoteAddress, remotePort)) return true;
    return this.#forwards.killLoopbackFlow({ guestAddress, guestPort, remoteAddress, remotePort });
  }

  /** Forgets the UDP mapping of a guest's port. False when there is none. */
  killUdpMapping(guestAddress: number, guestPort: number): boolean {
    return this.#udp.kill(guestAddress, guestPort);
  }

  /** Flows that hold a host stream. */
  get flowCount(): number {
    return this.#tcp.flowCount;
  }

  get ports(): PortStatus[] {
    const neighbors = [...this.#interface.neighbors.values()];
    return this.#switch.ports.map((port) => {
      const here = neighbors.filter((neighbor) => neighbor.port === port);
      const { name, rxFrames, rxBytes, txFrames, txBytes } = port;
      const addresses = here.map((neighbor) => neighbor.address);
      return { name, addresses, mac: here[0]?.mac, rxFrames, rxBytes, txFrames, txBytes };
    });
  }

  /** Up to `limit` TCP flows; behind them clients of who listens at a guest's own loopback. */
  tcpFlows(limit: number): TcpFlowStatus[] {
    const flows = this.#tcp.list(limit);
    return [...flows, ...this.#forwards.loopbackFlows(limit - flows.length)];
  }

  udpMappings(): UdpMappingStatus[] {
    return this.#udp.list();
  }

  /** Frames and bytes of all guests since the start: 'guest-frames-received' and so on. */
  get traffic(): Readonly<Record<string, number>> {
    return this.#traffic.with(this.#switch.ports);
  }

  /** What happened since the start, by name. */
  get counts(): Readonly<Record<string, number>> {
    return this.#world.counters.snapshot();
  }

  /** What is held now; the counters say what happened. */
  get gauges(): Readonly<Record<string, number>> {
    return {
      'tcp-flows': this.#tcp.flowCount,
      'tcp-dials-in-flight': this.#tcp.dialsInFlight,
      'tcp-time-wait': this.#tcp.timeWaitCount,
      'tcp-window-bytes': this.#tcp.windowBytesReserved,
      'tcp-chunk-bytes': this.#tcp.chunkBytesUsed,
      'tcp-gathered-pieces': this.#tcp.gatheredPieces,
      'udp-mappings': this.#udp.mappingCount,
      'icmp-echo-mappings': this.#icmp.size,
      reassemblies: this.#interface.reassemblies,
      neighbors: this.#interface.neighbors.size,
      'dhcp-leases': this.#dhcp.leaseCount,
      'dhcp-probes': this.#dhcp.probeCount,
      'switch-addresses': this.#switch.stationCount,
      forwards: this.#forwards.size,
      'forward-waiting': this.#forwards.waiting,
      'forward-udp-clients': this.#forwards.udpClients,
    };
  }

  /** Ends every flow with a reset and closes every host socket. */
  abort(): void {
    this.#forwards.closeAll();
    this.#tcp.destroy();
    this.#udp.close();
    this.#icmp.close();
    this.#dhcp.close();
    this.turn.flush();
  }

  #warnOfOwner(address: number): void {
    const guest = this.#interface.neighbors.find(address);
    if (guest === undefined || this.#interface.own.has(address)) return;
    this.#world.log.warn('a guest has the address of a service and is now ignored: give one of them another', {
      address: formatIpv4Address(address),
      guest: guest.port.name,
    });
  }

  #makeForwards(uplink: Interface): OpenForwards {
    const { gateway, hostAddress, subnet, limits } = this.#options;
    const { neighbors, own } = uplink;
    const forwards = new OpenForwards({
      ...this.#world,
      turn: this.turn,
      tcp: this.#tcp,
      udp: this.#udp,
      listeners: this.#world.host,
      link: {
        find: (address) => neighbors.find(address),
        known: () => neighbors.values(),
        leased: () => this.#leasedAddresses(),
        likely: () => this.#dhcp.likelyAddresses(this.turn.nowMs),
        ask: (address) => this.#prober.ask(address, gateway),
        someUnheard: () => this.#switch.ports.some(({ heard }) => !heard),
      },
      subnet,
      gatewayAddress: gateway,
      hostAddress,
      isOwn: (address) => own.has(address),
      flows: limits.flows,
      udpClients: limits.udpMappings,
      changed: (change) => this.#options.onForward?.(change),
    });
    neighbors.onHeard = (neighbor) => forwards.heard(neighbor);
    return forwards;
  }

  *#leasedAddresses(): IterableIterator<number> {
    for (const { address, remainingMs } of this.leases()) if (remainingMs > 0) yield address;
  }

  #serveDhcp(uplink: Interface): DhcpAdapter {
    const { arena, counters } = this.#world;
    uplink.acceptBroadcast(DHCP_SERVER_PORT);
    const link = {
      heardAt: (address: number) => uplink.neighbors.find(address),
      // The switch has heard the one who asks; whoever else it has heard is another.
      hasOthers: () => this.#switch.stationCount > 1,
    };
    return new DhcpAdapter(
      {
        arena,
        turn: this.turn,
        counters,
        udp: this.#udp,
        link,
        prober: this.#prober,
        isOwn: (address) => uplink.own.has(address),
        started: (port) => this.#tcp.guestStarted(port),
      },
      this.#options,
    );
  }
}
