import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Ipv4Sender } from '../ip/ipv4-sender.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { OutgoingPacket } from '../ip/output.ts';
import type { Packet, ProtocolHandler } from '../ip/packet.ts';
import type { Port } from '../link/port.ts';
import { writeU16 } from '../wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum } from '../wire/checksum.ts';
import { BROADCAST_MAC } from '../wire/ethernet.ts';
import { IPV4_BROADCAST, PROTOCOL_UDP } from '../wire/ipv4.ts';
import {
  parseUdp,
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_BYTES,
  UDP_MAX_PAYLOAD_BYTES,
  UdpHeader,
  writeUdp,
} from '../wire/udp.ts';

const TTL = 64;
/** Datagrams that nobody took yet, a socket; later ones are dropped. */
const WAITING = 64;

/** A UDP socket of the guest. */
export interface GuestDatagrams {
  /** Sends at most 65,507 bytes; `address` is a number. */
  send(bytes: Uint8Array, port: number, address: number): void;
  /** The next datagram's payload. */
  receive(): Promise<Uint8Array>;
  close(): void;
}

/** What a socket needs of the guest. */
export interface GuestRoutes {
  source(): number;
  neighbor(address: number): Promise<Neighbor>;
  sent(): void;
}

interface Bound {
  readonly arrived: Uint8Array[];
  readonly takers: ((bytes: Uint8Array) => void)[];
}

/** UDP of the guest in memory: datagrams to a port without a socket are counted and dropped. */
export class GuestUdp implements ProtocolHandler {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #output: Ipv4Sender;
  readonly #port: Port;
  readonly #scratch: number;
  readonly #header = new UdpHeader();
  readonly #bound = new Map<number, Bound>();

  constructor(arena: Arena, counters: Counters, output: Ipv4Sender, port: Port) {
    this.#arena = arena;
    this.#counters = counters;
    this.#output = output;
    this.#port = port;
    this.#scratch = arena.allocate(UDP_HEADER_BYTES + UDP_MAX_PAYLOAD_BYTES);
    if (this.#scratch < 0) throw new RangeError('the arena has no room for a datagram');
  }

  open(port: number, routes: GuestRoutes): GuestDatagrams {
    const bound: Bound = { arrived: [], takers: [] };
    this.#bound.set(port, bound);
    return {
      send: (bytes, toPort, address) => void this.#route(bytes, port, toPort, address, routes),
      receive: () =>
        new Promise((resolve) => {
          const waiting = bound.arrived.shift();
          if (waiting === undefined) bound.takers.push(resolve);
          else resolve(waiting);
        }),
      close: () => this.#bound.delete(port),
    };
  }

  receive(packet: Packet): void {
    const drop = this.#deliver(packet);
    if (drop !== undefined) this.#counters.add(drop);
  }

  #deliver({ payloadAt, payloadEnd, source, destination }: Packet): string | undefined {
    const { bytes } = this.#arena;
    const header = this.#header;
    const fault = parseUdp(bytes, payloadAt, payloadEnd, header);
    if (fault !== undefined) return fault;
    const pseudo = pseudoHeaderSum(source, destination, PROTOCOL_UDP, header.length);
    const sum = header.checksum === 0 ? 0 : foldedComplement(this.#arena.sum(payloadAt, header.length, pseudo));
    if (sum !== 0) return 'udp-bad-checksum';
    const bound = this.#bound.get(header.destinationPort);
    if (bound === undefined || bound.arrived.length >= WAITING) return 'udp-not-taken';
    const payload = bytes.slice(payloadAt + UDP_HEADER_BYTES, payloadAt + header.length);
    const taker = bound.takers.shift();
    if (taker === undefined) bound.arrived.push(payload);
    else taker(payload);
    return undefined;
  }

  async #route(bytes: Uint8Array, from: number, to: number, address: number, routes: GuestRoutes): Promise<void> {
    const mac = address === IPV4_BROADCAST ? BROADCAST_MAC : (await routes.neighbor(address)).mac;
    const source = routes.source();
    const at = this.#scratch;
    const length = UDP_HEADER_BYTES + bytes.length;
    writeUdp(this.#arena.bytes, at, from, to, length);
    this.#arena.bytes.set(bytes, at + UDP_HEADER_BYTES);
    const sum = this.#arena.sum(at, length, pseudoHeaderSum(source, address, PROTOCOL_UDP, length));
    // RFC 768: 0 would mean that there is none.
    writeU16(this.#arena.bytes, at + UDP_CHECKSUM_OFFSET, foldedComplement(sum) || 0xffff);
    const datagram = new OutgoingPacket(PROTOCOL_UDP, TTL);
    datagram.source = source;
    datagram.at = at;
    datagram.length = length;
    const sent = this.#output.send({ port: this.#port, mac, address }, datagram);
    if (!sent) this.#counters.add('udp-port-full');
    routes.sent();
  }
}
