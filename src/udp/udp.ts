import { makeDatagramBatch } from '../env/datagram-batch.ts';
import type { ServiceFlow } from '../env/gateway-services.ts';
import { type DatagramBatch, type DatagramFailure, LOOPBACK4, LOOPBACK6 } from '../env/host.ts';
import type { Target } from '../flow/route.ts';
import { isSameGuest, type Neighbor } from '../ip/neighbor.ts';
import type { Packet, ProtocolHandler } from '../ip/packet.ts';
import type { Outlet, OutletWaiter } from '../link/outlet.ts';
import type { Rank } from '../turn/shares.ts';
import type { Timer } from '../turn/timers.ts';
import { pseudoHeaderSum } from '../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import {
  ICMP_COMMUNICATION_PROHIBITED,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_TTL_EXCEEDED,
} from '../wire/icmpv4.ts';
import { IPV4_BROADCAST, IPV4_HEADER_BYTES, isMulticastIpv4, PROTOCOL_UDP } from '../wire/ipv4.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { parseUdp, UDP_HEADER_BYTES, UDP_MAX_PAYLOAD_BYTES, UDP_MAX_SEGMENTS, UdpHeader } from '../wire/udp.ts';
import { UdpDelivery } from './delivery.ts';
import { reportFailure } from './failure-report.ts';
import { BATCH_DATAGRAMS, GatheredDatagram, Gatherer } from './gatherer.ts';
import { LoopbackRetries } from './loopback-retries.ts';
import type { Mapping, MappingOwner } from './mapping.ts';
import { MappingTable } from './mapping-table.ts';
import { OutgoingDatagram } from './outgoing-datagram.ts';
import { deliverToPeer, type ReceiveSlots, UdpPeers } from './peers.ts';
import { DEFAULT_UDP_LIMITS, type UdpMappingStatus, type UdpOptions, type UdpServiceHandler } from './udp-options.ts';

/**
 * Largest datagram and its header fit a slot with room to spare: the header of one lies at the end of the slot before.
 */
const SLOT_BYTES = 65_536;
/** Datagrams received for one mapping in one turn. */
const RECEIVE_QUOTA = 4 * BATCH_DATAGRAMS;
/** Room is asked for in so many datagrams at once, which is a divisor of BATCH_DATAGRAMS, and then one by one. */
const ROOM_STEP = 8;

/**
 * UDP between guests and the host's sockets (RFC 768, NAT behaviour of RFC 4787): see Mapping for what is let in and
 * for how long. Datagrams from guests are gathered and sent at the turn's commit, one call for each socket; answers are
 * received in the egress phase, up to 64 a call, and keep their real source.
 *
 * It keeps no payload, except one small datagram for the [::1] retry of a mapping that speaks to the host address. An
 * error of the host becomes an ICMP error about that one datagram. Mappings of a guest that is gone wait for it as long
 * as their timers let them; what comes meanwhile is lost, as on a cable that is pulled.
 */
export class Udp implements ProtocolHandler, MappingOwner {
  /** Clients of forwards: what guests send to them goes before everything else. */
  readonly peers: UdpPeers;
  readonly #options: UdpOptions;
  readonly #table: MappingTable;
  readonly #gatherer: Gatherer;
  readonly #delivery: UdpDelivery;
  readonly #services = new Map<number, UdpServiceHandler>();
  readonly #header = new UdpHeader();
  readonly #received = makeDatagramBatch(BATCH_DATAGRAMS);
  readonly #outgoing = new OutgoingDatagram();
  readonly #gathered = new GatheredDatagram();
  readonly #asked = { attachment: '', guestAddress: 0, guestPort: 0, gatewayAddress: 0, gatewayPort: 0 };
  /** BATCH_DATAGRAMS slots for what is received, with room for a header before the first. */
  readonly #scratchAt: number;
  readonly #retries: LoopbackRetries;

