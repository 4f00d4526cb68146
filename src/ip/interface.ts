/**
 * The gateway's interface on the guests' network: what the switch hands up is ARP, or IPv4 that is checked here once
 * for everyone above (RFC 791, RFC 1122 §3.2, RFC 1812 §5).
 *
 * A guest speaks only from an address of the subnet that is not ours; everything else is spoofed and dropped, but for a
 * DHCP client that has none yet. Packets for our own addresses and for the outside go to the handler of their protocol.
 * The outside is reached by host sockets, so this is no forwarding path: it only keeps a router's promises to the guest
 * (time to live, unreachable answers). Broadcast and multicast go to registered UDP services, never further.
 *
 * Every packet ends in exactly one way: handed up, or one counter. Not here: IPv6, VLAN tags, IGMP, record route and
 * timestamp options (accepted, skipped).
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import { Frame } from '../link/frame.ts';
import type { Port } from '../link/port.ts';
import type { Uplink } from '../link/uplink.ts';
import type { Turn } from '../turn/turn.ts';
import { readU16, readU32, writeU16 } from '../wire/bytes.ts';
import { foldedComplement, sumBytes } from '../wire/checksum.ts';
import type { Cidr } from '../wire/cidr.ts';
import {
  destinationMac,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_SERVICE_VLAN,
  ETHERTYPE_VLAN,
  etherType,
  isMulticastMac,
  sourceMac,
  VLAN_TAG_BYTES,
} from '../wire/ethernet.ts';
import {
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_HOST_UNREACHABLE,
  ICMP_PROTOCOL_UNREACHABLE,
  ICMP_REASSEMBLY_EXCEEDED,
  ICMP_TIME_EXCEEDED,
  ICMP_TTL_EXCEEDED,
} from '../wire/icmpv4.ts';
import {
  IPV4_HEADER_BYTES,
  IPV4_SOURCE_OFFSET,
  type Ipv4Fault,
  Ipv4Header,
  ipv4ChecksumValid,
  PROTOCOL_UDP,
  parseIpv4,
} from '../wire/ipv4.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import { AddressConflicts } from './address-conflicts.ts';
import { AddressRules, type SourceFault } from './address-rules.ts';
import { Arp } from './arp.ts';
import type { IcmpErrors } from './icmp-errors.ts';
import { type OptionsFault, optionsFault } from './ipv4-options.ts';
import { Neighbor } from './neighbor.ts';
import { NeighborCache } from './neighbor-cache.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { ProtocolHandler } from './packet.ts';
import { Reassembly, type WholeDatagram } from './reassembly.ts';
import type { ReassemblySlot } from './reassembly-slot.ts';
import { ReceivedPacket } from './received-packet.ts';
import { DHCP_SERVER_PORT } from '../wire/dhcpv4.ts';

/** Why a frame was not handed up; each is a counter. */
export type InterfaceDrop =
  | Ipv4Fault
  | OptionsFault
  | SourceFault
  | 'ethernet-vlan'
  | 'ethernet-ipv6'
  | 'ethernet-unknown-type'
  | 'ipv4-bad-checksum'
  | 'ipv4-address-in-use'
  | 'ipv4-martian-destination'
  | 'ipv4-unicast-in-broadcast-frame'
  | 'ipv4-broadcast-not-served'
  | 'ipv4-ttl-exceeded'
  | 'ipv4-destination-in-subnet'
  | 'ipv4-unknown-protocol';

export interface InterfaceOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log: Log;
  readonly subnet: Cidr;
  readonly gatewayAddress: number;
  readonly hostAddress: number;
  readonly gatewayMac: number;
  readonly errors: IcmpErrors;
}

export class Interface implements Uplink {
  /** The addresses that are ours. */
  readonly own: OwnAddresses;
  readonly neighbors: NeighborCache;
  readonly #arena: Arena;
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #errors: IcmpErrors;
  readonly #rules: AddressRules;
  readonly #arp: Arp;
  readonly #reassembly: Reassembly;
  readonly #handlers = new Array<ProtocolHandler | undefined>(256).fill(undefined);
  readonly #broadcastPorts = new Set<number>();
  readonly #header = new Ipv4Header();
  readonly #plainFrame = new Frame();
  #packet: ReceivedPacket | undefined;

