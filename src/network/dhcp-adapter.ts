import type { LinkView } from '../dhcp/address-choice.ts';
import { AddressPool } from '../dhcp/address-pool.ts';
import type { AddressProber } from '../dhcp/conflict-probes.ts';
import type { DhcpOrigin } from '../dhcp/dhcp-request.ts';
import type { LeaseRecord } from '../dhcp/lease-record.ts';
import { LeaseTable } from '../dhcp/lease-table.ts';
import type { DhcpReply } from '../dhcp/reply.ts';
import { DHCP_REPLY_BYTES, ReplyWriter } from '../dhcp/reply-writer.ts';
import { Reservations } from '../dhcp/reservations.ts';
import { DhcpServer } from '../dhcp/server.ts';
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import { Neighbor } from '../ip/neighbor.ts';
import type { Packet } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import type { Turn } from '../turn/turn.ts';
import { OutgoingDatagram } from '../udp/outgoing-datagram.ts';
import type { Udp } from '../udp/udp.ts';
import { readU16 } from '../wire/bytes.ts';
import { DHCP_ACK, DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from '../wire/dhcpv4.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import type { NetworkOptions } from './network-options.ts';

export interface DhcpWiring {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly udp: Udp;
  readonly link: LinkView;
  readonly prober: AddressProber;
  /** Whether the gateway answers for an address itself. */
  readonly isOwn: (address: number) => boolean;
  /** A client behind `port`, that had no address, was given one: it has just begun. */
  readonly started: (port: Port) => void;
}

/** Where a message came in. */
interface Arrival extends DhcpOrigin {
  readonly port: Port;
}

/** Joins the DHCP server to UDP port 67 of the link. */
export class DhcpAdapter {
  readonly #wiring: DhcpWiring;
  readonly #leases: LeaseTable;
  readonly #server: DhcpServer<Arrival>;
  readonly #writer: ReplyWriter;
  readonly #datagram = new OutgoingDatagram();

  /** Throws a RangeError when the arena has no room for an answer. */
  constructor(wiring: DhcpWiring, options: NetworkOptions) {
    const { arena, counters } = wiring;
    const { subnet, gateway, dhcp, onLease } = options;
    this.#wiring = wiring;
    // The second address stays free: Docker Desktop's guests begin at .3, and so do the examples of everyone.
    const excluded = dhcp.range === undefined ? [subnet.network + 2] : [];
    const pool = new AddressPool({ subnet, range: dhcp.range, excluded, isOwn: wiring.isOwn });
    this.#leases = new LeaseTable(pool, new Reservations(dhcp.reservations), (change) => onLease?.(change));
    this.#writer = new ReplyWriter({ subnet, gateway }, dhcp, counters);
    this.#server = new DhcpServer({
      ...wiring,
      serverAddress: gateway,
      options: dhcp,
      leases: this.#leases,
      send: (reply, arrival) => this.#send(reply, arrival),
    });
    const at = arena.allocate(UDP_HEADER_BYTES + DHCP_REPLY_BYTES);
    if (at < 0) throw new RangeError('the arena has no room for a DHCP reply');
    this.#datagram.at = at + UDP_HEADER_BYTES;
    this.#datagram.source = gateway;
    this.#datagram.sourcePort = DHCP_SERVER_PORT;
    wiring.udp.registerBroadcastService(DHCP_SERVER_PORT, (packet, payloadAt, length) =>
      this.#receive(packet, payloadAt, length),
    );
  }

  /** Addresses that are offered, given, remembered or known to be someone else's. */
  get leaseCount(): number {
    return this.#leases.size;
  }

  /** Addresses that are being asked for before they are given. */
  get probeCount(): number {
    return this.#server.probing;
  }

  /** `mac` always gets `address`; who has it now does not get it again. */
  reserve(mac: number, address: number): void {
    this.#leases.reservations.add({ mac, address });
    this.#leases.vacate(address, this.#wiring.turn.nowMs);
    // `mac` may have had another address reserved before.
    this.#leases.addressesFreed();
  }

  /** The gateway's own addresses are others now. */
  ownAddressesChanged(): void {
    this.#leases.addressesFreed();
  }

  restore(records: readonly LeaseRecord[], nowMs: number): void {
    this.#server.restore(records, nowMs);
  }

  records(nowMs: number): LeaseRecord[] {
    return this.#leases.records(nowMs);
  }

  /**
   * Where guests may be that have not spoken yet: leases in force, reserved addresses, what the first guest would get.
   */
  likelyAddresses(nowMs: number): Set<number> {
    const inForce = this.records(nowMs).filter(({ remainingMs }) => remainingMs > 0);
    const likely = new Set(inForce.map(({ address }) => address));
    for (const address of this.#leases.reservations.addresses) likely.add(address);
    const { lowest } = this.#leases.pool;
    if (lowest !== undefined) likely.add(lowest);
    return likely;
  }

  close(): void {
    this.#server.close();
  }

  #receive(packet: Packet, payloadAt: number, payloadLength: number): void {
    const { arena, counters } = this.#wiring;
    const { bytes } = arena;
    // The ports of clients and relays (RFC 2131 §4.1) are root's: no other program of a guest speaks for it.
    const sourcePort = readU16(bytes, payloadAt - UDP_HEADER_BYTES);
    if (sourcePort !== DHCP_CLIENT_PORT && sourcePort !== DHCP_SERVER_PORT) {
      counters.add('dhcp-bad-source-port');
      return;
    }
    const { port, mac } = packet.neighbor;
    this.#server.receive(bytes, payloadAt, payloadLength, { place: port.id, mac, source: packet.source, port });
  }

  #send(reply: DhcpReply, arrival: Arrival): void {
    const { arena, turn, udp } = this.#wiring;
    const { port } = arrival;
    if (!port.attached) return;
    // RFC 2131 §4.1: a client without an address cannot be asked for it by ARP, so the MAC comes from its message.
    const client = new Neighbor(reply.destinationAddress, reply.destinationMac, port, turn.nowMs);
    const datagram = this.#datagram;
    datagram.destinationPort = reply.destinationPort;
    datagram.length = this.#writer.write(arena.bytes, datagram.at, reply, port.outlet.mtu);
    const isNew = reply.messageType === DHCP_ACK && reply.yiaddr !== 0 && reply.ciaddr === 0;
    // What comes by a relay stands behind another machine, which goes on.
    if (isNew && reply.request.giaddr === 0) this.#wiring.started(port);
    udp.send(client, datagram);
  }
}