  /** Throws a RangeError when the arena has no room for the receive slots (while the network is assembled). */
  constructor(options: UdpOptions) {
    this.#options = options;
    this.#gatherer = new Gatherer(options.turn, options.counters);
    this.#table = new MappingTable({
      host: options.host,
      counters: options.counters,
      limits: options.limits ?? DEFAULT_UDP_LIMITS,
      removing: (mapping) => {
        this.#gatherer.flush(mapping);
        options.turn.timers.cancel(mapping.timer);
      },
    });
    this.#delivery = new UdpDelivery(options.arena, options.output);
    const slots = options.arena.allocate(BATCH_DATAGRAMS * SLOT_BYTES + UDP_HEADER_BYTES);
    if (slots < 0) throw new RangeError('the arena has no room for the slots that UDP datagrams are received into');
    this.#scratchAt = slots + UDP_HEADER_BYTES;
    this.peers = new UdpPeers(options.seed ?? 0);
    this.#retries = new LoopbackRetries(options.turn, options.arena, this.#scratchAt);
  }

  /** Datagrams to `port` of the gateway, or broadcast to it, go to `handler`. One for each port. */
  registerBroadcastService(port: number, handler: UdpServiceHandler): void {
    this.#services.set(port, handler);
  }

  /** Mappings that hold a socket. */
  get mappingCount(): number {
    return this.#table.count;
  }

  /** All mappings, in the order in which they were made. */
  list(): UdpMappingStatus[] {
    return Array.from(this.#table.values(), (mapping) => ({
      guestAddress: mapping.guestAddress,
      guestPort: mapping.guestPort,
      remotes: mapping.remotes,
      bytesFromGuest: mapping.bytesFromGuest,
      bytesToGuest: mapping.bytesToGuest,
      state: mapping.answered ? 'answered' : 'unanswered',
    }));
  }

  /** Releases every socket. */
  close(): void {
    for (const mapping of [...this.#table.values()]) this.#table.remove(mapping);
  }

  receive(packet: Packet): void {
    const { counters, arena } = this.#options;
    const header = this.#header;
    const at = packet.payloadAt;
    const fault = parseUdp(arena.bytes, at, packet.payloadEnd, header);
    if (fault !== undefined) {
      counters.add(fault);
      return;
    }
    if (!this.#checksumHolds(packet, header)) {
      counters.add('udp-bad-checksum');
      return;
    }
    const peer = this.peers.find(packet, header);
    if (peer !== undefined) {
      const step = this.#segmentBytes(packet, header.length - UDP_HEADER_BYTES);
      if (step > 0) deliverToPeer(peer, packet, header, step);
      return;
    }
    if (!this.#handedToService(packet, header)) this.#route(packet, header);
  }

  /** Where forwards may receive a batch, in the egress phase. */
  get receiveSlots(): ReceiveSlots {
    return { batch: this.#received, at: this.#scratchAt, slotBytes: SLOT_BYTES, count: BATCH_DATAGRAMS };
  }

  /**
   * How many datagrams the guest's outlet takes now, be they of the longest and in fragments: 64 at most. When there is
   * room for none, `waiter` hears of it when there is again.
   */
  roomFor(neighbor: Neighbor, waiter: OutletWaiter): number {
    const { outlet } = neighbor.port;
    const bytes = longestInFrames(outlet);
    let count = 0;
    while (count < BATCH_DATAGRAMS && outlet.reserve(ROOM_STEP * bytes) >= 0) count += ROOM_STEP;
    while (count < BATCH_DATAGRAMS && outlet.reserve(bytes) >= 0) count++;
    outlet.cancel();
    if (count === 0) outlet.whenWritable(waiter);
    return count;
  }

  /** Ends the mapping of a guest's port; false when there is none. */
  kill(guestAddress: number, guestPort: number): boolean {
    const mapping = this.#table.find(guestAddress, guestPort);
    if (mapping === undefined) return false;
    this.#options.counters.add('udp-killed');
    this.#table.remove(mapping);
    return true;
  }

  /**
   * A gateway service answers a guest: the payload at [at, at + length), any place in the arena. Copies at once; false
   * when the guest is gone, its outlet is full or the answer too long (counted).
   */
  replyFromService(flow: ServiceFlow, at: number, length: number): boolean {
    const { counters, neighborOf, arena } = this.#options;
    const neighbor = neighborOf(flow.guestAddress);
    if (neighbor === undefined || !neighbor.port.attached) {
      counters.add('udp-guest-gone');
      return false;
    }
    if (length > UDP_MAX_PAYLOAD_BYTES) {
      counters.add('udp-reply-too-long');
      return false;
    }
    // The header goes before the payload, where the caller's own bytes may lie.
    arena.bytes.copyWithin(this.#scratchAt, at, at + length);
    const reply = this.#outgoing;
    reply.source = flow.gatewayAddress;
    reply.sourcePort = flow.gatewayPort;
    reply.destinationPort = flow.guestPort;
    reply.at = this.#scratchAt;
    reply.length = length;
    reply.tos = 0;
    return this.send(neighbor, reply);
  }

  /**
   * Sends a datagram of Slipway's own to `neighbor` (for DHCP: a made-up one for the broadcast address or a client
   * without an address). False when the outlet was full (counted).
   */
  send(neighbor: Neighbor, datagram: OutgoingDatagram): boolean {
    if (this.#delivery.send(neighbor, datagram)) return true;
    this.#options.counters.add('udp-outlet-full');
    return false;
  }

  arm(timer: Timer, delayMs: number): void {
    this.#options.turn.timers.arm(timer, delayMs);
  }

  used(mapping: Mapping, rank: Rank): void {
    mapping.mac = mapping.neighbor.mac;
    this.#table.shares.used(mapping, mapping.neighbor.port, rank);
  }

  wantsToReceive(mapping: Mapping): void {
    this.#options.turn.egress.add(mapping);
  }

  receiveFor(mapping: Mapping): void {
    const batch = this.#received;
    for (let received = 0; received < RECEIVE_QUOTA; received += BATCH_DATAGRAMS) {
      // While the outlet is full, datagrams wait in the host's socket; those for a guest that is gone are lost.
      const room = mapping.neighbor.port.attached ? this.roomFor(mapping.neighbor, mapping) : BATCH_DATAGRAMS;
      if (room === 0) return;
      const count = mapping.socket.receive(batch, this.#scratchAt, SLOT_BYTES, room);
      for (let i = 0; i < count; i++) {
        this.#answer(mapping, batch, i);
        if (!mapping.live) return;
      }
      if (count < room) return;
    }
    this.wantsToReceive(mapping);
  }

  expired(mapping: Mapping): void {
    this.#table.remove(mapping);
  }

  failed(mapping: Mapping, failure: DatagramFailure): void {
    this.#options.counters.add('udp-host-error');
    this.#options.log?.debug?.('datagram not delivered', {
      guest: `${formatIpv4Address(mapping.guestAddress)}:${mapping.guestPort}`,
      to: `${failure.address === LOOPBACK6 ? '[::1]' : formatIpv4Address(failure.address)}:${failure.port}`,
      why: failure.code,
    });
    if (mapping.translation(failure.address, failure.port) !== undefined) {
      reportFailure(this.#options, mapping, failure);
      return;
    }
    if (failure.address === LOOPBACK4 && failure.code === 'ECONNREFUSED') {
      const outcome = mapping.loopback.refused4(failure.port);
      if (outcome === 'moved') return;
      if (outcome !== 'refused') {
        mapping.allow(LOOPBACK6, mapping.seenAs(LOOPBACK4) ?? this.#options.gatewayAddress);
        this.#retries.add(mapping, failure.port, outcome);
        return;
      }
    }
    if (failure.address === LOOPBACK6) mapping.loopback.refused6(failure.port);
    reportFailure(this.#options, mapping, failure);
  }

  #checksumHolds(packet: Packet, header: UdpHeader): boolean {
    const { frame } = packet;
    if (header.checksum === 0 || frame.checksumValid || frame.needsChecksum) return true;
    const pseudo = pseudoHeaderSum(packet.source, packet.destination, PROTOCOL_UDP, header.length);
    return this.#options.arena.sum(packet.payloadAt, header.length, pseudo) === 0xffff;
  }

  /** The gateway itself, or everyone on the link. */
  #isLocal(destination: number): boolean {
    const { gatewayAddress, broadcastAddress } = this.#options;
    if (destination === gatewayAddress || destination === broadcastAddress) return true;
    return destination === IPV4_BROADCAST || isMulticastIpv4(destination);
  }

  /** True when the datagram is done with: local services took it, or it went to everyone and no one cares. */
  #handedToService(packet: Packet, header: UdpHeader): boolean {
    if (!this.#isLocal(packet.destination)) return false;
    const service = this.#services.get(header.destinationPort);
    if (service === undefined) {
      if (packet.destination === this.#options.gatewayAddress) return false;
      this.#options.counters.add('udp-broadcast');
    } else {
      service(packet, packet.payloadAt + UDP_HEADER_BYTES, header.length - UDP_HEADER_BYTES);
    }
    return true;
  }

  /**
   * Bytes of each datagram that a super-datagram of `length` stands for (virtio 1.2 §5.1.6, USO); 0 (counted) for too
   * many.
   */
  #segmentBytes(packet: Packet, length: number): number {
    const { frame } = packet;
    const step = frame.gsoType === 'udp' && frame.gsoSize > 0 ? frame.gsoSize : Math.max(1, length);
    if (length <= step * UDP_MAX_SEGMENTS) return step;
    this.#options.counters.add('udp-too-many-segments');
    return 0;
  }

  #route(packet: Packet, header: UdpHeader): void {
    const { counters, decide, errors, services } = this.#options;
    const { source, destination } = packet;
    const { sourcePort, destinationPort } = header;
    if (sourcePort === 0 || destinationPort === 0) {
      counters.add('udp-port-zero');
      return;
    }
    const target = decide('udp', destination, destinationPort);
    if (target.kind === 'host') {
      this.#forward(packet, header, target);
    } else if (target.kind === 'service') {
      const at = packet.payloadAt + UDP_HEADER_BYTES;
      const length = header.length - UDP_HEADER_BYTES;
      const asked = this.#asked;
      asked.attachment = packet.neighbor.port.attachment;
      asked.guestAddress = source;
      asked.guestPort = sourcePort;
      asked.gatewayAddress = destination;
      asked.gatewayPort = destinationPort;
      services.datagram(target.service, asked, at, length);
    } else if (target.kind !== 'socket') {
      counters.add(target.reason);
      if (target.kind === 'refuse')
        errors.about(packet, ICMP_DESTINATION_UNREACHABLE, ICMP_PORT_UNREACHABLE, destination);
      else if (target.kind === 'prohibit')
        errors.about(packet, ICMP_DESTINATION_UNREACHABLE, ICMP_COMMUNICATION_PROHIBITED);
    }
  }

  #forward(packet: Packet, header: UdpHeader, target: Target & { kind: 'host' }): void {
    const { address, port, translated } = target;
    const toHostItself = address === LOOPBACK4 || translated === true;
    if (packet.ttl <= 1 && !toHostItself) {
      this.#options.counters.add('udp-ttl-expired');
      this.#options.errors.about(packet, ICMP_TIME_EXCEEDED, ICMP_TTL_EXCEEDED);
      return;
    }
    const at = packet.payloadAt + UDP_HEADER_BYTES;
    const length = header.length - UDP_HEADER_BYTES;
    const step = this.#segmentBytes(packet, length);
    if (step === 0) return;
    const published = toHostItself
      ? undefined
      : this.peers.published?.peerFor(packet.neighbor, header.sourcePort, address, port);
    if (published !== undefined) {
      deliverToPeer(published, packet, header, step);
      return;
    }
    const mapping = this.#table.of(packet, header.sourcePort, this);
    if (mapping === undefined) return;
    const remote = toHostItself && translated !== true ? mapping.loopback.addressFor(port) : address;
    if (translated === true) mapping.sentTranslated(address, port, packet.destination, header.destinationPort, length);
    else mapping.sent(remote, packet.destination, port, length);
    if (remote === LOOPBACK4 && translated !== true) mapping.loopback.keep(port, this.#options.arena.bytes, at, length);
    mapping.probesPath = packet.probesPath;
    const datagram = this.#gathered;
    datagram.address = remote;
    datagram.port = port;
    datagram.ttl = toHostItself ? 0 : packet.ttl - 1;
    datagram.dontFragment = packet.dontFragment;
    datagram.tos = packet.tos;
    let from = 0;
    do {
      datagram.at = at + from;
      datagram.length = Math.min(step, length - from);
      this.#gatherer.add(mapping, datagram);
      from += step;
    } while (from < length);
  }

  /** Passes the datagram at place `i` of what was received on to the mapping's guest. */
  #answer(mapping: Mapping, { address: from, port: fromPort, at, length, tos }: DatagramBatch, i: number): void {
    const { counters } = this.#options;
    const address = from[i]!;
    const port = fromPort[i]!;
    const { neighbor } = mapping;
    if (!neighbor.port.attached) {
      counters.add('udp-guest-gone');
      return;
    }
    if (!isSameGuest({ mac: mapping.mac, port: mapping.owner }, neighbor)) {
      counters.add('udp-guest-gone');
      this.#table.remove(mapping);
      return;
    }
    const service = mapping.translation(address, port);
    const source = service?.address ?? mapping.seenAs(address);
    if (source === undefined) {
      counters.add('udp-filtered');
      return;
    }
    const answer = this.#outgoing;
    answer.source = source;
    answer.sourcePort = service?.port ?? port;
    answer.destinationPort = mapping.guestPort;
    answer.at = at[i]!;
    answer.length = length[i]!;
    answer.tos = tos[i]!;
    if (this.send(neighbor, answer)) mapping.received(address, port, answer.length);
  }
}

/** What the longest datagram takes in the outlet: its frames with all that stands before each. */
function longestInFrames(outlet: Outlet): number {
  const datagramBytes = UDP_HEADER_BYTES + UDP_MAX_PAYLOAD_BYTES;
  const frames = Math.ceil(datagramBytes / ((outlet.mtu - IPV4_HEADER_BYTES) & ~7));
  return datagramBytes + frames * outlet.stride(ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES);
}
