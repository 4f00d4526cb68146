import type { Lease } from '../dhcp/lease-table.ts';
import { DHCP_REPLY_BYTES, type DhcpParameters, writeDhcpReply } from '../dhcp/reply.ts';
import type { DhcpServer } from '../dhcp/server.ts';
import type { Arena } from '../env/arena.ts';
import { Neighbor } from '../ip/neighbor.ts';
import type { Packet } from '../ip/packet.ts';
import type { Turn } from '../turn/turn.ts';
import type { Udp } from '../udp/udp.ts';
import { DHCP_ACK } from '../wire/dhcpv4.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';

const SERVER_PORT = 67;
const CLIENT_PORT = 68;

/** Joins the DHCP server (a function of messages) to UDP port 67 of the link. */
export class DhcpAdapter {
  readonly #arena: Arena;
  readonly #turn: Turn;
  readonly #udp: Udp;
  readonly #server: DhcpServer;
  readonly #parameters: DhcpParameters;
  readonly #onLease: (lease: Lease) => void;
  readonly #replyAt: number;

  constructor(
    arena: Arena,
    turn: Turn,
    udp: Udp,
    server: DhcpServer,
    parameters: DhcpParameters,
    onLease: (lease: Lease) => void,
  ) {
    this.#arena = arena;
    this.#turn = turn;
    this.#udp = udp;
    this.#server = server;
    this.#parameters = parameters;
    this.#onLease = onLease;
    const at = arena.allocate(UDP_HEADER_BYTES + DHCP_REPLY_BYTES);
    if (at < 0) throw new RangeError('the arena has no room for a DHCP reply');
    this.#replyAt = at + UDP_HEADER_BYTES;
    udp.registerBroadcastService(SERVER_PORT, (packet, payloadAt, length) => this.#receive(packet, payloadAt, length));
  }

  #receive(packet: Packet, payloadAt: number, payloadLength: number): void {
    const { bytes } = this.#arena;
    const reply = this.#server.handle(bytes, payloadAt, payloadLength, this.#turn.nowMs);
    if (reply === undefined) return;
    // RFC 2131 §4.1: a client without an address cannot be asked for it by ARP, so the MAC comes from its message.
    const client = new Neighbor(reply.destinationAddress, reply.destinationMac, packet.neighbor.port, this.#turn.nowMs);
    // The parameters carry the MTU of the client's own port: attachments differ.
    const parameters = { ...this.#parameters, mtu: packet.neighbor.port.outlet.mtu };
    const length = writeDhcpReply(bytes, this.#replyAt, reply, parameters);
    this.#udp.send(client, parameters.serverAddress, SERVER_PORT, CLIENT_PORT, this.#replyAt, length);
    if (reply.messageType !== DHCP_ACK || reply.yiaddr === 0) return;
    const lease = this.#server.leases.at(reply.yiaddr);
    if (lease !== undefined) this.#onLease(lease);
  }
}