  constructor(options: InterfaceOptions) {
    this.#arena = options.arena;
    this.#turn = options.turn;
    this.#counters = options.counters;
    this.#errors = options.errors;
    this.own = new OwnAddresses(options.gatewayAddress, options.hostAddress);
    this.neighbors = new NeighborCache(options.counters, new AddressConflicts(options));
    this.#rules = new AddressRules(options.subnet, this.own);
    this.#arp = new Arp({
      ...options,
      own: this.own,
      neighbors: this.neighbors,
      isGuestAddress: (address) => this.#rules.sourceFault(address) === undefined,
    });
    this.#reassembly = new Reassembly({ ...options, onExpired: (slot) => this.#reassemblyExpired(slot) });
  }

  /** Datagrams that wait for more fragments. */
  get reassemblies(): number {
    return this.#reassembly.pending;
  }

  /** Packets of IP protocol `protocol` (0–255) go to `handler`. */
  register(protocol: number, handler: ProtocolHandler): void {
    this.#handlers[protocol] = handler;
  }

  /** Datagrams to UDP port `port` are handed up also when they are broadcast or multicast; `destination` tells. */
  acceptBroadcast(port: number): void {
    this.#broadcastPorts.add(port);
  }

  /**
   * By ARP, or as the source of a packet: an ICMP redirect from our address turns a guest's traffic as ARP does. Tags
   * are looked through, since a guest takes what is tagged with VLAN 0 for untagged (IEEE 802.1Q §6.9), however often.
   */
  claimsOwnAddress(frame: Frame): boolean {
    const { bytes } = this.#arena;
    const end = frame.at + frame.length;
    let at = frame.at + ETHERNET_HEADER_BYTES;
    let type = etherType(bytes, frame.at);
    for (
      ;
      (type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN) && at + VLAN_TAG_BYTES <= end;
      at += VLAN_TAG_BYTES
    ) {
      type = readU16(bytes, at + 2);
    }
    if (type === ETHERTYPE_ARP) return this.#arp.claimsOwnAddress(at, end);
    return (
      type === ETHERTYPE_IPV4 && end - at >= IPV4_HEADER_BYTES && this.own.has(readU32(bytes, at + IPV4_SOURCE_OFFSET))
    );
  }

  receive(port: Port, frame: Frame): void {
    const type = etherType(this.#arena.bytes, frame.at);
    if (type === ETHERTYPE_ARP) {
      this.#arp.receive(port, frame);
      return;
    }
    const drop = type === ETHERTYPE_IPV4 ? this.#receiveIpv4(port, frame) : unknownType(type);
    if (drop !== undefined) this.#counters.add(drop, frame.count);
  }

  #receiveIpv4(port: Port, frame: Frame): InterfaceDrop | undefined {
    const { bytes } = this.#arena;
    const header = this.#header;
    const at = frame.at + ETHERNET_HEADER_BYTES;
    const fault = parseIpv4(bytes, at, frame.at + frame.length, header);
    if (fault !== undefined) return fault;
    if (!frame.checksumValid && !ipv4ChecksumValid(bytes, at, header.headerBytes)) return 'ipv4-bad-checksum';
    if (header.headerBytes > IPV4_HEADER_BYTES) {
      const optionFault = optionsFault(bytes, at, header.headerBytes);
      if (optionFault !== undefined) return optionFault;
    }
    const mac = sourceMac(bytes, frame.at);
    const addressless = header.source === 0 && this.#isDhcpRequest(at);
    const sourceFault = addressless ? undefined : this.#rules.sourceFault(header.source);
    if (sourceFault !== undefined) return sourceFault;
    const neighbor = addressless
      ? new Neighbor(0, mac, port, this.#turn.nowMs)
      : this.neighbors.learn(header.source, mac, port, this.#turn.nowMs);
    if (neighbor === undefined) return 'ipv4-address-in-use';
    return this.#dispatch(this.#fill(frame, neighbor, at));
  }

  /** Where the checked packet goes by its destination. */
  #dispatch(packet: ReceivedPacket): InterfaceDrop | undefined {
    const { bytes } = this.#arena;
    const kind = this.#rules.kindOf(packet.destination);
    if (kind === 'martian') return 'ipv4-martian-destination';
    if (kind !== 'broadcast') {
      // RFC 1122 §3.3.6
      if (isMulticastMac(destinationMac(bytes, packet.frame.at))) return 'ipv4-unicast-in-broadcast-frame';
      if (kind !== 'own' && packet.ttl <= 1) {
        this.#errors.about(packet, ICMP_TIME_EXCEEDED, ICMP_TTL_EXCEEDED);
        return 'ipv4-ttl-exceeded';
      }
      if (kind === 'neighbor') {
        this.#errors.about(packet, ICMP_DESTINATION_UNREACHABLE, ICMP_HOST_UNREACHABLE);
        return 'ipv4-destination-in-subnet';
      }
    }
    const header = this.#header;
    if (header.moreFragments || header.fragmentOffset > 0) {
      const whole = this.#reassembly.add(header, packet.headerAt, packet.neighbor);
      if (whole === undefined) return undefined;
      this.#fillReassembled(whole, packet.neighbor);
    }
    return this.#handUp(packet, kind === 'broadcast');
  }

  #handUp(packet: ReceivedPacket, broadcast: boolean): InterfaceDrop | undefined {
    if (broadcast && !this.#isServedBroadcast(packet)) return 'ipv4-broadcast-not-served';
    const handler = this.#handlers[packet.protocol];
    if (handler !== undefined) {
      handler.receive(packet);
      return undefined;
    }
    this.#errors.about(packet, ICMP_DESTINATION_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE);
    return 'ipv4-unknown-protocol';
  }

  /** The record for the whole packet whose header was parsed last. */
  #fill(frame: Frame, neighbor: Neighbor, at: number): ReceivedPacket {
    const header = this.#header;
    this.#packet ??= new ReceivedPacket(frame, neighbor);
    const packet = this.#packet;
    packet.frame = frame;
    packet.neighbor = neighbor;
    packet.headerAt = at;
    packet.payloadAt = at + header.headerBytes;
    packet.payloadEnd = at + header.totalLength;
    packet.source = header.source;
    packet.destination = header.destination;
    packet.protocol = header.protocol;
    packet.ttl = header.ttl;
    packet.tos = header.tos;
    packet.dontFragment = header.dontFragment;
    packet.probesPath = header.dontFragment && header.identification === 0;
    return packet;
  }

  /** Makes the datagram's bytes one packet with a header that says so, and the record its packet. */
  #fillReassembled(whole: WholeDatagram, neighbor: Neighbor): void {
    const { bytes } = this.#arena;
    const at = whole.headerAt;
    const header = this.#header;
    // With options the whole may exceed 16 bits; what is above is lost only in a header that nobody reads for its
    // length.
    writeU16(bytes, at + 2, Math.min(whole.headerBytes + whole.total, 0xffff));
    writeU16(bytes, at + 6, 0);
    writeU16(bytes, at + 10, 0);
    writeU16(bytes, at + 10, foldedComplement(sumBytes(bytes, at, whole.headerBytes, 0)));
    header.headerBytes = whole.headerBytes;
    header.totalLength = whole.headerBytes + whole.total;
    header.ttl = whole.ttl;
    header.dontFragment = false;
    this.#plainFrame.plain(at - ETHERNET_HEADER_BYTES, ETHERNET_HEADER_BYTES + header.totalLength);
    this.#fill(this.#plainFrame, neighbor, at);
  }

  #reassemblyExpired(slot: ReassemblySlot): void {
    const { neighbor } = slot;
    if (neighbor === undefined) return;
    const at = slot.headerAt;
    if (parseIpv4(this.#arena.bytes, at, at + 0xffff, this.#header) !== undefined) return;
    this.#plainFrame.plain(at - ETHERNET_HEADER_BYTES, ETHERNET_HEADER_BYTES + slot.contiguousEnd - at);
    const packet = this.#fill(this.#plainFrame, neighbor, at);
    packet.payloadEnd = slot.contiguousEnd;
    this.#errors.about(packet, ICMP_TIME_EXCEEDED, ICMP_REASSEMBLY_EXCEEDED);
  }

  /** A whole datagram to the DHCP server's port: the only thing that may come from 0.0.0.0 (RFC 2131 §4.1). */
  #isDhcpRequest(at: number): boolean {
    const header = this.#header;
    if (header.protocol !== PROTOCOL_UDP || header.moreFragments || header.fragmentOffset > 0) return false;
    if (header.totalLength < header.headerBytes + UDP_HEADER_BYTES) return false;
    return readU16(this.#arena.bytes, at + header.headerBytes + 2) === DHCP_SERVER_PORT;
  }

  #isServedBroadcast(packet: ReceivedPacket): boolean {
    if (packet.protocol !== PROTOCOL_UDP || packet.payloadEnd - packet.payloadAt < UDP_HEADER_BYTES) return false;
    return this.#broadcastPorts.has(readU16(this.#arena.bytes, packet.payloadAt + 2));
  }
}

function unknownType(type: number): InterfaceDrop {
  if (type === ETHERTYPE_IPV6) return 'ethernet-ipv6';
  return type === ETHERTYPE_VLAN ? 'ethernet-vlan' : 'ethernet-unknown-type';
}
